"""The small model and a folder of pictures, for the tests of the project's parts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_models import SmallModel


@pytest.fixture(scope="session")
def trained(small_model: Callable[[str], SmallModel]) -> Any:
    return small_model("new-project").trained


@pytest.fixture(scope="session")
def bundle(small_model: Callable[[str], SmallModel]) -> Path:
    return small_model("new-project").bundle


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labels of 60 pictures: noise in red and in blue."""
    place, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for channel, label in enumerate(("red", "blue")):
        (place / label).mkdir()
        for number in range(60):
            noise = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
            noise[..., 2 * channel] = 255
            Image.fromarray(noise).resize((64, 48)).save(place / label / f"{number:02}.png")
    return place
