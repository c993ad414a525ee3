"""Files and folders to a CSV file: a row for each, whatever it holds."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from image_classifier.data.images import ImageLimits
from image_classifier.data.preprocessing import Preprocessing
from image_classifier.models.predictor import Prediction
from image_classifier.serving.batch import AHEAD, COLUMNS, cores, predict_file
from portfolio_shared.data.tables import FileError
from portfolio_shared.serving.batch import BatchResult


class Colors:
    """Names the strongest of red, green and blue; ambiguous where two are within 10 %."""

    labels = ("red", "green", "blue")
    preprocessing = Preprocessing(16, 16)
    at_once = 0

    def predict(self, inputs):
        self.at_once = max(self.at_once, len(inputs))
        return [self._predict(picture.mean(axis=(0, 1))) for picture in inputs]

    def _predict(self, mean):
        probabilities = (mean + 1) / (mean + 1).sum()
        order = np.argsort(-probabilities)
        close = probabilities[order[0]] - probabilities[order[1]] < 0.1
        label_set = tuple(int(label) for label in order[: 2 if close else 1])
        return Prediction(probabilities, label_set, 0.0, "ambiguous" if close else None, None)


def save(path: Path, color: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 20), color).save(path)
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
        return list(csv.DictReader(stream))


def test_every_file_of_files_and_folders_gets_a_row(tmp_path) -> None:
    single = save(tmp_path / "z.png", "red")
    folder = tmp_path / "pictures"
    names = ["b/2.png", "a/1.jpg", "b/deeper/3.webp", "top.gif"]
    for name in names:
        save(folder / name, "blue")
    predictor, target, seen = Colors(), tmp_path / "out.csv", []

    result = predict_file([single, folder], target, predictor, advance=seen.append)

    assert result == BatchResult(done=5, refused=0)
    assert seen == [1] * 5
    rows = rows_of(target)
    assert tuple(rows[0]) == COLUMNS
    expected = [single, *(folder / name for name in ["top.gif", "a/1.jpg", "b/2.png", "b/deeper/3.webp"])]
    assert [row["file"] for row in rows] == list(map(str, expected))
    assert [row["label"] for row in rows] == ["red"] + ["blue"] * 4
    assert rows[0]["probability"] == f"{256 / 258:.4f}"
    assert predictor.at_once == 1  # memory does not grow with the number of files


def test_a_doubt_and_its_labels_are_written(tmp_path) -> None:
    target = tmp_path / "out.csv"

    predict_file(save(tmp_path / "a.png", "#ffff00"), target, Colors())

    (row,) = rows_of(target)
    assert (row["label_set"], row["unsure"], row["error"]) == ("red; green", "ambiguous", "")


def test_what_cannot_be_read_says_why_and_nothing_is_dropped(tmp_path) -> None:
    folder = tmp_path / "in"
    save(folder / "0 good.png", "red")
    (folder / "1 text.jpg").write_text("no picture")
    (folder / "2 empty.png").touch()
    (folder / "3 large.png").write_bytes(bytes(2000))
    (folder / "4 link.png").symlink_to("nowhere.png")
    os.mkfifo(folder / "5 pipe.png")
    target = tmp_path / "out.csv"

    result = predict_file([folder], target, Colors(), limits=ImageLimits(max_bytes=1000))

    rows = rows_of(target)
    assert result == BatchResult(done=1, refused=5)
    assert [row["error"].partition(" ")[2][:8] if row["error"] else "" for row in rows] == [
        "",
        "file hol",
        "file is ",
        "file has",
        "be read:",
        "be read:",
    ]
    assert all(row["label"] == row["probability"] == "" for row in rows[1:])


def test_a_file_without_permission_is_refused_with_its_reason(tmp_path, monkeypatch) -> None:
    locked, target = save(tmp_path / "a.png", "red"), tmp_path / "out.csv"
    good = save(tmp_path / "b.png", "red")
    allowed = Path.open

    def guarded(path: Path, *args, **options):  # permissions do not bind every user who runs this test
        if path == locked:
            raise PermissionError(13, "Permission denied")
        return allowed(path, *args, **options)

    monkeypatch.setattr(Path, "open", guarded)

    assert predict_file([locked, good], target, Colors()) == BatchResult(1, 1)
    assert [row["error"] for row in rows_of(target)] == ["cannot be read: Permission denied", ""]


def test_a_name_that_is_no_text_is_kept(tmp_path) -> None:
    name = os.fsdecode(b"r\xf6se.png")
    save(tmp_path / name, "red")

    predict_file([tmp_path / name], tmp_path / "out.csv", Colors())

    assert rows_of(tmp_path / "out.csv")[0]["file"] == str(tmp_path / name)


def test_the_file_that_is_written_is_no_picture_of_the_folder(tmp_path) -> None:
    save(tmp_path / "a.png", "red")
    for _ in range(2):  # the second time the answers of the first lie there
        assert predict_file([tmp_path], tmp_path / "out.csv", Colors()) == BatchResult(1, 0)


@pytest.mark.parametrize(("sources", "says"), [([], "no files"), (["here", "gone"], "gone")])
def test_a_path_that_leads_nowhere_leaves_everything_as_it_was(tmp_path, sources, says) -> None:
    (tmp_path / "here").mkdir()
    target = tmp_path / "out.csv"
    target.write_text("of last week")

    with pytest.raises(FileError, match=says):
        predict_file([tmp_path / source for source in sources], target, Colors())

    assert target.read_text() == "of last week"


def test_the_answers_are_those_of_one_thread_in_the_same_order(tmp_path, predictor) -> None:
    rng = np.random.default_rng(0)
    for number in range(40):
        Image.fromarray(rng.integers(0, 256, (40, 40 + 7 * (number % 5), 3), dtype=np.uint8)).save(
            tmp_path / f"{number:02}.png"
        )
    (tmp_path / "05.png").write_text("no picture")
    target = tmp_path.parent / "out.csv"
    written = []
    for threads in (1, 3):
        assert predict_file(tmp_path, target, predictor, threads=threads) == BatchResult(39, 1)
        written.append(target.read_bytes())
    assert written[0] == written[1]
    assert [row["file"][-6:] for row in rows_of(target)] == [f"{number:02}.png" for number in range(40)]


def test_few_files_are_begun_before_the_first_is_written_and_a_break_leaves_no_half_file(tmp_path) -> None:
    begun = []

    class Counting(Colors):
        def predict(self, inputs):
            begun.append(1)
            return super().predict(inputs)

    for number in range(60):
        save(tmp_path / "in" / f"{number:02}.png", "red")

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_file(tmp_path / "in", tmp_path / "out.csv", Counting(), threads=2, advance=stop)

    assert len(begun) <= AHEAD * 2
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_what_systems_add_is_left_out_and_links_are_followed_but_not_round(tmp_path) -> None:
    folder = tmp_path / "in"
    save(folder / "a.JPG", "red")
    save(tmp_path / "elsewhere" / "b.png", "red")
    for name in (".DS_Store", "._a.JPG", "Thumbs.db", ".hidden/c.png", "__MACOSX/._a.JPG"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    (folder / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (folder / "round").symlink_to(folder, target_is_directory=True)

    assert predict_file(folder, tmp_path / "out.csv", Colors()) == BatchResult(2, 0)
    assert [row["file"] for row in rows_of(tmp_path / "out.csv")] == [
        str(folder / "a.JPG"),
        str(folder / "linked" / "b.png"),
    ]
    # One that is named is taken.
    assert predict_file([folder / "._a.JPG"], tmp_path / "out.csv", Colors()) == BatchResult(0, 1)


@pytest.mark.parametrize(
    ("cpus", "quota", "expected"),
    [
        (64, "100000 100000\n", 1),
        (64, "50000 100000\n", 1),
        (64, "150000 100000\n", 2),
        (64, "max 100000\n", 8),
        (64, None, 8),
        (2, "800000 100000\n", 2),
        (3, None, 3),
    ],
)
def test_a_container_counts_the_cores_that_it_was_given(tmp_path, monkeypatch, cpus, quota, expected) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cpus)), raising=False)
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota)

    assert cores(tmp_path / "cpu.max") == expected
