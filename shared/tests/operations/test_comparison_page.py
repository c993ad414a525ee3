import html
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from portfolio_shared.operations.charts import sequence, ticks
from portfolio_shared.operations.comparison import BY_BOTH, INTERLEAVED, Comparison
from portfolio_shared.operations.comparison_page import PAGE, RECORD, as_html, as_json, publish_comparison
from portfolio_shared.operations.sequences import FIRST_LOOK

HOSTILE = '"><script>alert(1)</script><img src=//evil.example/x>'


def comparison(n=300, *, mean=-0.1, **changes):
    differences = np.random.default_rng(0).normal(mean, 0.2, n)
    usual = Comparison(
        model="toy",
        champion="3",
        challenger="4",
        label="absolute error",
        alpha=0.05,
        worthwhile=0.0,
        differences=differences,
        with_doubted=np.append(differences, 1.0),
        truths=2 * n,
        subjects=n,
        nameless=0,
        counts={"counted": 2 * n, BY_BOTH: 1},
        answered=990,
        asked=1000,
        since=1.7e9,
        until=1.7e9 + 86_400,
    )
    return replace(usual, **changes)


def words(page):
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


@pytest.mark.parametrize(("mean", "badge"), [(-0.1, "Promote"), (0.0, "Go on"), (0.1, "Keep")])
def test_a_page_says_the_decision_first_draws_the_sequence_and_needs_nothing_else(mean, badge):
    found = comparison(mean=mean)
    page = as_html(found, "toys")
    said = words(page)
    order = [
        badge,
        found.summary,
        "version 4 beside version 3, truths of 14 Nov 2023",
        "Clients 300",
        "client by client",
    ]
    assert [said.index(text) for text in order] == sorted(said.index(text) for text in order)
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    assert not re.search(r"(?:src|href|action|data)\s*=|url\(|@import|https?:|//\w|<script", body)
    assert body.count('class="band"') == body.count('class="mean"') == 1
    assert ("How many more" in said) is (badge == "Go on")
    assert ("toys promote 4" in said) is (badge == "Promote")


@pytest.mark.parametrize("n", [0, 1, 49, 51])
def test_an_experiment_that_has_just_begun_has_a_page(n):
    few = comparison(n, subjects=n, counts={"counted": n} if n else {}, asked=0, answered=0)
    page = as_html(few, "toys")
    assert f"Go on: it takes 52 clients, and there are {n}." in words(page)
    assert ('class="band"' in page) is (n >= FIRST_LOOK)
    assert ('class="mean"' in page) is (n > 0)
    assert (None in json.loads(as_json(few))["interval"]) is (n < FIRST_LOOK)


@pytest.mark.parametrize(("label", "true"), [("absolute error", "the same requests"), (INTERLEAVED, "list together")])
def test_a_page_says_what_both_models_did(label, true):
    said = words(as_html(comparison(label=label), "toys"))
    assert [text for text in ("the same requests", "list together") if text in said] == [true]


def test_what_to_know_before_one_acts_stands_above_the_drawing():
    found = comparison(nameless=7, asked=2000)
    said = words(as_html(found, "toys"))
    assert len(found.cautions) == 2
    assert all(0 < said.index(caution) < said.index("client by client") for caution in found.cautions)
    assert "Before you act" not in words(as_html(comparison(mean=-0.5), "toys"))


@pytest.mark.parametrize("place", ["model", "champion", "challenger", "label", "counts", "project"])
def test_hostile_text_is_text(place):
    found, project = comparison(), HOSTILE if place == "project" else "toys"
    if place != "project":
        found = replace(found, **{place: {HOSTILE: 1} if place == "counts" else HOSTILE})
    page = as_html(found, project)
    assert "<script" not in page
    assert "<img" not in page
    assert html.escape(HOSTILE) in page or html.escape(HOSTILE).capitalize() in page


def test_the_record_has_the_decision_and_the_sequence():
    found = comparison()
    record = json.loads(as_json(found))
    assert (record["decision"], record["champion"], record["challenger"], record["n"]) == ("promote", "3", "4", 300)
    assert record["mean difference"] == found.differences.mean()
    assert record["interval"] == [found.last[1], found.last[2]]
    drawn = record["sequence"]
    assert {name: len(values) for name, values in drawn.items()} == {"n": 300, "mean": 300, "low": 300, "high": 300}
    assert (drawn["low"][48], drawn["low"][49]) == (None, found.sequence[0][49])
    assert drawn["mean"][1] == pytest.approx(found.differences[:2].mean())


def test_publishing_writes_both_and_says_the_decision_last(tmp_path, capsys):
    found = comparison(nameless=7)
    publish_comparison(found, "toys", tmp_path / "new", Console(width=80))
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [RECORD, PAGE]
    *_, caution, decision, where = capsys.readouterr().out.splitlines()
    assert caution == found.cautions[-1]
    assert decision == f"toys: {found.summary}"
    assert where == f"  {tmp_path / 'new' / PAGE}"


def test_a_long_sequence_is_drawn_small():
    values = np.random.default_rng(0).normal(size=100_000)
    page = sequence(values, values - 1, values + 1, label="", x="", ends=("", ""))
    assert len(page) < 40_000


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1e-9, 2e-9), (0, 123_456), (-3, 0.1), (0, 50), (-0.02, 0.0)])
def test_ticks_are_round_and_few(low, high):
    found = ticks(low, high)
    assert 3 <= len(found) <= 7
    assert all(low - 1e-12 <= tick <= high + 1e-12 for tick in found)
