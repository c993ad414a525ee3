import json
import os
from importlib.resources import files

import pytest
from pydantic import ValidationError

from recommender.config import (
    AlsSettings,
    BaselineSettings,
    EaseSettings,
    HistorySettings,
    ModelSettings,
    ReportConfig,
    ServeSettings,
    TrainConfig,
    TuneConfig,
    tuned_settings,
)

COMMANDS = [TrainConfig, TuneConfig, ReportConfig, ServeSettings]


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """No setting comes from the shell that runs the tests."""
    for name in list(os.environ):
        if name.startswith(("RECOMMENDER_", "MLFLOW_")):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("settings", [EaseSettings, HistorySettings, AlsSettings, BaselineSettings, ModelSettings])
def test_a_misspelt_hyper_parameter_is_an_error(settings):
    with pytest.raises(ValidationError, match="penlaty"):
        settings(penlaty=1.0)


@pytest.mark.parametrize("settings", [EaseSettings(), HistorySettings(), ModelSettings(), TrainConfig()])
def test_settings_do_not_change(settings):
    name = next(iter(type(settings).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(settings, name, getattr(settings, name))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_setting_has_a_help_text(command):
    assert all(field.description for field in command.model_fields.values())


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
    ("variable", "value", "field", "expected"),
    [
        ("RECOMMENDER_TRAIN_SEED", "7", "seed", 7),
        ("RECOMMENDER_TRAIN_IF_MISSING", "true", "if_missing", True),
        ("RECOMMENDER_TRAIN_DATASET", "1m", "dataset", "1m"),
        ("MLFLOW_TRACKING_URI", "http://mlflow:5000", "tracking_uri", "http://mlflow:5000"),
        ("RECOMMENDER_TRAIN_TRACKING_URI", "", "tracking_uri", ""),
    ],
)
def test_the_environment_sets_a_training(monkeypatch, variable, value, field, expected):
    monkeypatch.setenv(variable, value)
    assert getattr(TrainConfig(), field) == expected


def test_the_service_is_set_by_its_own_prefix(monkeypatch):
    monkeypatch.setenv("RECOMMENDER_PORT", "9002")
    monkeypatch.setenv("RECOMMENDER_MAX_HISTORY", "20")
    monkeypatch.setenv("RECOMMENDER_TRAIN_SEED", "3")  # of the training: none of its business
    settings = ServeSettings()
    assert (settings.port, settings.model_name, settings.max_history) == (9002, "recommender", 20)
    assert (settings.max_k, settings.max_query) == (100, 100)
    assert (settings.max_histories, settings.max_batch) == (1000, 20_000)


def test_a_misspelt_variable_of_the_service_is_refused_with_the_nearest_name(monkeypatch):
    monkeypatch.setenv("RECOMMENDER_MAX_HISTRY", "9001")
    with pytest.raises(Exception, match="the nearest one is RECOMMENDER_MAX_HISTORY"):
        ServeSettings()


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        (TrainConfig, "k", 1),
        (TrainConfig, "k", 51),
        (TrainConfig, "max_users", 1),
        (TrainConfig, "dataset", "2m"),
        (TrainConfig, "seed", -1),
        (TuneConfig, "trials", 1),
        (TuneConfig, "split", "date"),
        (ServeSettings, "port", 65536),
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
