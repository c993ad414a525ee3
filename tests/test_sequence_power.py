"""The simulation behind the table of docs/experiments.md."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

from portfolio_shared.evaluation.sections import read_section

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "benchmarks/results/sequence_power.json"


@pytest.fixture
def sequence_power(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("sequence_power")


def test_the_section_is_what_was_recorded(sequence_power: ModuleType) -> None:
    recorded = json.loads(RECORD.read_text("utf-8"))

    assert read_section(ROOT / "docs/experiments.md", "sequence-power") == sequence_power.table(recorded)
    assert (recorded["pairs"], {row["simulations"] for row in recorded["rows"]}) == (5000, {1000})
    assert [limit["what"] for limit in sequence_power.limits_of(recorded) if not limit["kept"]] == []


def test_one_look_finds_an_effect_in_half_of_the_experiments(sequence_power: ModuleType) -> None:
    recorded = json.loads(RECORD.read_text("utf-8"))

    for row, size in zip(recorded["one_look"], sequence_power.EFFECTS.values(), strict=True):
        assert stats.norm.sf(stats.norm.isf(0.025) - size * row["n"] ** 0.5) == pytest.approx(0.5, abs=0.03)
    assert "1.8 times as many for 0.1 sd (706 against 385)" in sequence_power.price(recorded)


@pytest.mark.long
def test_a_small_run_finds_winners_as_often_as_is_stated(
    sequence_power: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    output, n = tmp_path / "power.json", 100
    command = ["sequence_power.py", "--simulations", str(n), "--pairs", "1000", "--seed", "1", "--output", str(output)]
    monkeypatch.setattr("sys.argv", command)

    assert sequence_power.main() == 0
    rows = {row["differences"]: row for row in json.loads(output.read_text("utf-8"))["rows"]}
    most = stats.binom.ppf(0.999, n, 0.05)
    for kind in (*sequence_power.HELD, sequence_power.BY_CLIENT):
        assert rows[kind]["sequence"]["stopped"] <= most
        assert rows[kind]["fixed"]["stopped"] > most
    assert rows["normal, 0.2 sd"]["sequence"]["stopped"] == n


def test_what_a_client_said_so_far_is_its_value(sequence_power: ModuleType) -> None:
    mean, deviation, clients = sequence_power.by_client(np.random.default_rng(0), 300)

    rng = np.random.default_rng(0)
    said: dict[int, list[float]] = {}
    who = rng.integers(sequence_power.CLIENTS, size=300)
    truths = rng.normal(size=sequence_power.CLIENTS)[who] + rng.normal(size=300)
    for client, truth in zip(who.tolist(), truths.tolist(), strict=True):
        said.setdefault(client, []).append(truth)
    values = [np.mean(of_client) for of_client in said.values()]
    assert (clients[-1], mean[-1], deviation[-1]) == pytest.approx((len(said), np.mean(values), np.std(values)))
