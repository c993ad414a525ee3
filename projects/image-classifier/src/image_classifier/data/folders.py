"""Which files of a folder are pictures of which class: a folder for each class, or train, val and test above them."""

import re
from collections.abc import Iterable
from pathlib import Path

from image_classifier.data.photos import Listed
from portfolio_shared.data.checks import DataError

EXPECTED = "a folder for each of at least two classes (roses/1.jpg, tulips/1.jpg), also below train, val and test"
TRAIN, VALIDATION, TEST = "train", "validation", "test"
_PARTS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev"), VALIDATION),
    **dict.fromkeys(("test", "testing"), TEST),
}


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden, or one that macOS or Windows adds.

    >>> [is_hidden(name) for name in ("._rose.jpg", "__MACOSX", "Thumbs.db", "rose.jpg")]
    [True, True, True, False]
    """
    return name.startswith(".") or name.lower() in ("__macosx", "thumbs.db", "desktop.ini")


def list_files(folder: Path) -> tuple[tuple[str, ...], list[Listed], list[str]]:
    """Return the labels, the files of the class folders, and notes on what else is there and is not looked at.

    Pictures that came split keep their test: it is the folder test, or val where there is none. The others are dealt
    to training and validation as any pictures are.

    Raises
    ------
    DataError
        If there are fewer than two class folders, one of them has folders in it or no files, or a split is unclear.
    """
    top, notes = _top(folder), []
    if loose := sorted(path.name for path in top.iterdir() if path.is_file()):
        notes.append(f"{len(loose)} files beside the class folders were not looked at, such as {loose[0]}.")
    parts = _parts(top)
    if parts is None:
        labels, files, skipped = _list_classes(top, "")
    else:
        labels, files, skipped = _list_parts(parts, notes)
    if skipped:
        notes.append(
            f"{len(skipped)} entries of the class folders were not looked at, because they are hidden, or neither file "
            f"nor folder, or links that lead nowhere, such as {skipped[0]}."
        )
    return labels, files, notes


def _parts(top: Path) -> dict[Path, str] | None:
    """Return the folders of a split and the part that each is, or None if these folders are no split."""
    folders = _visible_folders(top)
    named = {place: part for place in folders if (part := _part(place.name)) and _visible_folders(place)}
    others = [place for place in folders if place not in named]
    if not named:
        return None
    if TRAIN not in named.values():
        raise DataError(f"{top} holds {_names(named)} and no train; expected {EXPECTED}")
    if strange := [place for place in others if _part(place.name) is None]:
        raise DataError(
            f"{top} holds {_names(strange)} beside {_names(named)}: move that away, or name one of the folders as the "
            "data"
        )
    return named | dict.fromkeys(others, "")


def _part(name: str) -> str | None:
    """Return which part a folder's name says: ``train``, ``seg_train``, ``Training set`` and the like."""
    words = re.split("[^a-z]+", name.lower())
    return next((_PARTS[word] for word in words if word in _PARTS), None)


def _list_parts(parts: dict[Path, str], notes: list[str]) -> tuple[tuple[str, ...], list[Listed], list[str]]:
    tested = TEST if TEST in parts.values() else VALIDATION
    found = {place: _list_classes(_top(place), f"{place.name}/") for place, part in parts.items() if part}
    labels = sorted({label for names, _, _ in found.values() for label in names})
    trained = {label for place, (names, _, _) in found.items() if parts[place] != tested for label in names}
    for place, (names, _, _) in found.items():
        if unknown := [name for name in names if name not in trained]:
            raise DataError(
                f"{place} holds the class {unknown[0]!r}, of which there are no pictures to learn from; expected the "
                "same folders in each part"
            )
    files = []
    for place, (names, listed, _) in found.items():
        own = parts[place] == tested if tested in parts.values() else None
        files += [Listed(file.path, file.name, labels.index(names[file.label]), tested=own) for file in listed]
    aside = [place for place, part in parts.items() if part == tested]
    test = f"{_names(aside)} is the test as it came" if aside else "the test is drawn from them"
    notes.append(f"The pictures came in {_names(found)}: {test}, and of the others some are drawn to validate.")
    if unread := [place for place, part in parts.items() if not part]:
        notes.append(f"{_names(unread)} has no folders of classes and was not looked at.")
    return tuple(labels), files, [name for *_, skipped in found.values() for name in skipped]


def _list_classes(top: Path, prefix: str) -> tuple[tuple[str, ...], list[Listed], list[str]]:
    """Return labels, files and what was skipped of a folder of class folders; names begin with the prefix."""
    folders = _visible_folders(top)
    if len(folders) == 1:
        raise DataError(
            f"{top} holds one class, {_names(folders)}, and nothing to tell it from: add a folder of other pictures "
            f"beside it; expected {EXPECTED}"
        )
    if not folders:
        found = f"{sum(path.is_file() for path in top.iterdir())} files in one folder or in none"
        raise DataError(f"{top} holds {found}; expected {EXPECTED}")
    files: list[Listed] = []
    skipped: list[str] = []
    for label, place in enumerate(folders):
        if inner := _visible_folders(place):
            raise DataError(f"{place} holds the folder {inner[0].name!r}; expected pictures only, as <class>/<picture>")
        entries = {path.name: path for path in sorted(place.iterdir())}
        visible = {name: path for name, path in entries.items() if path.is_file() and not is_hidden(name)}
        if not visible:
            raise DataError(f"{place} holds no files; remove the folder, or put the pictures of its class into it")
        files += [Listed(path, f"{prefix}{place.name}/{name}", label) for name, path in visible.items()]
        skipped += [f"{prefix}{place.name}/{name}" for name in entries if name not in visible]
    return tuple(path.name for path in folders), files, skipped


def _top(folder: Path) -> Path:
    """Return the folder of the class folders: below the given one if that holds nothing but one folder of folders."""
    inside = _visible_folders(folder)
    return inside[0] if len(inside) == 1 and _visible_folders(inside[0]) else folder


def _visible_folders(folder: Path) -> list[Path]:
    """Return sub-folders by name, without hidden ones and what macOS adds to archives."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))


def _names(folders: Iterable[Path]) -> str:
    return ", ".join(repr(path.name) for path in folders)
