"""A comparison of two models as a page, as JSON, and on the terminal."""

import json
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from portfolio_shared.evaluation.tables import terminal_table
from portfolio_shared.operations.charts import distribution, sequence
from portfolio_shared.operations.comparison import (
    BY_BOTH,
    CLIENTS,
    DOUBTED,
    INTERLEAVED,
    MISSED,
    Comparison,
    Decision,
    about,
)
from portfolio_shared.operations.publish import replace_file
from portfolio_shared.operations.report import NOTHING, Fact, document, fact_list, moment, page_foot
from portfolio_shared.operations.sequences import FIRST_LOOK
from portfolio_shared.operations.shapes import number, shape_of

PAGE, RECORD = "report.html", "comparison.json"
BADGES: dict[Decision, str] = {"promote": "Promote", "keep": "Keep", "go on": "Go on"}


def publish_comparison(comparison: Comparison, project: str, output: Path, console: Console) -> None:
    """Write the page and the record into a folder, and say what was found."""
    output.mkdir(parents=True, exist_ok=True)
    replace_file(output / PAGE, as_html(comparison, project))
    replace_file(output / RECORD, as_json(comparison))
    facts = [[what, value, more] for what, value, more, _ in _facts(comparison)]
    fates = [[fate, f"{count:,}", ""] for fate, count in comparison.counts.items()]
    table = terminal_table(f"{project}: {_versions(comparison)}", ["", "", ""], [*facts, *fates])
    table.show_header = False
    console.print(table)
    for line in (*comparison.cautions, f"{project}: {comparison.summary}", f"  {output / PAGE}"):
        console.print(line, soft_wrap=True)


def as_json(comparison: Comparison) -> str:
    """Return the decision, what it follows from, and the sequence; what is not finite is null."""
    low, high = comparison.sequence
    arrays = {"n": np.arange(1, comparison.n + 1), "mean": _running_mean(comparison), "low": low, "high": high}
    fields = asdict(comparison)
    del fields["differences"], fields["with_doubted"]
    said = {name: getattr(comparison, name) for name in ("decision", "summary", "cautions", "n", "hangs_on")}
    mean, *ends = comparison.last if comparison.n else (None, None, None)
    finite = {
        name: [value if np.isfinite(value) else None for value in values.tolist()] for name, values in arrays.items()
    }
    record: dict[str, Any] = {
        **said,
        "mean difference": mean,
        "interval": [end if end is not None and np.isfinite(end) else None for end in ends],
        **fields,
        "sequence": finite,
    }
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _running_mean(comparison: Comparison) -> Any:
    return np.cumsum(comparison.differences) / np.arange(1, comparison.n + 1)


def _versions(comparison: Comparison) -> str:
    return f"version {comparison.challenger} beside version {comparison.champion}"


def as_html(comparison: Comparison, project: str) -> str:
    """Return the page of a comparison."""
    head = f"""<header class="page-head">
<p class="badge" data-verdict="{comparison.decision}">{BADGES[comparison.decision]}</p>
<h1>{escape(comparison.summary)}</h1>
<p class="lead">{escape(f"{project}: {_versions(comparison)}{_time(comparison)}")}</p>
{_advice(comparison, project)}</header>"""
    sections = [
        fact_list(_facts(comparison)),
        _cautions(comparison),
        _drawn(comparison),
        _how_many(comparison),
        _truths(comparison),
        _meaning(comparison),
    ]
    foot = [
        ("Champion", f"{comparison.model}, version {comparison.champion}"),
        ("Challenger", f"version {comparison.challenger}"),
    ]
    return document(f"{project}: {comparison.decision}, {_versions(comparison)}", head, sections, page_foot(foot))


def _time(comparison: Comparison) -> str:
    return f", truths of {moment(comparison.since)} to {moment(comparison.until)}" if comparison.n else ""


def _advice(comparison: Comparison, project: str) -> str:
    if comparison.decision != "promote":
        return ""
    names = (f"{project} promote {comparison.challenger}", f"{project} rollback")
    command, back = (f"<code>{escape(name)}</code>" for name in names)
    return f'<p class="lead">What to do: {command}; {back} goes back.</p>\n'


def _facts(comparison: Comparison) -> list[Fact]:
    n, subjects = comparison.n, comparison.subjects
    said = f"{comparison.truths:,} truths; {subjects:,} clients speak of different things"
    facts: list[Fact] = [("Clients", f"{n:,}", said, min(n, subjects) < CLIENTS)]
    if n:
        mean, low, high = comparison.last
        between = f"{number(low)} to {number(high)}, at all looks together" if n >= FIRST_LOOK else "no interval yet"
        facts += [(f"Difference: {comparison.label}", number(mean), between, False)]
    if comparison.hangs_on:
        facts += [("Clients it hangs on", f"{comparison.hangs_on:,}", f"{comparison.hangs_on / n:.0%} of them", False)]
    doubted, read = comparison.counts.get(BY_BOTH, 0), sum(comparison.counts.values())
    share = doubted / max(1, read)
    facts += [("Truths doubted", f"{doubted:,}", f"{share:.0%} of {read:,}, by both models", share >= DOUBTED)]
    if comparison.asked:
        missing = comparison.asked - comparison.answered
        share = missing / comparison.asked
        facts += [("Answers missing", f"{missing:,}", f"{share:.1%} of the challenger's", share > MISSED)]
    return facts


def _cautions(comparison: Comparison) -> str:
    if not comparison.cautions:
        return ""
    items = "".join(f"<li>{escape(caution)}</li>" for caution in comparison.cautions)
    return f'<section class="prose"><h2>Before you act</h2><ul class="cautions">{items}</ul></section>'


def _drawn(comparison: Comparison) -> str:
    if not comparison.n:
        return ""
    figure = sequence(
        _running_mean(comparison),
        *comparison.sequence,
        label=comparison.summary,
        x=f"clients that have spoken; the first interval is that of {FIRST_LOOK}",
        ends=(f"version {comparison.challenger} worse", f"version {comparison.challenger} better"),
    )
    return f"""<section>
<h2>The difference, client by client</h2>
<p class="section-lead">{escape(comparison.label[0].upper() + comparison.label[1:])}, the challenger's minus the
champion's. A decision stands once the whole band is on one side of the line.</p>
<p class="legend"><span><i class="line"></i>mean so far</span>
<span><i class="window"></i>where the true mean is, at all looks together, in {1 - comparison.alpha:.0%} of
experiments</span></p>
{figure}
</section>"""


def _how_many(comparison: Comparison) -> str:
    if comparison.decision != "go on" or not comparison.needed:
        return ""
    deviation = float(comparison.differences.std())
    rows = "".join(
        f'<tr><th scope="row">{number(size)}{" (as now)" if i == 0 and comparison.last[0] else ""}</th>'
        f'<td class="number">{size / deviation:.2f}</td>'
        f'<td class="number">{f"{about(more):,}" if more else NOTHING}</td></tr>'
        for i, (size, more) in enumerate(comparison.needed.items())
    )
    return f"""<section>
<h2>How many more</h2>
<p class="section-lead">Clients until a difference of this size is told from zero, in about two of three
experiments.</p>
<div class="table-scroll"><table class="table"><thead><tr><th>Difference</th>
<th class="number">in standard deviations</th><th class="number">more clients</th></tr></thead>
<tbody>{rows}</tbody></table></div>
</section>"""


def _truths(comparison: Comparison) -> str:
    if not comparison.counts:
        return ""
    total = sum(comparison.counts.values())
    rows = "".join(
        f'<tr><th scope="row">{escape(fate[0].upper() + fate[1:])}</th><td class="number">{count:,}</td>'
        f'<td class="number">{count / total:.0%}</td></tr>'
        for fate, count in comparison.counts.items()
    )
    card = ""
    if comparison.n:
        shape = shape_of(comparison.with_doubted, comparison.differences)
        card = f"""<article class="card"><h3>What each client says</h3>
{distribution(comparison.label, shape)}
<p class="legend"><span><i></i>everything</span><span><i class="window"></i>what is counted</span></p></article>"""
    return f"""<section>
<h2>What became of the truths</h2>
<p class="section-lead">Of all that came in on answers of both versions.</p>
<div class="beside"><div class="table-scroll"><table class="table"><tbody>{rows}</tbody></table></div>
{card}</div>
</section>"""


def _meaning(comparison: Comparison) -> str:
    what = (
        "Both models made each list together, in turns, and a truth speaks for the model whose part it likes more."
        if comparison.label == INTERLEAVED
        else "Both models answered the same requests, and each truth is held against both answers."
    )
    return f"""<section class="prose">
<h2>What the decision means</h2>
<p>{what} Each client is one value, the mean of all that it says, so that nobody is heard more often by speaking more;
whoever gives no name is one client together. A truth that both models hold next to impossible is left out and counted
above.</p>
<p>The band is a confidence sequence: in {comparison.alpha:.0%} of experiments it ever leaves the true mean, however
often somebody looks, so that one may stop at any look. It is asymptotic: what is rare and large shows only once it has
happened. It says nothing of requests that nobody gave a truth on.</p>
</section>"""
