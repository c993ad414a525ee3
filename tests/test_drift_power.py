"""What docs/operations.md says of false alarms and power is what was measured, and the measuring runs."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest
from checkout import ROOT

from portfolio_shared.evaluation.sections import read_section

RECORD = ROOT / "benchmarks/results/drift_power.json"


@pytest.fixture
def drift_power(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("drift_power")


def test_the_section_is_what_was_recorded(drift_power: ModuleType) -> None:
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))

    assert read_section(ROOT / "docs/operations.md", "drift-power") == drift_power.tables(recorded)
    undrifted = [row for row in recorded["rows"] if row["drift"] == drift_power.UNDRIFTED]
    assert [(row["size"], row["windows"]) for row in undrifted] == [(size, 1000) for size in drift_power.SIZES]
    assert [limit["what"] for limit in drift_power.limits_of(recorded) if not limit["kept"]] == []


@pytest.mark.long
def test_a_small_run_measures_every_drift(
    drift_power: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    output = tmp_path / "power.json"
    command = ["drift_power.py", "--sizes", "100", "--undrifted", "3", "--drifted", "2", "--output", str(output)]
    monkeypatch.setattr("sys.argv", command)

    assert drift_power.main() == 0
    rows = {row["drift"]: row["alarms"][drift_power.OURS] for row in json.loads(output.read_text("utf-8"))["rows"]}
    assert len(rows) == 14
    assert rows[drift_power.UNDRIFTED] == 0
    assert rows["1 sd in five numbers"] == rows["a new category in 20 % of rows"] == 2


@pytest.mark.parametrize(
    ("alarms", "windows", "written"),
    [(8, 1000, "0.8 % (0.3 to 1.6)"), (50, 50, "100 % (93 to 100)"), (0, 50, "0 % (0 to 7)")],
)
def test_a_share_has_the_interval_of_clopper_and_pearson(
    drift_power: ModuleType, alarms: int, windows: int, written: str
) -> None:
    assert drift_power.share(alarms, windows) == written
