"""What only this project's commands do; what every project's do is tested in the repository's test_project_cli.py."""

import csv
import shutil
from pathlib import Path

import pytest
from command_line import command_line

from image_classifier import cli
from image_classifier.config import TrainConfig
from portfolio_shared import cli as shared


@pytest.fixture
def run(monkeypatch, capsys):
    return command_line("image-classifier", monkeypatch, capsys)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_a_folder_without_classes_is_refused_in_a_line(run, tmp_path):
    (tmp_path / "only").mkdir()
    code, _, err = run("data", "--data", tmp_path)
    assert code == 1
    assert err.startswith("image-classifier data: ")
    assert "expected a folder for each of at least two classes" in err


def test_weights_that_are_not_there_are_refused_in_a_line(run, pets_config, tmp_path):
    flags = ["--data", pets_config.data, "--tracking-uri", "", "--output", tmp_path / "bundle"]
    code, _, err = run("train", *flags, "--coverage", "0.8", "--weights", "gone.pth")
    assert code == 1
    assert err.startswith("image-classifier train: weights='gone.pth' (--weights, IMAGE_CLASSIFIER_TRAIN_WEIGHTS): ")
    assert "there is no such file; expected imagenet, shipped" in err
    assert not (tmp_path / "bundle").exists()


def test_predict_writes_a_row_for_every_file_of_a_folder(run, bundle, trained, tmp_path):
    photos = trained.split.test[:3]
    folder, target = tmp_path / "holiday", tmp_path / "out.csv"
    folder.mkdir()
    for number, photo in enumerate(photos):
        shutil.copy(photo.path, folder / f"{number}{photo.path.suffix}")
    code, _, err = run("predict", folder, "-o", target, "--bundle", bundle)
    assert code == 0
    assert "3 pictures classified, 0 refused" in " ".join(err.split())
    for row, answer in zip(rows_of(target), trained.evaluation.predictions[:3], strict=True):
        assert row["label"] == trained.data.labels[answer.probabilities.argmax()]
        assert float(row["probability"]) == pytest.approx(answer.probabilities.max(), abs=1e-4)
        assert row["label_set"].split("; ") == [trained.data.labels[label] for label in answer.label_set]
        assert (row["unsure"], row["error"]) == (answer.unsure or "", "")


def test_predict_fails_if_files_were_refused_and_still_answers_the_others(run, bundle, trained, tmp_path):
    photo = trained.split.test[0].path
    (tmp_path / "notes.jpg").write_text("no picture")
    target = tmp_path / "out.csv"
    code, _, err = run("predict", photo, tmp_path / "notes.jpg", "-o", target, "--bundle", bundle)
    assert code == 1
    assert "1 pictures classified, 1 refused" in " ".join(err.split())
    good, bad = rows_of(target)
    assert (bool(good["label"]), good["error"]) == (True, "")
    assert (bad["label"], bool(bad["error"])) == ("", True)


@pytest.mark.parametrize(("data", "is_sample"), [("sample", True), ("{pets}", False)])
def test_a_folder_of_pictures_is_no_sample(pets_config, monkeypatch, data, is_sample):
    """A champion of the sample gives way to somebody's own pictures."""
    answers = []

    def stays(name, uri, *, sample_sha256):
        answers.append(sample_sha256() is not None)
        return True

    monkeypatch.setattr(shared, "champion_stays", stays)
    cli.train(TrainConfig(data=data.format(pets=pets_config.data), tracking_uri="", if_missing=True))
    assert answers == [is_sample]
