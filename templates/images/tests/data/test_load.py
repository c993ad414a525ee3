"""Which pictures are read, what is left out and counted, and how they are dealt to parts."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from new_project.data.cut_sample import PER_LABEL, SHORTER, cut, cut_sample
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


def labels_of(folder: Path, **pictures: Image.Image) -> Path:
    """Write pictures, by name, into each of two labels, and files that are none."""
    for label in ("a", "b"):
        (folder / label).mkdir(parents=True)
        (folder / label / "notes.txt").write_text("none", encoding="utf-8")
        (folder / label / ".DS_Store").write_text("none", encoding="utf-8")
        for name, picture in pictures.items():
            picture.save(folder / label / name.replace("_", "."))
    return folder


@pytest.mark.parametrize(
    ("width", "more", "whole"), [(SHORTER, 0, True), (SHORTER + 1, 0, False), (20, PER_LABEL, False)]
)
def test_a_cut_is_whole_if_no_picture_is_left_out_or_made_smaller(
    tmp_path: Path, width: int, more: int, *, whole: bool
) -> None:
    pictures = {f"{number}_jpg": Image.new("RGB", (width, 2 * width)) for number in range(1 + more)}

    assert cut(labels_of(tmp_path / "given", **pictures), tmp_path / "cut") is whole


def test_files_of_one_name_are_both_kept_and_tell_nothing_of_place_or_camera(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera of Jane"
    picture = Image.new("RGB", (20, 20))
    picture.info["exif"] = exif.tobytes()
    given = labels_of(tmp_path / "given", one_png=picture, one_webp=picture)
    for label in ("a", "b"):
        picture.save(given / label / "one.jpg", exif=exif, comment="at home")
    cut(given, tmp_path / "cut")

    kept = list((tmp_path / "cut" / "a").iterdir())
    assert {path.name for path in kept} == {"one.jpg", "one.png.jpg", "one.webp.jpg"}
    for path in kept:
        assert b"Jane" not in path.read_bytes()
        assert b"home" not in path.read_bytes()


def test_what_is_transparent_is_white_in_a_cut_as_the_model_sees_it(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    cut(labels_of(tmp_path / "given", clear_png=clear), tmp_path / "cut")

    with Image.open(tmp_path / "cut" / "a" / "clear.png.jpg") as written:
        assert written.getpixel((5, 5)) == (255, 255, 255)
