"""Folders as people have them: what is read, what is not looked at, and what is refused by name."""

import os
from pathlib import Path

import pytest
from PIL import Image

from image_classifier.data.folders import list_files
from portfolio_shared.data.checks import DataError


def pictures(folder: Path, classes: tuple[str, ...] = ("cat", "dog"), count: int = 3) -> Path:
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (20, 20)).save(folder / name / f"{number}.png")
    return folder


def test_what_stands_beside_the_pictures_is_noted_or_hidden(tmp_path: Path) -> None:
    folder = pictures(tmp_path)
    (folder / "LICENSE.txt").touch()
    (folder / "__MACOSX").mkdir()
    for name in (".DS_Store", "._0.png", "Thumbs.db"):
        (folder / "cat" / name).touch()
    (folder / "cat" / "gone.png").symlink_to(folder / "nowhere.png")
    os.mkfifo(folder / "dog" / "pipe.png")
    labels, files, notes = list_files(folder)
    assert labels == ("cat", "dog")
    assert len(files) == 6
    assert notes[0] == "1 files beside the class folders were not looked at, such as LICENSE.txt."
    assert notes[1].startswith("5 entries of the class folders were not looked at")
    assert notes[1].endswith("such as cat/.DS_Store.")
    assert len(notes) == 2


def test_folders_of_another_form_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds one class, 'cat', and nothing to tell it from: add a folder"):
        list_files(pictures(tmp_path / "one", ("cat",)))
    (pictures(tmp_path / "deep") / "cat" / "young").mkdir()
    with pytest.raises(DataError, match=r"cat holds the folder 'young'; expected pictures only, as <class>/<picture>"):
        list_files(tmp_path / "deep")
    (pictures(tmp_path / "gap") / "emu").mkdir()
    with pytest.raises(DataError, match="emu holds no files"):
        list_files(tmp_path / "gap")


def test_links_are_followed_and_capitals_are_names_too(tmp_path: Path) -> None:
    (pictures(tmp_path / "elsewhere") / "cat" / "0.png").rename(tmp_path / "elsewhere" / "cat" / "0.PNG")
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("cat", "dog"):
        (folder / name).symlink_to(tmp_path / "elsewhere" / name, target_is_directory=True)
    labels, files, notes = list_files(folder)
    assert (labels, len(files), notes) == (("cat", "dog"), 6, [])


def test_classes_that_are_called_like_parts_are_classes(tmp_path: Path) -> None:
    labels, files, _ = list_files(pictures(tmp_path, ("train", "tram", "test")))
    assert (labels, {file.tested for file in files}) == (("test", "train", "tram"), {None})


@pytest.mark.parametrize(
    ("folders", "says"),
    [
        (("train/cat", "train/dog", "val/cat", "val/dog", "pets/cat", "pets/dog"), "'pets' beside 'train', 'val'"),
        (("val/cat", "val/dog", "test/cat", "test/dog"), "'test', 'val' and no train"),
        (("train/cat", "train/dog", "test/cat", "test/unknown"), "class 'unknown', of which there are no pictures"),
        (("train/cat", "val/cat"), "train holds one class, 'cat'"),
    ],
)
def test_a_split_that_is_unclear_is_refused(tmp_path: Path, folders, says) -> None:
    for place in folders:
        pictures(tmp_path / Path(place).parent, (Path(place).name,))
    with pytest.raises(DataError, match=says):
        list_files(tmp_path)
