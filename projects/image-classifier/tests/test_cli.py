"""What only this project's commands do; what every project's do is tested in the repository's test_project_cli.py."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from command_line import command_line

from image_classifier import cli
from image_classifier.config import ServeSettings, TrainConfig
from image_classifier.serving.app import create_app
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


def test_of_what_is_no_archive_a_line_says_so(run, tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    code, _, err = run("data", "--data", tmp_path / "x.csv")
    assert code == 1
    assert len(err.splitlines()) == 1
    assert "cannot be unpacked" in err
    assert "expected a sound zip or tar file" in err


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


NAMES = ("a,b.jpg", "[x].jpg", "[1,2]", "12", "true", "null", '"quoted".jpg', "{a}.png", " a .jpg", "\\back.jpg", "x=y")


def test_predict_takes_every_name_that_a_file_can_have(run, bundle, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (*NAMES, "-dash.jpg"):
        shutil.copy(trained.split.test[0].path, name)
    code, _, err = run("predict", "--bundle", bundle, "--", *NAMES, "-dash.jpg")
    assert code == 0, err
    assert [row["file"] for row in rows_of(Path("labels.csv"))] == [*NAMES, "-dash.jpg"]


def test_predict_says_which_model_answers_and_what_to_do_without_one(run, bundle, trained, tmp_path):
    photo = trained.split.test[0].path
    _, _, err = run("predict", photo, "-o", tmp_path / "out.csv", "--bundle", bundle)
    assert err.startswith(f"{bundle}: model of 20")
    code, _, err = run("predict", photo, "--bundle", tmp_path)
    assert code == 1
    assert "train first, or name one with --bundle (run in the clone's root)" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "name a file, or --follow"),
        (["empty"], "no files in empty; hidden ones are not looked at"),
        (["--follow", "empty", "empty"], "--follow reads one file"),
        (["--treads", "2", "empty"], "unrecognized arguments: --treads"),
    ],
)
def test_predict_without_pictures_is_refused_and_leaves_the_answers_of_last_week(
    *, run, bundle, tmp_path, monkeypatch, words, says
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".DS_Store").touch()
    Path("labels.csv").write_text("of last week", encoding="utf-8")
    code, _, err = run("predict", *words, "--bundle", bundle)
    assert code in (1, 2)
    assert says in err
    assert Path("labels.csv").read_text(encoding="utf-8") == "of last week"


def test_batch_api_and_stream_give_equal_answers(*, run, serving, bundle, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photos = [Path(shutil.copy(photo.path, f"{i}.jpg")) for i, photo in enumerate(trained.split.test[:6])]
    wrong = Path("notes.jpg")
    wrong.write_text("no picture", encoding="utf-8")
    paths, lines = [*photos, wrong, Path("gone.jpg")], Path("lines.jsonl")
    lines.write_text("".join(f"{json.dumps({'file': str(path)})}\n" for path in paths), encoding="utf-8")
    code, out, err = run("predict", "--follow", lines, "--bundle", bundle)
    assert code == 1
    assert err.endswith(f"{lines}: 6 pictures classified, 2 refused\n")
    *stream, refused, missing = map(json.loads, out.splitlines())
    run("predict", *paths[:-1], "--bundle", bundle)
    *batch, refused_row = rows_of(Path("labels.csv"))
    with serving(create_app(ServeSettings(bundle=bundle))) as client:
        files = [("files", (str(path), path.read_bytes())) for path in photos]
        api = client.post("/v1/classifications", files=files).raise_for_status().json()["results"]
        alone = client.post("/v1/classifications", files=[("files", wrong.read_bytes())]).json()

    assert stream == api
    for row, result in zip(batch, api, strict=True):
        first = result["predictions"][0]
        assert (row["label"], row["probability"]) == (first["label"], f"{first['probability']:.4f}")
        assert row["label_set"].split("; ") == result["label_set"]
        assert row["unsure"] == (result["unsure"] or {"reason": ""})["reason"]
    assert (refused["line"], missing["line"]) == (7, 8)
    assert refused["error"]["detail"] == refused_row["error"] == alone["errors"][0]["message"]
    assert "it is no file" in missing["error"]["detail"]


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


@pytest.mark.long
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
