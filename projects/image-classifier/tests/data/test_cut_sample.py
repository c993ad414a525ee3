"""The sample that ships: it is cut from the public photographs, credits each, and its parts are those of the whole."""

import csv
import io
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from image_classifier.data.cut_sample import choose, cut_sample, main, reduced
from image_classifier.data.load import REDUCED, SAMPLE, Dataset, Split, load, split
from portfolio_shared.data.checks import DataError

NAMES = sorted(path.relative_to(SAMPLE.path).as_posix() for path in SAMPLE.path.glob("*/*"))


def size_of(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as picture:
        return picture.size


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture, dtype=int)


def test_what_ships_are_550_small_photographs_as_many_of_each_class() -> None:
    dataset = load("sample")
    assert [photo.name for photo in dataset.photos] == NAMES
    assert Counter(name.split("/")[0] for name in NAMES) == dict.fromkeys(dataset.labels, 110)
    assert not any(dataset.report.excluded.values())
    assert len({photo.group for photo in dataset.photos}) == 550
    sides = {min(size_of(photo.path.read_bytes())) for photo in dataset.photos}
    assert sides == {158, 159, 160}  # a few have 158 or 159 in the archive
    assert [len(part) for part in vars(split(dataset)).values()][:3] == [400, 75, 75]


def test_each_photograph_is_credited() -> None:
    with (SAMPLE.path.parent / "credits.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["file"] for row in rows] == NAMES
    for row in rows:
        assert row["file"].split("/")[1].split("_")[0] == row["flickr_id"]
        assert row["link"] == f"https://www.flickr.com/photo.gne?id={row['flickr_id']}"
        assert row["license"] == "CC BY 2.0"


@pytest.mark.real_data
def test_what_ships_is_cut_from_the_public_photographs(flowers: Dataset, real_data_dir: Path, tmp_path: Path) -> None:
    """Compared as pixels: another version of Pillow may write other bytes."""
    cut_sample(real_data_dir / REDUCED, tmp_path)
    shipped = SAMPLE.path.parent
    assert (tmp_path / "credits.csv").read_bytes() == (shipped / "credits.csv").read_bytes()
    assert sorted(path.relative_to(tmp_path / "flower_photos").as_posix() for path in tmp_path.rglob("*.jpg")) == NAMES
    for name in NAMES:
        cut, ours = (pixels(top / "flower_photos" / name) for top in (tmp_path, shipped))
        assert np.abs(cut - ours).max() <= 16
    whole, sample = split(flowers), split(load("sample"))
    for part in ("train", "validation", "test"):
        assert {photo.name for photo in getattr(sample, part)} < {photo.name for photo in getattr(whole, part)}


def test_a_smaller_archive_has_the_same_photographs_and_the_license(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with tarfile.open("flower_photos.tgz", "w:gz") as packed:
        packed.add(SAMPLE.path.parent / "SOURCE.md", "flower_photos/LICENSE.txt")
        for name in NAMES[::100]:
            packed.add(SAMPLE.path / name, f"flower_photos/{name}")
    written = []
    for _ in range(2):
        main(["flower_photos.tgz", "--side", "64"])
        assert capsys.readouterr().out.startswith("flower_photos_64.tar: ")
        written.append(Path("flower_photos_64.tar").read_bytes())
    assert written[0] == written[1]
    with tarfile.open("flower_photos_64.tar") as packed:
        files = {member.name: packed.extractfile(member).read() for member in packed}
    assert files.pop("flower_photos/LICENSE.txt") == (SAMPLE.path.parent / "SOURCE.md").read_bytes()
    assert list(files) == [f"flower_photos/{name}" for name in NAMES[::100]]
    assert {min(size_of(data)) for data in files.values()} == {64}


def test_no_photograph_is_enlarged_and_none_keeps_its_notes() -> None:
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # orientation: a quarter
    with Image.open(SAMPLE.path / NAMES[0]) as picture:
        picture.resize((60, 40)).save(stream, "JPEG", exif=exif)
    with Image.open(io.BytesIO(reduced(stream.getvalue(), side=64, quality=90))) as picture:
        assert picture.size == (40, 60)
        assert not picture.getexif()


@pytest.mark.long
def test_a_collection_that_is_too_small_is_refused() -> None:
    few = split(load("sample"))
    with pytest.raises(DataError, match="class 'daisy' has 79 different photographs to train, expected 80"):
        choose(Split(few.train[1:], few.validation, few.test, few.labels))
