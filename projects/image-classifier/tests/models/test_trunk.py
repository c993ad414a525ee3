"""The trunk that ships, and features: the right ones, each computed once, and no others."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from image_classifier.config import Compute, ModelSettings
from image_classifier.data.load import Dataset
from image_classifier.data.looks import Look
from image_classifier.data.photos import Photo, pixels_of
from image_classifier.data.preprocessing import Preprocessing
from image_classifier.models import trunk as module
from image_classifier.models.predictor import session
from image_classifier.models.trunk import MOBILENET, Trunk, features_of, outputs_of, shipped_trunk, trunk_of
from portfolio_shared.data.checks import DataError

SIDE = 32


@pytest.fixture(scope="module")
def trunk() -> Trunk:
    return shipped_trunk(Preprocessing(SIDE, SIDE))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the photographs whose pixels were read."""
    names: list[str] = []

    def watched(photo: Photo, preprocessing: Preprocessing) -> np.ndarray:
        names.append(photo.name)
        return pixels_of(photo, preprocessing)

    monkeypatch.setattr(module, "pixels_of", watched)
    return names


def test_the_trunk_that_ships_is_small_and_takes_pictures_of_any_side(sample: Dataset) -> None:
    assert MOBILENET.path.stat().st_size < 2_500_000
    for side in (32, 96):
        how = Preprocessing(side, side)
        features = features_of(sample.photos[:2], shipped_trunk(how)).rows
        assert features.shape == (2, 1280)
        with pytest.raises(Exception, match="INVALID_ARGUMENT"):
            session(shipped_trunk(how).graph).run(None, {"pictures": np.zeros((1, 40, 40, 3), np.uint8)})


def test_its_float_weights_compute_what_its_integers_compute(trunk: Trunk, sample: Dataset) -> None:
    pictures = np.stack([pixels_of(photo, trunk.preprocessing) for photo in sample.photos[:3]])
    (floats,), (integers,) = (
        session(graph).run(["grid"], {"pictures": pictures}) for graph in (trunk.graph, MOBILENET.path.read_bytes())
    )
    np.testing.assert_allclose(floats, integers, atol=1e-3)
    assert {node.op_type for node in onnx.load_from_string(trunk.graph).graph.node} >= {"Conv", "Clip", "Add"}
    assert b"DequantizeLinear" not in trunk.graph


def test_a_trunk_that_was_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.onnx").write_bytes(MOBILENET.path.read_bytes()[:-1])
    monkeypatch.setattr(module, "MOBILENET", replace(MOBILENET, path=tmp_path / "mine.onnx"))
    with pytest.raises(DataError, match=r"mine\.onnx was changed"):
        shipped_trunk(Preprocessing(SIDE, SIDE))


def test_the_probe_sees_whole_pictures_larger_than_the_weights_own_but_enlarges_no_small_ones(
    sample: Dataset, tmp_path: Path
) -> None:
    def of(crop: int | None, photos: Sequence[Photo]) -> Preprocessing:
        settings = ModelSettings(backbone="mobilenet_v2", weights="shipped", crop=crop)
        return trunk_of(settings, photos).preprocessing

    enlarged = []
    for photo, side in zip(sample.photos, (223, 224, 225), strict=False):
        with Image.open(photo.path) as picture:
            picture.resize((300, side)).save(tmp_path / f"{side}.jpg")
        enlarged.append(replace(photo, path=tmp_path / f"{side}.jpg"))
    assert of(None, enlarged) == Preprocessing(288, 288)
    assert of(None, enlarged[:2]) == Preprocessing(224, 224)
    assert of(None, sample.photos) == Preprocessing(224, 224)
    assert of(96, enlarged) == Preprocessing(96, 96)


def test_features_are_those_of_each_picture_in_the_order_asked(trunk: Trunk, sample: Dataset) -> None:
    photos = list(sample.photos[::12])
    features = features_of(photos, trunk).rows
    assert (features.shape, features.dtype) == ((len(photos), 1280), np.float32)
    for backwards in (features_of(photos[::-1], trunk, compute=Compute(threads=threads)).rows for threads in (1, 2)):
        np.testing.assert_allclose(backwards[::-1], features, atol=1e-4)
    pixels = pixels_of(photos[3], trunk.preprocessing)[None]
    (grid,) = session(trunk.graph).run(["grid"], {"pictures": pixels})
    np.testing.assert_allclose(features[3], grid[0].mean(axis=(1, 2)), atol=1e-4)


def test_a_mirrored_picture_has_the_features_of_its_mirror_image(trunk: Trunk, sample: Dataset, tmp_path: Path) -> None:
    photo = sample.photos[0]
    compute = Compute(work=tmp_path)
    plain, mirrored = (features_of([photo], trunk, mirrored=turned, compute=compute).rows for turned in (False, True))
    pixels = pixels_of(photo, trunk.preprocessing)[None, :, ::-1]
    (grid,) = session(trunk.graph).run(["grid"], {"pictures": np.ascontiguousarray(pixels)})
    np.testing.assert_allclose(mirrored, grid.mean(axis=(2, 3)), atol=1e-4)
    assert np.abs(plain - mirrored).max() > 0.01


def test_each_picture_is_computed_once(trunk: Trunk, sample: Dataset, tmp_path: Path, seen: list[str]) -> None:
    photos, compute, advanced = list(sample.photos[::10]), Compute(work=tmp_path), []
    first, seconds = features_of(photos[:12], trunk, compute=compute, advance=advanced.append)
    assert (len(seen), sum(advanced)) == (12, 12)
    # Known ones, new ones, and one that is there twice under two names.
    twin = replace(photos[15], name="other/name.png")
    more = features_of([*photos[6:16], twin], trunk, compute=compute).rows
    assert len(seen) == 16
    np.testing.assert_array_equal(more[:6], first[6:])
    np.testing.assert_array_equal(more[-1], more[-2])
    again = features_of(photos[:12], trunk, compute=compute)
    assert len(seen) == 16
    np.testing.assert_array_equal(again.rows, first)
    # The seconds are those of when they were computed.
    assert again.seconds == pytest.approx(seconds)
    assert seconds > 0
    assert len(list((tmp_path / "features").iterdir())) == 1


def test_kept_features_belong_to_weights_and_preprocessing(
    trunk: Trunk, sample: Dataset, tmp_path: Path, seen: list[str]
) -> None:
    other = onnx.load_from_string(trunk.graph)
    other.graph.initializer[0].raw_data = other.graph.initializer[0].raw_data[::-1]
    others = (
        trunk,
        replace(trunk, graph=other.SerializeToString()),
        replace(trunk, preprocessing=Preprocessing(40, SIDE)),
        replace(trunk, preprocessing=Preprocessing(SIDE, SIDE, "bicubic")),
    )
    for number, each in enumerate(others, 1):
        features_of(sample.photos[:4], each, compute=Compute(work=tmp_path))
        assert len(seen) == 4 * number
        assert len(list((tmp_path / "features").iterdir())) == number


def test_a_changed_picture_under_the_same_name_is_computed_anew(trunk: Trunk, sample: Dataset, tmp_path: Path) -> None:
    first, other = sample.photos[0], sample.photos[-1]
    features_of([first], trunk, compute=Compute(work=tmp_path))
    features = features_of([replace(other, name=first.name)], trunk, compute=Compute(work=tmp_path)).rows
    np.testing.assert_array_equal(features, features_of([other], trunk).rows)


def test_damaged_features_are_refused_by_name(trunk: Trunk, sample: Dataset, tmp_path: Path) -> None:
    compute = Compute(work=tmp_path)
    features_of(sample.photos[:4], trunk, compute=compute)
    (file,) = (tmp_path / "features").iterdir()
    whole = file.read_bytes()
    for damaged in (b"", b"text", whole[: len(whole) // 2]):
        file.write_bytes(damaged)
        with pytest.raises(DataError, match=f"{file.name} cannot be read .* delete it to compute"):
            features_of(sample.photos[:4], trunk, compute=compute)


def test_a_kill_while_features_are_written_leaves_those_before(
    trunk: Trunk, sample: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = Compute(work=tmp_path)
    first = features_of(sample.photos[:4], trunk, compute=compute).rows

    def killed(file, **_: object) -> None:
        file.write(b"the first half")
        raise KeyboardInterrupt

    monkeypatch.setattr(module.np, "savez", killed)
    with pytest.raises(KeyboardInterrupt):
        features_of(sample.photos[:6], trunk, compute=compute)
    monkeypatch.undo()
    np.testing.assert_array_equal(features_of(sample.photos[:4], trunk, compute=compute).rows, first)


def test_a_picture_that_cannot_be_read_ends_the_computation(trunk: Trunk, sample: Dataset, tmp_path: Path) -> None:
    lost = replace(sample.photos[0], path=tmp_path / "gone.jpg")
    with pytest.raises(FileNotFoundError, match="gone"):
        outputs_of(trunk, ("grid",), [*sample.photos[:9], lost], threads=2)


def test_features_of_copies_are_computed_and_not_kept(
    trunk: Trunk, sample: Dataset, tmp_path: Path, seen: list[str]
) -> None:
    compute, photo = Compute(work=tmp_path), sample.photos[0]
    copy = replace(photo, key="copy", look=Look(0.5))
    first, second = features_of([photo, copy], trunk, compute=compute).rows
    assert not np.allclose(first, second)
    seen.clear()
    again = features_of([copy, photo], trunk, compute=compute).rows
    np.testing.assert_array_equal(again, [second, first])
    assert seen == [photo.name]
    (file,) = (tmp_path / "features").iterdir()
    with np.load(file) as kept:
        assert kept["keys"].tolist() == [photo.key]
