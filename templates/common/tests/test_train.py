"""What the gate compares does not depend on the unit of the target."""

from types import SimpleNamespace

import pytest

from new_project.evaluation.candidates import COLUMNS
from new_project.train import PROJECT
from portfolio_shared.evaluation.uncertainty import Interval, PairedComparison
from portfolio_shared.tracking.registry import decide_retrained

RECENT = PairedComparison(Interval(-2.0, -3.0, -1.0), probability_better=1.0, n=40)


@pytest.mark.parametrize("unit", [0.001, 1.0, 1_000_000.0])
@pytest.mark.parametrize(("worse", "outcome"), [(0.005, "promoted"), (0.05, "refused")])
def test_the_margin_is_a_share_of_the_error(monkeypatch, unit, worse, outcome):
    found = PairedComparison(Interval(0.0, -worse * unit, worse * unit), probability_better=0.5, n=500)
    monkeypatch.setattr("new_project.train.compare_with_champion", lambda _evaluation, _champion: found)
    chosen = SimpleNamespace(metrics={COLUMNS[0].metric: unit})
    trained = SimpleNamespace(candidates={"one": chosen}, chosen="one", evaluation=None)

    assert decide_retrained(PROJECT.compare(trained, None), RECENT, margin=PROJECT.margin).outcome == outcome
