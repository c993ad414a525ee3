"""The search writes what `train --tuned` reads."""

import json

import pytest
from rich.console import Console

from new_project.config import GRID, TuneConfig, tuned_settings
from new_project.tune import tune


@pytest.fixture(autouse=True)
def _one_combination(monkeypatch):
    monkeypatch.setattr("new_project.tune.GRID", {name: values[:1] for name, values in GRID.items()})


@pytest.mark.long
def test_what_is_written_can_be_trained_with(small_model, tmp_path):
    small, path = small_model("new-project"), tmp_path / "tuned.json"
    tune(TuneConfig(data=small.config.data, output=path), Console(quiet=True))
    study = json.loads(path.read_text(encoding="utf-8"))["study"]
    assert study["best"] <= study["in_use"]
    assert tuned_settings(path) in (tuned_settings(), type(tuned_settings())(**{k: v[0] for k, v in GRID.items()}))
