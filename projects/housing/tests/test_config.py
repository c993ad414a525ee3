import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from housing.config import (
    EncodingSettings,
    LinearSettings,
    ModelSettings,
    ScaleSettings,
    TrainConfig,
    TreeSettings,
    TuneConfig,
    tuned_settings,
)


def test_the_committed_settings_are_complete_and_name_their_study():
    """A setting that is left out would follow a default that somebody changes later."""
    text = (Path(__file__).parents[1] / "src" / "housing" / "tuned.json").read_text(encoding="utf-8")
    committed = json.loads(text)
    assert ModelSettings.model_validate(committed["settings"]) == tuned_settings()
    for part in ("linear", "encoding", "trees"):
        assert set(committed["settings"][part]) == set(type(getattr(tuned_settings(), part)).model_fields)
    assert committed["study"]["complete"] + committed["study"]["pruned"] <= committed["study"]["trials"]


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        (TrainConfig, "folds", 1),
        (TrainConfig, "threads", 0),
        (TuneConfig, "trials", 0),
        (LinearSettings, "ridge", 0),
        (LinearSettings, "clip_low", 0.5),
        (EncodingSettings, "smoothing", 0),  # the mean of a place without houses would be 0 / 0
        (TreeSettings, "depth", 9),
        (ScaleSettings, "floor", 0),
        (ScaleSettings, "bands", 0),
        (ModelSettings, "linear_weight", 1.01),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name(settings, name, value):
    with pytest.raises(ValidationError) as error:
        settings(**{name: value})
    assert [item["loc"] for item in error.value.errors()] == [(name,)]
