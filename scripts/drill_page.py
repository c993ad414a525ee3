"""The page of a drill: what happened, in pictures, with nothing from elsewhere, light and dark."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from drill_pictures import timeline
from drill_steps import NAMED, Story, alarmed
from portfolio_shared.bundle import MetricValue
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.operations.charts import distribution, intervals, sequence
from portfolio_shared.operations.report import Fact, document, fact_list
from portfolio_shared.operations.shapes import Shape, number


def write_page(story: Story, folder: Path) -> Path:
    """Write the page into a folder, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "index.html"
    page.write_text(as_html(story), encoding="utf-8")
    return page


def drawn(story: Story) -> str:
    """Return the picture of the whole."""
    errors = story.errors
    return timeline(errors["points"], story.marks, label=errors["label"], new=story.challenger)


def as_html(story: Story) -> str:
    """Return the page."""
    name = story.place.project.title
    head = f"""<header class="page-head">
<h1>{escape(_headline(story))}</h1>
<p class="lead">{escape(name)}, in fast motion: what a year may bring, in minutes.</p>
</header>"""
    sections = [fact_list(_facts(story)), _timeline(story), _alarm(story), _comparison(story), _steps(story)]
    return document(f"{name}: a change, and back again", head, sections)


def _headline(story: Story) -> str:
    if not story.drifts:
        return "Nothing changed: no alarm, nothing promoted"
    said = f"{story.scenario.drift[0].upper()}{story.scenario.drift[1:]}: noticed, learned, proven, promoted"
    return said.replace(" %", "\N{NO-BREAK SPACE}%")


def _facts(story: Story) -> list[Fact]:
    seconds = sum(line.seconds for line in story.lines)
    swapped = ", while the model changed as well" if story.drifts else ""
    facts: list[Fact] = [
        ("Requests answered", f"{story.requests:,}", f"none failed{swapped}", False),
        ("Truths that measure an answer", f"{len(story.errors['points']):,}", "by who had asked", False),
        ("Took", f"{seconds / 60:.1f} minutes", "of which two trainings", False),
    ]
    if story.drifts:
        before, after = story.means
        facts.insert(0, (story.errors["label"].capitalize(), number(after), f"instead of {number(before)}", False))
    return facts


def _timeline(story: Story) -> str:
    lead = "Each dot is the mean of some answers, each line that of a phase."
    if story.drifts:
        lead += f" Version {story.challenger}, in color, has learned from what came true of the answers before it."
    return f"""<section>
<h2>What the answers were worth</h2>
<p class="section-lead">{lead}</p>
<div class="table-scroll">{drawn(story)}</div>
</section>"""


def _alarm(story: Story) -> str:
    if not story.alarm:
        return ""
    columns, measures = alarmed(story.alarm)
    cards = "".join([*(_column(name, story.alarm) for name in columns), *map(_measure, measures[:NAMED])])
    return f"""<section>
<h2>What the monitor saw</h2>
<p class="section-lead">{escape(story.alarm["summary"])}</p>
<p class="legend"><span><i></i>what version {story.champion} learned from, or its test</span>
<span><i class="window"></i>after the change</span></p>
<div class="cards">{cards}</div>
</section>"""


def _column(name: str, findings: Mapping[str, Any]) -> str:
    shape = Shape(**{key: tuple(value) for key, value in findings["shapes"][name].items()})
    return _card(name, f"What is asked: {shape.typical[0]} before, {shape.typical[1]} now", distribution(name, shape))


def _measure(measure: Mapping[str, Any]) -> str:
    mean, test = Interval(**measure["mean"]), MetricValue.model_validate(measure["test"])
    said = f"What truths show: {number(test.estimate)} in the test, {number(mean.estimate)} now"
    return _card(measure["label"], said, intervals(measure["label"], mean, test))


def _card(name: str, said: str, picture: str) -> str:
    return f'<article class="card"><h3>{escape(name)}</h3><p class="soft">{escape(said)}</p>{picture}</article>'


def _comparison(story: Story) -> str:
    if not story.comparison:
        return ""
    shown, version = story.comparison, story.challenger
    mean, low, high = (np.array(shown["sequence"][name], dtype=np.float64) for name in ("mean", "low", "high"))
    ends = f"version {version} worse", f"version {version} better"
    figure = sequence(mean, low, high, label=shown["summary"], x="clients that have spoken", ends=ends)
    return f"""<section>
<h2>Why it was {"promoted" if shown["decision"] == "promote" else "not promoted"}</h2>
<p class="section-lead">{escape(shown["summary"])} {escape(shown["label"].capitalize())}, the challenger's minus the
champion's, on the same requests. A decision stands once the whole band is on one side of the line.</p>
<p class="legend"><span><i class="line"></i>mean so far</span>
<span><i class="window"></i>where the true mean is, at all looks together</span></p>
{figure}
</section>"""


def _steps(story: Story) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(line.claim[0].upper() + line.claim[1:])}</th><td>{escape(line.figure)}</td>'
        f'<td class="number">{line.seconds:.1f} s</td></tr>'
        for line in story.lines
    )
    return f"""<section><h2>Step by step</h2><div class="table-scroll"><table class="table">
<thead><tr><th>What</th><th>Figure</th><th class="number">Took</th></tr></thead>
<tbody>{rows}</tbody></table></div>
<details class="disclosure"><summary>What the commands said</summary>
<div class="table-scroll"><pre>{escape(story.transcript)}</pre></div></details></section>"""
