import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from housing.config import (
    EncodingSettings,
    LinearSettings,
    ModelSettings,
    ReportConfig,
    ScaleSettings,
    ServeSettings,
    TrainConfig,
    TreeSettings,
    TuneConfig,
    tuned_settings,
)

COMMANDS = [TrainConfig, TuneConfig, ReportConfig, ServeSettings]


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """No setting comes from the shell that runs the tests."""
    import os

    for name in list(os.environ):
        if name.startswith(("HOUSING_", "MLFLOW_")):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("settings", [LinearSettings, EncodingSettings, TreeSettings, ScaleSettings, ModelSettings])
def test_a_misspelt_hyper_parameter_is_an_error(settings):
    with pytest.raises(ValidationError, match="rigde"):
        settings(rigde=1.0)


@pytest.mark.parametrize("settings", [LinearSettings(), TreeSettings(), ModelSettings(), TrainConfig()])
def test_settings_do_not_change(settings):
    name = next(iter(type(settings).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(settings, name, getattr(settings, name))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_setting_has_a_help_text(command):
    assert all(field.description for field in command.model_fields.values())


def test_the_committed_settings_are_complete_and_name_their_study():
    """A setting that is left out would follow a default that somebody changes later."""
    text = (Path(__file__).parents[1] / "src" / "housing" / "tuned.json").read_text(encoding="utf-8")
    committed = json.loads(text)
    assert ModelSettings.model_validate(committed["settings"]) == tuned_settings()
    for part in ("linear", "encoding", "trees"):
        assert set(committed["settings"][part]) == set(type(getattr(tuned_settings(), part)).model_fields)
    assert committed["study"]["complete"] + committed["study"]["pruned"] <= committed["study"]["trials"]


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("HOUSING_TRAIN_SEED", "7", "seed", 7),
        ("HOUSING_TRAIN_IF_MISSING", "true", "if_missing", True),
        ("HOUSING_TRAIN_DATA", "sample", "data", "sample"),
        ("MLFLOW_TRACKING_URI", "http://mlflow:5000", "tracking_uri", "http://mlflow:5000"),
        ("HOUSING_TRAIN_TRACKING_URI", "", "tracking_uri", ""),
    ],
)
def test_the_environment_sets_a_training(monkeypatch, variable, value, field, expected):
    monkeypatch.setenv(variable, value)
    assert getattr(TrainConfig(), field) == expected


def test_the_projects_own_variable_wins_over_mlflows(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://other:5000")
    monkeypatch.setenv("HOUSING_TRAIN_TRACKING_URI", "http://own:5000")
    assert TrainConfig().tracking_uri == "http://own:5000"


def test_the_service_is_set_by_its_own_prefix(monkeypatch):
    monkeypatch.setenv("HOUSING_PORT", "9001")
    monkeypatch.setenv("HOUSING_TRAIN_SEED", "3")  # of the training: none of its business
    settings = ServeSettings()
    assert (settings.port, settings.model_name) == (9001, "housing")


def test_a_misspelt_variable_of_the_service_is_refused_with_the_nearest_name(monkeypatch):
    monkeypatch.setenv("HOUSING_PROT", "9001")
    with pytest.raises(Exception, match="HOUSING_PROT is not a setting; the nearest one is HOUSING_PORT"):
        ServeSettings()


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        (TrainConfig, "folds", 1),
        (TrainConfig, "threads", 0),
        (TrainConfig, "seed", -1),
        (TuneConfig, "trials", 0),
        (ServeSettings, "port", 65536),
        (LinearSettings, "ridge", 0),
        (LinearSettings, "clip_low", 0.5),
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
