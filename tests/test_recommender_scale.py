"""What the benchmark of sizes keeps when it is interrupted, and what it does not mix."""

import importlib
import json
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
COSTS = {"seconds": 1.0, "cpu_seconds": 1.0, "peak_rss_mb": 1}
CONSOLE = Console(quiet=True)


@pytest.fixture
def scale(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("recommender_scale")


@pytest.fixture
def options(tmp_path: Path) -> Namespace:
    return Namespace(folder=tmp_path, memory="2GB", most_for_als=0)


def test_an_etl_that_was_interrupted_begins_anew(
    scale: ModuleType, options: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on by itself from `.stored.next`, which would make its seconds those of a part."""
    found: list[list[str]] = []

    def run(command: tuple[str, ...], log: Path) -> dict[str, float]:
        if "etl" in command:
            found.append(sorted(path.name for path in log.parent.iterdir()))
            for left in (".stored.next/rows", ".etl-a1b2c3", "stored"):
                (log.parent / left).mkdir(parents=True)
            (log.parent / ".stored.lock").touch()
            raise KeyboardInterrupt
        if "generate" in command:
            (log.parent / "source").mkdir()
        return dict(COSTS)

    monkeypatch.setattr(scale, "costs_of", run)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            scale.measured(1_000, options, CONSOLE)
    assert found == [["source", "steps.json"]] * 2


def test_what_a_size_cost_is_kept_before_its_data_go(
    scale: ModuleType, options: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = {**scale.conditions_of(options), "ratings": 1_000}
    monkeypatch.setattr(scale, "measure", lambda *_: size)
    with monkeypatch.context() as broken:
        broken.setattr(scale.shutil, "rmtree", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            scale.measured(1_000, options, CONSOLE)
    monkeypatch.setattr(scale, "measure", _interrupted)
    assert scale.measured(1_000, options, CONSOLE) == size
    assert [path.name for path in options.folder.iterdir()] == ["1000.json"]


def _interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_costs_under_another_limit_are_measured_again(scale: ModuleType, tmp_path: Path) -> None:
    kept, limit = tmp_path / "1000.json", {"machine": "2 cores", "memory_limit": "2GB"}
    scale.keep(kept, {**limit, "ratings": 1_000})
    assert scale.kept_of(kept, limit)["ratings"] == 1_000
    assert scale.kept_of(kept, {**limit, "memory_limit": "4GB"}) == {}
    assert scale.kept_of(tmp_path / "missing.json", limit) == {}


def test_sizes_of_another_machine_are_not_mixed_with_these(scale: ModuleType, tmp_path: Path) -> None:
    record, here = tmp_path / "record.json", {"machine": "2 cores", "memory_limit": "2GB"}
    assert scale.others_of(record, [1_000], here) == {}
    record.write_text(json.dumps({**here, "sizes": [{"ratings": 1_000}, {"ratings": 2_000}]}), encoding="utf-8")
    assert scale.others_of(record, [1_000], here) == {2_000: {"ratings": 2_000}}
    elsewhere = here | {"machine": "64 cores"}
    with pytest.raises(ValueError, match=r"has 2,000 ratings from .*2 cores.*: name another --output"):
        scale.others_of(record, [1_000], elsewhere)
    assert scale.others_of(record, [1_000, 2_000], elsewhere) == {}
