"""The drawings: the same every time, five kinds, and nothing that a linear model on pixels could use."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from image_classifier.data.drawing import KINDS
from image_classifier.data.sample import draw_flower, write_sample


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    one, two, other = (
        write_sample(tmp_path / name, per_class=10, size=32, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    files = sorted(path.relative_to(one) for path in one.rglob("*.*"))
    assert files == sorted(path.relative_to(two) for path in two.rglob("*.*"))
    assert all((one / file).read_bytes() == (two / file).read_bytes() for file in files)
    text = Path("daisy/page.jpg")
    assert all((one / file).read_bytes() != (other / file).read_bytes() for file in files if file != text)


def test_more_pictures_change_no_earlier_ones(tmp_path: Path) -> None:
    few, more = (write_sample(tmp_path / str(n), per_class=n, size=32) for n in (10, 12))
    assert len(list(few.rglob("[0-9][0-9][0-9][0-9].jpg"))) == 50
    for file in few.rglob("[0-9][0-9][0-9][0-9].jpg"):
        assert file.read_bytes() == (more / file.relative_to(few)).read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_drawing_fills_its_picture_at_any_size(kind: str) -> None:
    small, large = (draw_flower(kind, size=size, rng=np.random.default_rng(5)) for size in (64, 256))
    assert (small.size, large.size) == ((64, 64), (256, 256))
    assert np.asarray(large).std() > 20
    reduced = large.resize((8, 8), Image.Resampling.BOX)
    difference = np.asarray(reduced, dtype=float) - np.asarray(small.resize((8, 8), Image.Resampling.BOX), dtype=float)
    assert np.abs(difference).mean() < 25  # one scene


@pytest.mark.long
def test_a_linear_model_on_pixels_fails(tmp_path: Path) -> None:
    folder = write_sample(tmp_path, per_class=80, size=64)
    files = sorted(folder.rglob("[0-9][0-9][0-9][0-9].jpg"))
    X = np.stack([np.asarray(Image.open(file).resize((32, 32))).ravel() / 255.0 for file in files])
    y = np.array([file.parent.name for file in files])
    test = np.random.default_rng(0).random(len(files)) < 0.3
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=500)).fit(X[~test], y[~test])
    assert 0.2 < model.score(X[test], y[test]) < 0.55  # better than guessing: a kind has its colours
