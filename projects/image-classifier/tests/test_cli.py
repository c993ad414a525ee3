import csv
import shutil
import sys
from pathlib import Path

import pytest

from image_classifier import cli, report
from image_classifier.cli import COMMANDS, main
from image_classifier.config import TrainConfig
from image_classifier.evaluation.out_of_distribution import strangers


@pytest.fixture
def run(monkeypatch):
    def call(*arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["image-classifier", *map(str, arguments)])
        main()

    return call


@pytest.fixture(autouse=True)
def few_strangers(monkeypatch):
    monkeypatch.setattr(report, "strangers", lambda: strangers(each=1))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_help_lists_every_command_with_what_it_does(run, capsys):
    for arguments in ([], ["--help"]):
        run(*arguments)
        printed = capsys.readouterr().out
        assert all(f"  {name:9} {command.__doc__}" in printed for name, command in COMMANDS.items())


def test_the_commands_are_those_of_the_other_projects():
    """In place of a search for settings there is an ablation."""
    shared = ["data", "train", "evaluate", "predict", "serve", "rollback", "report"]
    assert [name for name in COMMANDS if name != "ablation"] == shared


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_explains_its_flags(run, capsys, command):
    with pytest.raises(SystemExit) as ended:
        run(command, "--help")
    assert ended.value.code == 0
    assert "--" in capsys.readouterr().out


def test_an_unknown_command_is_refused(run):
    with pytest.raises(SystemExit, match="no command 'trian'; there are data, train"):
        run("trian")


def test_data_that_are_not_there_are_refused_in_a_line(run):
    with pytest.raises(SystemExit, match="data source 'no-such-folder' is none of auto, sample, full"):
        run("data", "--data", "no-such-folder")


def test_a_folder_without_classes_is_refused_in_a_line(run, tmp_path):
    (tmp_path / "only").mkdir()
    with pytest.raises(
        SystemExit, match=r"image-classifier data: .*expected a folder for each of at least two classes"
    ):
        run("data", "--data", tmp_path)


def test_a_misspelt_variable_is_refused_by_name(run, monkeypatch):
    monkeypatch.setenv("IMAGE_CLASSIFIER_TRAIN_EPOHCS", "3")
    with pytest.raises(SystemExit, match="the nearest one is IMAGE_CLASSIFIER_TRAIN_EPOCHS"):
        run("data")


def test_data_are_reported(run, capsys, pets_config):
    run("data", "--data", pets_config.data)
    printed = capsys.readouterr().out
    assert "pictures in pets" in printed
    assert "kept" in printed


def test_weights_that_are_not_there_are_refused_in_a_line(run, pets_config, tmp_path):
    flags = ["--data", pets_config.data, "--tracking-uri", "", "--output", tmp_path / "bundle"]
    with pytest.raises(SystemExit, match=r"image-classifier train: weights='gone\.pth': expected imagenet, none"):
        run("train", *flags, "--coverage", "0.8", "--weights", "gone.pth")
    assert not (tmp_path / "bundle").exists()


def test_predict_writes_a_row_for_every_file_of_a_folder(run, bundle, trained, tmp_path, capsys):
    photos = trained.splits.test[:3]
    folder, target = tmp_path / "holiday", tmp_path / "out.csv"
    folder.mkdir()
    for number, photo in enumerate(photos):
        shutil.copy(photo.path, folder / f"{number}{photo.path.suffix}")
    run("predict", folder, "-o", target, "--bundle", bundle)
    rows = rows_of(target)
    assert "3 pictures classified, 0 refused" in " ".join(capsys.readouterr().err.split())
    for row, answer in zip(rows, trained.evaluation.answers[:3], strict=True):
        assert row["label"] == trained.photos.labels[answer.probabilities.argmax()]
        assert float(row["probability"]) == pytest.approx(answer.probabilities.max(), abs=1e-4)
        assert row["label_set"].split("; ") == [trained.photos.labels[label] for label in answer.label_set]
        assert (row["unsure"], row["error"]) == (answer.unsure or "", "")


def test_predict_fails_if_files_were_refused_and_still_answers_the_others(run, bundle, trained, tmp_path, capsys):
    photo = trained.splits.test[0].path
    (tmp_path / "notes.jpg").write_text("no picture")
    target = tmp_path / "out.csv"
    with pytest.raises(SystemExit) as ended:
        run("predict", photo, tmp_path / "notes.jpg", "-o", target, "--bundle", bundle)
    assert ended.value.code == 1
    assert "1 pictures classified, 1 refused" in " ".join(capsys.readouterr().err.split())
    good, bad = rows_of(target)
    assert (bool(good["label"]), good["error"]) == (True, "")
    assert (bad["label"], bool(bad["error"])) == ("", True)


def test_a_picture_that_is_not_there_is_refused_in_a_line(run, bundle, tmp_path):
    with pytest.raises(SystemExit, match=r"no such file or folder: .*gone\.jpg"):
        run("predict", tmp_path / "gone.jpg", "-o", tmp_path / "out.csv", "--bundle", bundle)


def test_a_damaged_bundle_is_not_used(run, bundle, tmp_path):
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    (copy / "rules.json").write_text("{}")
    with pytest.raises(SystemExit, match=r"rules\.json: expected sha256"):
        run("predict", copy, "--bundle", copy)


def test_evaluate_says_what_training_said(run, bundle, trained, train_config, capsys):
    run("evaluate", "--data", train_config.data, "--bundle", bundle)
    printed = capsys.readouterr().out
    for label, name in (("accuracy", "accuracy"), ("log loss", "log_loss")):
        interval = trained.evaluation.metrics[name]
        assert f"{label}: {interval.estimate:.3f} ({interval.low:.3f} to {interval.high:.3f})" in printed
    assert "may have learned" not in printed


def test_without_a_server_a_person_is_told_what_to_do(run):
    with pytest.raises(SystemExit, match=r"image-classifier rollback: no MLflow server at http://127\.0\.0\.1:9"):
        run("rollback", "--tracking-uri", "http://127.0.0.1:9")


@pytest.mark.parametrize(("data", "real"), [("sample", False), ("{pets}", True)])
def test_a_folder_of_pictures_is_real_data(pets_config, data, real):
    """A champion of drawings gives way to somebody's own pictures."""
    config = TrainConfig(data=data.format(pets=pets_config.data), weights="none", tracking_uri="")
    assert cli.real_data(config) is real


def test_one_bundle_folder_is_meant_by_all_commands():
    assert TrainConfig.model_fields["output"].default == cli.BUNDLE
