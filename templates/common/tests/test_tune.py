"""The search writes what `train --tuned` reads, where it gains something."""

import json
from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from new_project.config import GRID, ModelSettings, TuneConfig, tuned_settings
from new_project.evaluation.candidates import COLUMNS
from new_project.tune import LEAST_GAIN, tune

LAST = ModelSettings(**{name: values[-1] for name, values in GRID.items()})
IN_USE = 2.0


@pytest.mark.parametrize(
    ("error", "written"),
    [(1.0, True), (IN_USE * (1 - 2 * LEAST_GAIN), True), (IN_USE * (1 - LEAST_GAIN / 2), False), (3.0, False)],
)
def test_what_is_clearly_better_is_written_and_nothing_else(monkeypatch, tmp_path, error, written):
    def compare(_split, settings, *, seed):
        found = error if settings == LAST != tuned_settings() else IN_USE
        return {"one": SimpleNamespace(metrics={COLUMNS[0].metric: found + 0 * seed})}

    monkeypatch.setattr("new_project.tune.compare", compare)
    monkeypatch.setattr("new_project.tune.choose", lambda candidates: next(iter(candidates)))
    tune(TuneConfig(data="sample", output=tmp_path / "tuned.json"), Console(quiet=True))

    assert (tmp_path / "tuned.json").exists() == written
    if written:
        assert tuned_settings(tmp_path / "tuned.json") == LAST
        assert json.loads((tmp_path / "tuned.json").read_text(encoding="utf-8"))["study"]["best"] == error


@pytest.mark.long
def test_the_search_measures_what_is_trained(monkeypatch, small_model, tmp_path):
    monkeypatch.setattr("new_project.tune.GRID", {name: values[:1] for name, values in GRID.items()})
    console = Console(file=StringIO(), width=500)
    tune(TuneConfig(data=small_model("new-project").config.data, output=tmp_path / "tuned.json"), console)
    assert f"{COLUMNS[0].heading} " in console.file.getvalue()
