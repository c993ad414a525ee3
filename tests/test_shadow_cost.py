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


@pytest.mark.parametrize(
    ("name", "document"),
    [("shadow_cost", "OPERATIONS"), ("prediction_log_cost", "OPERATIONS"), ("endurance_table", "RELIABILITY")],
)
def test_documents_state_what_was_measured(name: str, document: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    module = importlib.import_module(name)
    sections = module.sections(json.loads(module.RECORD.read_text(encoding="utf-8")))
    found = stale([getattr(module, document)], sections, {}, of="none.")
    assert not [each for each in found if each.rpartition(" ")[2] in sections]


def test_the_interval_is_that_of_the_rounds(shadow_cost: ModuleType) -> None:
    assert shadow_cost.ratio([0.99, 1.0, 1.01]) == pytest.approx((1.0, 0.9755, 1.0251), abs=1e-4)


@pytest.mark.parametrize(
    ("interval", "said"),
    [((1.01, 1.0, 1.05), "kept"), ((1.05, 1.0, 1.06), "by the estimate"), ((1.06, 1.0, 1.07), "**missed**")],
)
def test_a_table_says_how_a_limit_is_kept(shadow_cost: ModuleType, interval: list[float], said: str) -> None:
    assert shadow_cost.verdict(interval, 1.05) == f"5 %: {said}"


@pytest.mark.parametrize("broken", ["", "pauses, latency", "client, latency", "client, throughput", "dropped"])
def test_limits_are_on_the_upper_ends_of_one_client_and_on_drops_where_no_core_is_free(
    shadow_cost: ModuleType, broken: str
) -> None:
    narrow, wide = [1.0, 0.98, 1.02], [1.0, 0.9, 1.06]
    rows = [
        {"project": "p", "load": name, "latency": wide, "throughput": wide, "dropped": 0} for name in shadow_cost.LOADS
    ]
    of = {row["load"]: row for row in rows}
    for load, limited in shadow_cost.LIMITED.items():
        of[load].update({what: wide if broken and f"{load}, {what}".endswith(broken) else narrow for what in limited})
    of[shadow_cost.FULL]["dropped"] = int(broken != "dropped")
    limits = shadow_cost.limits_of(rows)
    assert len(limits) == 4
    assert [broken in limit["what"] for limit in limits if not limit["kept"]] == [True] * bool(broken)
