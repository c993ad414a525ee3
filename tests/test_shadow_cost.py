"""What the benchmark of a shadow demands: the interval decides, not its middle."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

from portfolio_shared.evaluation.documents import stale

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def shadow_cost(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("shadow_cost")


def test_the_runbook_states_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    for name in ("shadow_cost", "prediction_log_cost"):
        module = importlib.import_module(name)
        prefix = {"shadow_cost": "SHADOWING", "prediction_log_cost": "OBSERVING"}[name]
        numbers = module.numbers(json.loads(module.RECORD.read_text(encoding="utf-8")))
        found = stale([module.OPERATIONS], {}, numbers, of=getattr(module, prefix))
        assert [each for each in found if ": section " not in each] == []


def test_the_interval_is_that_of_the_rounds(shadow_cost: ModuleType) -> None:
    assert shadow_cost.ratio([0.99, 1.0, 1.01]) == pytest.approx((1.0, 0.9755, 1.0251), abs=1e-4)


@pytest.mark.parametrize("broken", ["", "latency", "throughput", "dropped"])
def test_limits_are_on_the_upper_ends_where_a_core_is_free_and_on_drops_where_none_is(
    shadow_cost: ModuleType, broken: str
) -> None:
    narrow, wide = [1.0, 0.98, 1.02], [1.0, 0.9, 1.06]
    rows = [
        {"project": "p", "load": name, "latency": wide, "throughput": wide, "dropped": 0} for name in shadow_cost.LOADS
    ]
    of = {row["load"]: row for row in rows}
    of[shadow_cost.FREE].update({what: wide if what == broken else narrow for what in ("latency", "throughput")})
    of[shadow_cost.FULL]["dropped"] = int(broken != "dropped")
    limits = shadow_cost.limits_of(rows)
    assert len(limits) == 3
    assert [broken in limit["what"] for limit in limits if not limit["kept"]] == [True] * bool(broken)
