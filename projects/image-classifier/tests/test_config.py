import os

import pytest
from pydantic import ValidationError

from image_classifier.config import (
    SCRATCH,
    AblationConfig,
    FineTuneSettings,
    ReportConfig,
    ServeSettings,
    TrainConfig,
)
from image_classifier.data.images import LARGE, ImageLimits

COMMANDS = [TrainConfig, AblationConfig, ReportConfig, ServeSettings]


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """No setting comes from the shell that runs the tests."""
    for name in list(os.environ):
        if name.startswith(("IMAGE_CLASSIFIER_", "MLFLOW_")):
            monkeypatch.delenv(name)


def test_a_misspelt_hyper_parameter_is_an_error():
    with pytest.raises(ValidationError, match="epohcs"):
        FineTuneSettings(epohcs=1)


@pytest.mark.parametrize("settings", [FineTuneSettings(), SCRATCH, TrainConfig(), ServeSettings()])
def test_settings_do_not_change(settings):
    name = next(iter(type(settings).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(settings, name, getattr(settings, name))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_setting_has_a_help_text(command):
    assert all(field.description for field in command.model_fields.values())


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("IMAGE_CLASSIFIER_TRAIN_SEED", "7", "seed", 7),
        ("IMAGE_CLASSIFIER_TRAIN_IF_MISSING", "true", "if_missing", True),
        ("IMAGE_CLASSIFIER_TRAIN_WEIGHTS", "none", "weights", "none"),
        ("IMAGE_CLASSIFIER_TRAIN_RECIPE", "quick", "recipe", "quick"),
        ("IMAGE_CLASSIFIER_TRAIN_EPOCHS", "3", "epochs", 3),
        ("MLFLOW_TRACKING_URI", "http://mlflow:5000", "tracking_uri", "http://mlflow:5000"),
        ("IMAGE_CLASSIFIER_TRAIN_TRACKING_URI", "", "tracking_uri", ""),
    ],
)
def test_the_environment_sets_a_training(monkeypatch, variable, value, field, expected):
    monkeypatch.setenv(variable, value)
    assert getattr(TrainConfig(), field) == expected


def test_the_service_is_set_by_its_own_prefix(monkeypatch):
    monkeypatch.setenv("IMAGE_CLASSIFIER_PORT", "9003")
    monkeypatch.setenv("IMAGE_CLASSIFIER_MAX_FILES", "4")
    monkeypatch.setenv("IMAGE_CLASSIFIER_TRAIN_SEED", "3")  # of the training: none of its business
    settings = ServeSettings()
    assert (settings.port, settings.model_name, settings.max_files) == (9003, "image-classifier", 4)


def test_files_and_folders_are_read_within_the_limits_of_the_service():
    """A batch must not refuse what the service takes, nor the other way round."""
    settings, limits = ServeSettings(), ImageLimits()
    assert (limits.max_bytes, limits.max_pixels, limits.max_pixels_whole, limits.max_frames) == (
        settings.max_file_bytes,
        settings.max_pixels,
        settings.max_pixels_whole,
        settings.max_frames,
    )
    assert settings.max_body_bytes >= settings.max_file_bytes


def test_the_most_that_the_service_can_need_is_less_than_a_gigabyte():
    """The sum that is written at `images.LARGE`; a body takes a tenth more than its bytes."""
    settings = ServeSettings()
    bodies = 1.1 * settings.max_concurrent_requests * settings.max_body_bytes
    pictures = 16 * settings.max_pixels_whole + 16 * LARGE * (settings.worker_threads - 1)
    copies = settings.worker_threads * settings.max_file_bytes
    assert 110 * 2**20 + bodies + pictures + copies < 2**30


def test_a_misspelt_variable_of_the_service_is_refused_with_the_nearest_name(monkeypatch):
    monkeypatch.setenv("IMAGE_CLASSIFIER_MAX_FILE", "9001")
    with pytest.raises(Exception, match="the nearest one is IMAGE_CLASSIFIER_MAX_FILES"):
        ServeSettings()


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        (TrainConfig, "coverage", 0.5),
        (TrainConfig, "coverage", 1),
        (TrainConfig, "epochs", 0),
        (TrainConfig, "crop", 31),
        (TrainConfig, "threads", 0),
        (TrainConfig, "workers", -1),
        (TrainConfig, "recipe", "slow"),
        (TrainConfig, "seed", -1),
        (AblationConfig, "epochs", 0),
        (AblationConfig, "crop", 16),
        (ServeSettings, "port", 65536),
        (ServeSettings, "max_files", 0),
        (ServeSettings, "max_file_bytes", 0),
        (ServeSettings, "max_pixels", 63),
        (ServeSettings, "max_frames", 0),
        (FineTuneSettings, "batch", 1),
        (FineTuneSettings, "rate", 0),
        (FineTuneSettings, "depth_decay", 1.1),
        (FineTuneSettings, "averaging", 1),
        (FineTuneSettings, "augmentation", "weird"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name(settings, name, value):
    with pytest.raises(ValidationError) as error:
        settings(**{name: value})
    assert [item["loc"] for item in error.value.errors()] == [(name,)]
