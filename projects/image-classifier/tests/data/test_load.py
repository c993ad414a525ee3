"""From a setting to photographs: which source, which folders, which parts."""

import hashlib
import os
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from image_classifier.data import load as module
from image_classifier.data.load import (
    FLOWERS,
    REDUCED,
    SAMPLE,
    SPLIT_SEED,
    Dataset,
    digest,
    is_sample,
    load,
    resolve,
    split,
)
from image_classifier.data.photos import Photo
from portfolio_shared.data import sources
from portfolio_shared.data.archives import UNPACKED
from portfolio_shared.data.checks import DataError, DataReport
from portfolio_shared.data.sources import Source


def pictures(folder: Path, classes: tuple[str, ...] = ("cat", "dog"), count: int = 3) -> Path:
    rng = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(folder / name / f"{number}.png")
    return folder


def tarred(folder: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w") as packed:
        packed.add(folder, arcname="top")
    return archive


def dataset(photos: Sequence[Photo], labels: tuple[str, ...] = ("daisy",)) -> Dataset:
    source, report = Source("path", Path("x"), "because"), DataReport("test", rows_read=len(photos))
    return Dataset(source, "test", digest(photos), report, tuple(photos), labels)


def photos(count: int, *, label: int = 0) -> list[Photo]:
    return [Photo(Path("x"), f"{label}/{n}.jpg", label, f"{label}-{n}", f"{label}-{n}") for n in range(count)]


def test_the_public_archive_comes_before_the_smaller_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", str(tmp_path))
    (tmp_path / REDUCED).touch()
    for setting in ("auto", "full"):
        assert resolve(setting).path == tmp_path / REDUCED
    (tmp_path / "flower_photos.tgz").touch()
    monkeypatch.setattr(module, "FLOWERS", replace(FLOWERS, sha256=(hashlib.sha256(b"").hexdigest(),)))
    for setting in ("auto", "full"):
        source = resolve(setting)
        assert (source.kind, source.path) == ("full", tmp_path / "flower_photos.tgz")


def test_without_an_archive_the_host_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(sources, "reachable", lambda urls, timeout: asked.extend(urls) or False)
    assert resolve("auto").kind == "sample"
    assert asked == list(FLOWERS.urls)


def test_folders_and_archives_with_or_without_a_folder_on_top_are_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    folder = pictures(tmp_path / "in" / "animals")
    with zipfile.ZipFile(tmp_path / "animals.zip", "w") as packed:
        for file in folder.rglob("*.png"):
            packed.write(file, file.relative_to(folder))
    archive = tarred(folder, tmp_path / "animals.tar")
    loaded = [load(str(path)) for path in (folder, tmp_path / "in", archive, tmp_path / "animals.zip")]
    assert {data.labels for data in loaded} == {("cat", "dog")}
    assert len({data.sha256 for data in loaded}) == 1
    assert [photo.name for photo in loaded[2].photos][:2] == ["cat/0.png", "cat/1.png"]
    assert loaded[2].photos[0].path.is_relative_to(UNPACKED)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".state", "animals.tar", "animals.zip", "in"]
    assert loaded[2].name == "pictures in animals.tar"


def test_an_archive_in_the_cache_is_not_unpacked_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    tarred(pictures(tmp_path / "in"), cache / REDUCED)
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", str(cache))
    monkeypatch.chdir(tmp_path)
    loaded = load("full")
    assert loaded.source.kind == "full"
    assert loaded.photos[0].path.is_relative_to(UNPACKED)
    assert os.listdir(cache) == [REDUCED]  # noqa: PTH208


def test_what_is_wrong_in_an_archive_names_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as packed:
        packed.writestr("ml\\ratings.csv", "userId")
    with pytest.raises(
        DataError, match=f"^{tmp_path}/films.zip holds 1 files in one folder or in none; expected a folder for each"
    ):
        load(str(tmp_path / "films.zip"))


def split_pictures(folder: Path, parts: dict[str, tuple[str, ...]], count: int = 12) -> Path:
    """Write different pictures under equal names into ``<part>/<class>``."""
    rng = np.random.default_rng(1)
    for part, classes in parts.items():
        for name in classes:
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                picture = Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8))
                picture.save(folder / part / name / f"{number}.png")
    return folder


BEES = ("ants", "bees")


@pytest.mark.parametrize(
    ("parts", "tested"),
    [
        (("train", "val"), "val"),
        (("train", "valid", "test"), "test"),
        (("Training", "validation"), "validation"),
        (("seg_train/seg_train", "seg_test/seg_test"), "seg_test"),
        (("training_set", "test_set"), "test_set"),
    ],
)
def test_pictures_that_came_split_keep_their_test(tmp_path: Path, parts, tested) -> None:
    loaded = load(str(split_pictures(tmp_path / "data", dict.fromkeys(parts, BEES), count=30)))
    assert loaded.labels == BEES
    assert len(loaded.photos) == 60 * len(parts)
    dealt = split(loaded)
    assert {photo.name.split("/")[0] for photo in dealt.test} == {tested}
    assert len(dealt.test) == 60
    assert 0 < len(dealt.validation) < len(dealt.train)
    assert any(f"'{tested}' is the test as it came" in note for note in loaded.report.notes)
    assert load(str(tmp_path)).sha256 == loaded.sha256


def test_a_train_alone_is_dealt_and_a_test_without_classes_is_noted(tmp_path: Path) -> None:
    folder = split_pictures(tmp_path, {"train": BEES}, count=30)
    alone = load(str(folder))
    assert {photo.tested for photo in alone.photos} == {None}
    (folder / "test").mkdir()
    Image.new("RGB", (20, 20)).save(folder / "test" / "1.png")
    both = load(str(folder))
    assert len(split(both).test) == pytest.approx(12, abs=8)
    assert any("'test' has no folders of classes" in note for note in both.report.notes)


def test_near_duplicates_on_both_sides_of_a_split_stay_on_one(tmp_path: Path) -> None:
    folder = split_pictures(tmp_path, {"train": BEES, "val": BEES}, count=30)
    twin = Image.radial_gradient("L").convert("RGB")
    twin.save(folder / "train" / "ants" / "twin.png")
    twin.resize((200, 200)).save(folder / "val" / "ants" / "twin.png")
    loaded = load(str(folder))
    sides = {photo.name: part for part in ("train", "validation", "test") for photo in getattr(split(loaded), part)}
    assert sides["train/ants/twin.png"] == sides["val/ants/twin.png"] != "test"
    assert any(note.startswith("1 pictures of one side of that split") for note in loaded.report.notes)


def test_the_sample_is_used_where_it_is(sample: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", str(tmp_path))
    source = resolve("sample")
    assert source.path == SAMPLE.path == module._folder(source)
    assert not list(tmp_path.iterdir())
    assert (sample.name, len(sample.photos)) == (SAMPLE.name, 550)
    assert sample.labels == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert all(photo.path == SAMPLE.path / photo.name for photo in sample.photos)
    assert len(sample.report.notes) == 1  # on near duplicates; nothing stands beside the photographs
    assert is_sample(source)
    assert is_sample("sample")
    assert not is_sample(str(SAMPLE.path))


def test_a_source_that_is_resolved_is_not_resolved_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = resolve(str(pictures(tmp_path)))
    monkeypatch.setattr("image_classifier.data.load.resolve", lambda _: pytest.fail("resolved twice"))
    loaded = load(source)
    assert loaded.source is source
    assert loaded.labels == ("cat", "dog")


def test_the_digest_names_the_pictures_and_not_their_place(tmp_path: Path) -> None:
    few = photos(3)
    assert digest(few) == digest([replace(photo, path=tmp_path) for photo in reversed(few)])
    assert digest(few) != digest([replace(few[0], key="other"), *few[1:]])
    assert digest(few) != digest([replace(few[0], name="0/other.jpg"), *few[1:]])


def test_parts_have_their_shares_and_lose_nothing() -> None:
    everything = photos(4000)
    dealt = split(dataset(everything))
    parts = (dealt.train, dealt.validation, dealt.test)
    assert sorted(photo.key for part in parts for photo in part) == sorted(photo.key for photo in everything)
    for part, share in zip(parts, (0.68, 0.12, 0.2), strict=True):
        assert abs(len(part) / 4000 - share) < 0.025  # about four standard deviations
    assert dealt.labels == ("daisy",)


def test_another_seed_deals_other_parts_and_none_is_the_default() -> None:
    everything = dataset(photos(400))
    assert split(everything) == split(everything, split_seed=SPLIT_SEED)
    default, other = (
        {photo.key for photo in split(everything, split_seed=seed).test} for seed in (SPLIT_SEED, SPLIT_SEED + 1)
    )
    assert len(default & other) < len(default) / 2


def test_groups_stay_together_and_new_pictures_move_no_old_ones() -> None:
    alone = photos(300)
    twins = [replace(photo, name=f"{photo.name}-copy", key=f"{photo.key}-copy") for photo in alone]
    before, after = split(dataset(alone)), split(dataset([*twins, *alone]))
    for name in ("train", "validation", "test"):
        old = {photo.group for photo in getattr(before, name)}
        assert {photo.group for photo in getattr(after, name)} == old
        assert len(getattr(after, name)) == 2 * len(old)


def test_names_deal_the_parts_so_that_other_bytes_change_nothing() -> None:
    """A photograph in another size, or of another archive, stays where it is, and its near duplicates with it."""
    alone = photos(300)
    alone[7] = replace(alone[7], group=alone[5].group)
    other = [replace(photo, key=f"z{photo.key}", group=f"z{photo.group}") for photo in alone]
    other[5], other[7] = (replace(other[n], group="a") for n in (5, 7))
    before, after = split(dataset(alone)), split(dataset(other))
    for name in ("train", "validation", "test"):
        assert [photo.name for photo in getattr(before, name)] == [photo.name for photo in getattr(after, name)]


def test_a_class_with_too_few_pictures_is_named() -> None:
    few = [replace(photo, name=f"emu/{photo.key}.jpg") for photo in photos(3, label=1)]
    with pytest.raises(DataError, match=r"class 'emu' has \d photographs to train with"):
        split(dataset([*photos(200), *few], ("daisy", "emu")))
    with pytest.raises(DataError, match="class 'gnu' has 0 photographs to train with, 0 to validate and 0 to test"):
        split(dataset(photos(200), ("emu", "gnu")))
    with pytest.raises(DataError, match="every file was excluded"):
        split(dataset([]))


@pytest.mark.real_data
def test_the_split_of_the_public_photographs_is_frozen(flowers: Dataset) -> None:
    assert flowers.sha256 == "cb7069aa340ed0ed532c7adf10117ec41d41a8fc9c432e01546d9f301fb36dcc"
    dealt = split(flowers)
    assert [len(part) for part in (dealt.train, dealt.validation, dealt.test)] == [2494, 439, 733]
