"""Which pictures are read, what is left out and counted, and how they are dealt to parts."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from new_project.data.cut_sample import PER_LABEL, cut_sample
from new_project.data.load import LEAST, load, split
from portfolio_shared.data.checks import DataError


def test_copies_and_what_is_no_picture_are_left_out_and_counted(folder: Path, tmp_path: Path) -> None:
    place = Path(shutil.copytree(folder, tmp_path / "copy"))
    (place / "red" / "notes.txt").write_text("none", encoding="utf-8")
    (place / "red" / ".hidden").write_text("none", encoding="utf-8")
    shutil.copy(place / "red" / "00.png", place / "red" / "copy.png")
    shutil.copy(place / "red" / "01.png", place / "blue" / "same.png")
    data = load(str(place))

    assert data.labels == ("blue", "red")
    assert data.report.excluded == {
        "not a picture that can be read": 1,
        "the same picture under two labels": 2,
        "copy of another picture": 1,
    }
    assert len(data.pictures) == data.report.rows_kept == 119


def test_every_picture_is_in_one_part_and_more_pictures_move_none(folder: Path, tmp_path: Path) -> None:
    place = Path(shutil.copytree(folder, tmp_path / "fewer"))
    for number in range(5):
        (place / "red" / f"{number:02}.png").unlink()
    fewer, more = (split(load(str(each))) for each in (place, folder))

    assert sum(len(part) for part in (more.train, more.validation, more.test)) == 120
    for name in ("train", "validation", "test"):
        assert set(getattr(fewer, name).keys) <= set(getattr(more, name).keys)


def test_too_few_pictures_or_labels_are_an_error_in_words(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pictures of 0 labels; expected a folder of pictures for each"):
        load(str(tmp_path))
    place = Path(shutil.copytree(folder, tmp_path / "few"))
    for path in sorted((place / "red").iterdir())[4:]:
        path.unlink()
    with pytest.raises(DataError, match=rf"expected at least {LEAST}, 1 and 1: add pictures of it|thresholds need"):
        split(load(str(place)))


def test_near_copies_are_on_one_side(folder: Path, tmp_path: Path) -> None:
    place = Path(shutil.copytree(folder, tmp_path / "copies"))
    for path in sorted((place / "red").iterdir()):
        with Image.open(path) as image:
            image.resize((96, 72)).save(place / "red" / f"copy-{path.stem}.jpg", quality=90)
    parts = split(load(str(place)))

    sides = [
        {picture.path.stem.removeprefix("copy-") for picture in part.pictures if picture.label == "red"}
        for part in (parts.train, parts.validation, parts.test)
    ]
    assert sum(map(len, sides)) == len(set().union(*sides)) == 60


def test_a_sample_has_as_many_of_each_label(folder: Path, tmp_path: Path) -> None:
    data = load(str(cut_sample(folder, tmp_path / "cut")))

    assert len(data.pictures) == 120 == 2 * PER_LABEL
    assert {picture.path.suffix for picture in data.pictures} == {".jpg"}
    with pytest.raises(DataError, match="holds 0 folders; expected a folder of pictures for each"):
        cut_sample(folder / "red", tmp_path / "none")
    for label in ("a", "b"):
        (tmp_path / "empty" / label).mkdir(parents=True)
    with pytest.raises(DataError, match="holds pictures of fewer than two labels"):
        cut_sample(tmp_path / "empty", tmp_path / "none")
