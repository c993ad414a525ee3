import json
from importlib.resources import files

import pytest
from pydantic import ValidationError

from recommender.config import (
    AlsSettings,
    EaseSettings,
    HistorySettings,
    ServeSettings,
    TrainConfig,
    TuneConfig,
    tuned_settings,
)


@pytest.mark.parametrize("split", ["time", "random"])
def test_the_committed_settings_are_complete_and_name_their_study(split):
    """A setting that is left out would follow a default that somebody changes later."""
    committed = json.loads(files("recommender").joinpath("tuned.json").read_text(encoding="utf-8"))[split]
    settings = tuned_settings(split)
    assert committed["settings"] == settings.model_dump(mode="json")
    assert committed["study"]["objective"].startswith("mean nDCG@10 over users on ")
    assert all(committed["study"]["best"][name] >= first for name, first in committed["study"]["first"].items())


def test_random_ratings_have_no_order_to_fade_by():
    assert tuned_settings("random").history.half_life_share == 0
    assert tuned_settings("time").history.half_life_share > 0


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        (TrainConfig, "k", 1),
        (TrainConfig, "k", 51),
        (TrainConfig, "max_users", 1),
        (TrainConfig, "dataset", "2m"),
        (TuneConfig, "trials", 1),
        (TuneConfig, "split", "date"),
        (ServeSettings, "max_k", 0),
        (ServeSettings, "max_histories", 0),
        (ServeSettings, "max_batch", 0),
        (EaseSettings, "penalty", 0),
        (EaseSettings, "rank", 0),
        (HistorySettings, "rating_slope", 0.34),
        (AlsSettings, "regularization", 0),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name(settings, name, value):
    with pytest.raises(ValidationError) as error:
        settings(**{name: value})
    assert [item["loc"] for item in error.value.errors()] == [(name,)]
