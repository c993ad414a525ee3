"""Findings as one page that holds all it needs: no script, no other file, light and dark, readable in a minute."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files

from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.operations.charts import distribution, intervals
from portfolio_shared.operations.drift import MIN_ROWS, ColumnDrift
from portfolio_shared.operations.findings import DOUBT, Findings, change
from portfolio_shared.operations.performance import MIN_CLUSTERS, Measured
from portfolio_shared.operations.shapes import number
from portfolio_shared.operations.window import WINDOW_ROWS

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
BADGES = {"well": "Well", "alarm": "Alarm", "too few": "Too few rows"}
RUNBOOK = {"drift": "Drift", "performance": "Performance worse", "missing": "Data missing"}
NOTHING = "\N{EN DASH}"
Fact = tuple[str, str, str, bool]
"""A name, its value, a word on it, and whether it is bad."""


def as_html(findings: Findings) -> str:
    """Return the page of one look."""
    sections = [_facts(findings), _changed(findings), _answers(findings), _columns(findings), _meaning(findings)]
    title = f"{findings.project}: {findings.verdict}, {moment(findings.until)}"
    return document(title, _head(findings), sections, page_foot(_provenance(findings)))


def document(title: str, head: str, sections: Sequence[str], foot: str = "") -> str:
    """Return a page in the house style that needs no other file; what is given is HTML, but for the title."""
    house = files("portfolio_shared.serving").joinpath("static/style.css").read_text(encoding="utf-8")
    own = files("portfolio_shared.operations").joinpath("report.css").read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{escape(title)}</title>
<style>
{house}
{own}
</style>
</head>
<body>
{head}
<main class="report">
{"".join(section for section in sections if section)}
</main>
{foot}
</body>
</html>
"""


def moment(seconds: float) -> str:
    """Return a time since 1970 as a date and a time of day."""
    return f"{datetime.fromtimestamp(seconds, UTC):%d %b %Y %H:%M} UTC"


def _head(findings: Findings) -> str:
    window = f"{moment(findings.since)} to {moment(findings.until)}"
    version = f", version {findings.version}" if findings.version else ""
    return f"""<header class="page-head">
<p class="badge" data-verdict="{findings.verdict}">{BADGES[findings.verdict]}</p>
<h1>{escape(findings.summary)}</h1>
<p class="lead">{escape(findings.project + version)}: {window}</p>
{_advice(findings)}</header>"""


def _advice(findings: Findings) -> str:
    if findings.verdict == "well":
        return ""
    sections = " and ".join(f"<em>{RUNBOOK[kind]}</em>" for kind in findings.reasons)
    said = f"What to do: docs/operations.md, {sections}." if sections else "A longer --window has more rows."
    return f'<p class="lead">{said}</p>\n'


def _facts(findings: Findings) -> str:
    drift, sample, shown = findings.drift, findings.sample, findings.performance
    before = f"{findings.rows_before:,} in the window before"
    others = {version: rows for version, rows in findings.rows_by_version.items() if version != findings.version}
    if others:
        said = ", ".join(f"{rows:,} by version {version}" for version, rows in others.items())
        before = f"and {said}, not looked at; {before}"
    if sample and sample.repeated:
        before += f"; {sample.repeated:,} repeated request{'' if sample.repeated == 1 else 's'} left out"
    facts: list[Fact] = [("Predicted", f"{findings.rows:,}", before, "missing" in findings.reasons)]
    if drift:
        level = f"alarm at {_chance(drift.alpha)} or below"
        facts += [("Chance of so much drift by luck", _chance(drift.p), level, drift.alarm)]
    if shown:
        others_said = f"; {shown.others:,} on other versions" if shown.others else ""
        bad = f"; {shown.unreadable:,} unreadable ({shown.reason})" if shown.unreadable else ""
        facts += [
            (
                "Truths that came in",
                f"{shown.rows:,}",
                f"of any age{others_said}{bad}",
                "performance" in findings.reasons,
            )
        ]
    if sample:
        why = f"of {sample.read:,} read{f': {sample.reason}' if sample.reason else ''}"
        facts += [("Unreadable rows", f"{sample.unreadable:,}", why, bool(sample.unreadable))]
    return fact_list(facts)


def fact_list(facts: Sequence[Fact]) -> str:
    """Return numbers side by side, each with its name and a word on it."""
    rows = "".join(
        f'<div><dt>{escape(what)}</dt><dd class="value{" alarm" if alarm else ""}">{escape(value)}</dd>'
        f'<dd class="soft">{escape(more)}</dd></div>'
        for what, value, more, alarm in facts
    )
    return f'<dl class="facts">{rows}</dl>'


def _chance(p: float) -> str:
    return f"{100 * p:.2g} %" if p >= 0.0001 else "less than 0.01 %"


def _changed(findings: Findings) -> str:
    if not findings.drift:
        return ""
    cards = "".join(_card(column, findings) for column in findings.drift.columns if column.name in findings.shapes)
    drawn = f"{findings.drift.rows:,} rows{', drawn by chance' if findings.drift.rows == WINDOW_ROWS else ''}"
    differ = "differ by no more than chance does"
    if findings.drift.p <= DOUBT:
        differ = "differ by more than chance often does, and by less than an alarm takes"
    lead = f"Together the columns {'have drifted by more than chance' if findings.drift.alarm else differ}"
    return f"""<section>
<h2>What the model is asked</h2>
<p class="section-lead">{lead}; this is what differs most.</p>
<p class="legend"><span><i></i>what it learned from</span>
<span><i class="window"></i>this window ({drawn})</span></p>
<div class="cards">{cards}</div>
</section>"""


def _card(column: ColumnDrift, findings: Findings) -> str:
    sizes = [f"PSI {column.psi:.2f}"]
    if column.wasserstein is not None:
        sizes.insert(0, f"moved by {column.wasserstein:.2f} sd")
    missing = ""
    if column.missing - column.reference_missing > 0.05:
        missing = f"<br>not given: {100 * column.missing:.0f} % of rows, {100 * column.reference_missing:.0f} % before"
    said = change(column, findings.shapes)
    return f"""<article class="card">
<h3>{escape(column.name)}</h3>
<p>{escape(said[0].upper() + said[1:])}</p>
{distribution(column.name, findings.shapes[column.name])}
<p class="soft">{", ".join(sizes)}{missing}</p>
</article>"""


def _answers(findings: Findings) -> str:
    shown = findings.performance
    if not shown:
        return ""
    rows = "".join(_measure(measure, measure.mean) for measure in shown.measures if measure.mean)
    if not rows:
        return """<section><h2>How right its answers are</h2>
<p class="section-lead">No truths came in: POST /v1/feedback takes them.</p></section>"""
    return f"""<section>
<h2>How right its answers are</h2>
<p class="section-lead">Of the answers that feedback came in on, which may not be like the others.</p>
<p class="legend"><span><i></i>test split, with its 95 % interval</span>
<span><i class="window"></i>this window, with its 95 % interval</span></p>
<div class="table-scroll"><table class="table intervals">
<thead><tr><th>Measure</th><th></th><th class="number">Window</th><th class="number">Test</th><th>Verdict</th></tr>
</thead>
<tbody>{rows}</tbody></table></div>
</section>"""


def _measure(measure: Measured, window: Interval) -> str:
    test = measure.test
    if test is None:
        verdict = "not compared"
    elif measure.p is None:
        verdict = f"too few: as good as {math.floor(measure.effective)} of {MIN_CLUSTERS}"
    elif measure.alarm:
        verdict = f"worse by more than chance ({_chance(measure.p)})"
    else:
        verdict = f"not measurably worse ({_chance(measure.p)})"
    mean = f"{number(window.estimate)} ({number(window.low)} to {number(window.high)})"
    tested = NOTHING if test is None else number(test.estimate)
    if test is not None and test.low is not None and test.high is not None:
        tested += f" ({number(test.low)} to {number(test.high)})"
    return f"""<tr><th scope="row">{escape(measure.label)}<br>
<span class="soft">{measure.rows:,} truths, {measure.better} is better</span></th>
<td class="drawn">{intervals(measure.label, window, test)}</td><td class="number" data-label="Window">{mean}</td>
<td class="number" data-label="Test">{tested}</td>
<td class="{"alarm" if measure.alarm else ""}">{verdict}</td></tr>"""


def _columns(findings: Findings) -> str:
    if not findings.drift:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{escape(column.name)}</th>'
        f"{_figure(column.z, '.1f')}{_figure(column.statistic, '.2f')}{_figure(column.wasserstein, '.2f')}"
        f"{_figure(column.psi, '.2f')}{_figure(column.missing, '.0%')}{_figure(column.reference_missing, '.0%')}</tr>"
        for column in (*findings.drift.columns, *findings.drift.not_compared)
    )
    heads = ("z", "distance", "moved (sd)", "PSI", "not given", "before")
    head = "".join(f'<th class="number">{name}</th>' for name in heads)
    n = len(findings.drift.columns)
    return f"""<details class="disclosure"><summary>All columns <span class="soft">{n} compared,
{len(findings.drift.not_compared)} with too few values</span></summary>
<div class="table-scroll"><table class="table"><thead><tr><th>Column</th>{head}</tr></thead>
<tbody>{rows}</tbody></table></div></details>"""


def _figure(value: float | None, form: str) -> str:
    return f'<td class="number">{NOTHING if value is None or math.isnan(value) else format(value, form)}</td>'


def _meaning(findings: Findings) -> str:
    budget = f"{findings.budget:g} false alarm{'' if findings.budget == 1 else 's'} a month"
    looks = f"{findings.looks_per_month:,.0f} look{'s' if findings.looks_per_month >= 1.5 else ''} a month"
    return f"""<section class="prose">
<h2>What an alarm means</h2>
<p>All columns are tested at once: the largest distance between the two sides, against what shuffling the rows of both
gives. The budget is {budget} over {findings.projects} projects; with {looks} that makes
a level of {_chance(findings.level)} for this look, half of it for drift and half for the answers. An alarm is therefore
seldom luck. It does not say that the answers are wrong: drift says that the model is asked something else, truths say
how it does there.</p>
<p>Sizes are for people, not for the alarm. "Moved" is the Wasserstein distance in standard deviations of what the model
learned from; PSI is the population stability index; z is the distance in standard deviations of chance. Fewer than
{MIN_ROWS} rows are not judged, and neither is a mean of fewer than {MIN_CLUSTERS} people or predictions, or of fewer
than as many of equal size would say. Missing data are no matter of chance, and not in the budget.</p>
</section>"""


def _provenance(findings: Findings) -> list[tuple[str, str]]:
    manifest = findings.manifest
    facts = [("Model", f"{findings.model}, version {findings.version or NOTHING}")]
    if manifest:
        facts += [
            ("Trained", f"{manifest.created:%d %b %Y %H:%M} UTC, commit {manifest.git_commit[:12]}"),
            ("On", f"{manifest.data.name} ({manifest.data.source} data, {sum(manifest.data.rows.values()):,} rows)"),
        ]
    return [*facts, ("Bundle", f"taken on trust: {findings.on_trust}")] if findings.on_trust else facts


def page_foot(facts: Sequence[tuple[str, str]]) -> str:
    """Return the foot of a page: names, and what they are."""
    rows = "".join(f"<div><dt>{what}</dt><dd>{escape(value)}</dd></div>" for what, value in facts)
    return (
        f"""<footer class="page-foot"><div class="page-foot-inner"><dl class="model-badge">{rows}</dl></div></footer>"""
    )
