import os

import pytest
from pydantic import ValidationError

from image_classifier.config import FineTuneSettings, ServeSettings, TrainConfig, TuneConfig
from image_classifier.data.images import LARGE, ImageLimits


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """No setting comes from the shell that runs the tests."""
    for name in list(os.environ):
        if name.startswith(("IMAGE_CLASSIFIER_", "MLFLOW_")):
            monkeypatch.delenv(name)


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
    bodies = 1.1 * settings.max_total_body_bytes
    pictures = 16 * settings.max_pixels_whole + 16 * LARGE * (settings.worker_threads - 1)
    copies = settings.worker_threads * settings.max_file_bytes
    assert 110 * 2**20 + bodies + pictures + copies < 2**30


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        (TrainConfig, "coverage", 0.5),
        (TrainConfig, "epochs", 0),
        (TrainConfig, "crop", 31),
        (TrainConfig, "recipe", "slow"),
        (TuneConfig, "crop", 16),
        (ServeSettings, "max_files", 0),
        (FineTuneSettings, "depth_decay", 1.1),
        (FineTuneSettings, "averaging", 1),
        (FineTuneSettings, "augmentation", "weird"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name(settings, name, value):
    with pytest.raises(ValidationError) as error:
        settings(**{name: value})
    assert [item["loc"] for item in error.value.errors()] == [(name,)]
