import html
import re
from dataclasses import replace

import pytest

from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.operations.report import as_html

HOSTILE = '"><script>alert(1)</script><img src=//evil.example/x>'
ADDRESS = re.compile(r"""(?:src|href|action|data|poster|srcset)\s*=|url\(|@import|https?:|//\w""", re.IGNORECASE)


def outside_style(page):
    """The page without its style, whose comments may name anything, and without texts."""
    return re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)


@pytest.mark.long
def test_a_page_says_the_verdict_first_and_needs_nothing_else(toy):
    ids = toy.predicted(toy.things(200, seed=7, larger=1.0))
    toy.told({name: 1.8 + i % 2 / 5 for i, name in enumerate(ids[:60])})
    page = as_html(toy.look())
    body = outside_style(page)
    assert "url(" not in page
    assert "@import" not in page
    assert not ADDRESS.search(body)
    assert "<script" not in page
    words = html.unescape(re.sub(r"<[^>]+>", " ", body))
    order = ["Alarm", "What the model is asked has changed, most of all size", "Drift", "Predicted", "All columns"]
    assert [words.index(text) for text in order] == sorted(words.index(text) for text in order)
    assert "60 truths, lower is better" in words
    assert "not measurably worse" in words
    assert 'class="now"' in body


@pytest.mark.long
@pytest.mark.parametrize(
    "place",
    ["project", "model", "outage", "version", "column", "text", "label", "reason"],
)
def test_hostile_text_is_text(toy, place):
    toy.predicted(toy.things(150, seed=7, kinds=["a", HOSTILE if place == "text" else "b"]))
    if place == "version":
        toy.predicted(toy.things(10, seed=7), version=HOSTILE, name="other")
    findings = toy.look()
    if place in ("project", "model", "outage"):
        findings = replace(findings, **{place: HOSTILE})
    elif place == "column":
        first = replace(findings.drift.columns[0], name=HOSTILE)
        shapes = {**findings.shapes, HOSTILE: findings.shapes[findings.drift.columns[0].name]}
        findings = replace(findings, drift=replace(findings.drift, columns=(first,), p=0.0), shapes=shapes)
    elif place == "label":
        measures = (replace(findings.performance.measures[0], label=HOSTILE, mean=Interval(1.0, 1.0, 1.0)),)
        findings = replace(findings, performance=replace(findings.performance, measures=measures))
    elif place == "reason":
        findings = replace(findings, sample=replace(findings.sample, reason=HOSTILE))
    page = as_html(findings)
    assert "<script" not in page
    assert "<img" not in page
    assert html.escape(HOSTILE) in page


@pytest.mark.parametrize("part", ["drift", "performance"])
def test_what_luck_seldom_does_is_said_although_it_is_no_alarm(toy, part):
    ids = toy.predicted(toy.things(200, seed=7))
    toy.told({name: 1.8 + i % 2 / 5 for i, name in enumerate(ids[:60])})
    findings = toy.look()
    measure = replace(findings.performance.measures[0], p=0.03 if part == "performance" else 0.3)
    findings = replace(
        findings,
        drift=replace(findings.drift, p=0.03 if part == "drift" else 0.3),
        performance=replace(findings.performance, measures=(measure,)),
    )
    page = as_html(findings)
    assert findings.verdict == "well"
    doubts = {
        "drift": "may have changed: luck alone does this in 3.0% of windows",
        "performance": "the answers may have",
    }
    assert {name for name, text in doubts.items() if text in findings.summary} == {part}
    assert ("by more than chance often does" in page) is (part == "drift")
    assert f"not measurably worse ({3 if part == 'performance' else 30} %)" in page


@pytest.mark.parametrize("rows", [0, 1, 99])
def test_too_few_rows_have_a_page_as_well(toy, rows):
    toy.predicted(toy.things(rows, seed=1))
    page = as_html(toy.look())
    assert f"<h1>Too few rows to judge: {rows}, and it takes 100.</h1>" in page
    assert "A longer --window has more rows." in page
    assert "What an alarm means" in page
