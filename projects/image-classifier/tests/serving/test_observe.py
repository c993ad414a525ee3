"""What the log keeps of pictures, what is watched of them, and that a reference tells new pictures from other ones."""

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from picture_files import URL, as_files, encoded, plain, random_picture
from PIL import Image, ImageFilter

from image_classifier.config import MODEL_NAME, ServeSettings, TrainConfig
from image_classifier.data.images import decode, find_still
from image_classifier.data.load import SAMPLE, Split
from image_classifier.data.looks import Look
from image_classifier.data.photos import TRUSTED, Photo
from image_classifier.data.preprocessing import to_pixels
from image_classifier.models.predictor import Predictor
from image_classifier.serving.app import create_app
from image_classifier.serving.observe import (
    WATCH,
    Truth,
    answer_of,
    columns_of,
    look_of,
    reference,
)
from image_classifier.train import Trained
from portfolio_shared.operations.drift import drift
from portfolio_shared.operations.store import LoggedPrediction, connect
from portfolio_shared.operations.watch import Columns, read_reference

ALPHA = 0.001
Serving = Callable[[FastAPI], AbstractContextManager[httpx.Client]]
Ask = Callable[..., LoggedPrediction]


@pytest.fixture
def logged(serving: Serving, color_bundle: Path, tmp_path: Path) -> Ask:
    """Return a function: files -> the row that the log has of the request, after it was closed."""

    def ask(*files: Any, bundle: Path = color_bundle, **options: Any) -> LoggedPrediction:
        url = f"sqlite:///{tmp_path}/log.db"
        with serving(create_app(ServeSettings(bundle=bundle, prediction_log=url))) as client:
            answer = client.post(URL, files=as_files(*files), params=options).raise_for_status().json()
        store = connect(url)
        *_, row = store.predictions(MODEL_NAME, since=0, until=1e12)
        store.close()
        assert row.id == answer["id"]
        return row

    return ask


# The log


def test_the_log_has_what_a_picture_was_like_and_all_of_the_answer(logged: Ask) -> None:
    data = encoded(Image.new("RGB", (64, 48), "yellow"), "PNG")
    row = logged(data, top_k=1)

    (picture,) = json.loads(row.request)["pictures"]
    assert picture == {
        "sha256": hashlib.sha256(data).hexdigest(),
        "format": "PNG",
        "width": 64,
        "height": 48,
        "side": 32,
        "brightness": 0.6667,
        "sharpness": 0.0,
        "unfamiliarity": 0.0,
        "features": [1.0, 1.0, 0.0],
    }
    (answer,) = json.loads(row.response)["results"]
    assert answer["probabilities"] == pytest.approx({"apple": 0.498, "basil": 0.498, "cornflower": 0.003}, abs=1e-3)
    assert answer["label_set"] == ["apple", "basil"]
    assert answer["unsure"] == "ambiguous"
    assert (row.items, row.route) == (1, URL)


def test_neither_pixels_nor_names_nor_heat_reach_the_log(logged: Ask, tmp_path: Path) -> None:
    """Whatever is written, in any table of the file: no text of it is long enough to hold a picture."""
    data = encoded(random_picture(3), "JPEG", quality=95)
    row = logged(("grandmother-1961.jpg", data, "image/jpeg"), ("notes.jpg", b"dear diary", "image/jpeg"), heat=True)

    kept = b"".join(path.read_bytes() for path in tmp_path.glob("log.db*"))
    assert row.id.encode() in kept
    assert not [word for word in (b"grandmother", b"notes", b"diary", b"base64", b"heat") if word in kept]
    assert data[100:116] not in kept
    assert len(row.request) + len(row.response) < 1000 < len(data)


def test_of_a_refused_file_the_log_has_the_reason_alone_and_indices_stay(logged: Ask) -> None:
    row = logged(b"no picture", plain("red"))

    assert json.loads(row.request)["pictures"][0] == json.loads(row.response)["results"][0] == {"error": "not_an_image"}
    refused, red = WATCH.columns(Path())(row)
    assert (refused, red["label"]) == ({}, "apple")


# What is watched


@pytest.mark.parametrize(
    ("said", "label", "shown"),
    [
        ({"probabilities": {"a": 0.6, "b": 0.4}, "label_set": ["a", "b"], "unsure": None}, "a", (1, 1, 0)),
        ({"probabilities": {"a": 0.6, "b": 0.4}, "label_set": ["a", "b"], "unsure": "ambiguous"}, "b", (0, 1, 1)),
        ({"probabilities": {"a": 0.9, "b": 0.1}, "label_set": ["a"], "unsure": None}, "b", (0, 0, 0)),
    ],
)
def test_the_truth_shows_whether_label_and_label_set_were_right(said: Any, label: str, shown: Any) -> None:
    row = LoggedPrediction("1", 0.0, MODEL_NAME, "1", URL, "", 1, 1.0, "", json.dumps({"results": [said]}))
    measured = WATCH.measure(row, 0, Truth(label=label))
    assert measured == dict(zip(("accuracy", "set_coverage", "unsure"), shown, strict=True))
    assert set(measured) <= set(WATCH.measures)


@pytest.mark.parametrize("unsure", [None, "unfamiliar"])
def test_of_a_picture_of_none_of_the_labels_only_the_doubt_counts(unsure: str | None) -> None:
    said = {"probabilities": {"a": 1.0}, "label_set": ["a"], "unsure": unsure}
    results = json.dumps({"results": [{"error": "empty"}, said]})
    row = LoggedPrediction("1", 0.0, MODEL_NAME, "1", URL, "", 2, 1.0, "", results)
    assert WATCH.measure(row, 1, Truth(label=None)) == {"unsure_out_of_distribution": float(unsure is not None)}
    assert WATCH.measure(row, 0, Truth(label=None)) == {}
    with pytest.raises(ValueError, match="peony"):  # which is counted as unreadable
        WATCH.measure(row, 1, Truth(label="peony"))


def test_a_label_that_the_model_does_not_have_is_refused(serving: Serving, color_bundle: Path, tmp_path: Path) -> None:
    """Misspelt, it would count as a picture of none of the labels."""
    settings = ServeSettings(bundle=color_bundle, prediction_log=f"sqlite:///{tmp_path}/log.db")
    with serving(create_app(settings)) as client:
        id_ = client.post(URL, files=as_files(plain("red"))).raise_for_status().json()["id"]

        def say(label: str | None) -> httpx.Response:
            return client.post("/v1/feedback", json={"id": id_, "truth": {"label": label}})

        labels = client.get("/v1/labels").json()["labels"]
        for wrong in ("Apple", "apples", " apple", ""):
            answer = say(wrong)
            (error,) = answer.json()["errors"]
            assert (answer.status_code, error["field"], error["value"]) == (422, "truth.label", wrong)
            assert error["bound"] == {"expected": str(labels)}
        assert [say(right).status_code for right in (*labels, None)] == [202] * (len(labels) + 1)


def test_every_measure_is_compared_with_a_metric_of_the_test(trained: Trained) -> None:
    assert {measure.metric for measure in WATCH.measures.values()} <= set(trained.evaluation.metrics)


def logged_answer(said: Any, *, id_: str = "1", **picture: Any) -> LoggedPrediction:
    asked, answered = json.dumps({"pictures": [{"error": "empty"}, picture]}), {"results": [{"error": "empty"}, said]}
    return LoggedPrediction(id_, 0.0, MODEL_NAME, "1", URL, "", 2, 1.0, asked, json.dumps(answered))


# What two models are compared by


@pytest.mark.parametrize(("label", "score"), [("a", 0.1**2 * 2), ("b", 0.9**2 * 2), (None, None)])
def test_the_loss_is_the_brier_score_and_nothing_of_a_picture_of_none_of_the_labels(
    label: str | None, score: float | None
) -> None:
    row = logged_answer({"probabilities": {"a": 0.9, "b": 0.1}})
    assert WATCH.loss(row, 1, Truth(label=label)) == (score if score is None else pytest.approx(score))
    assert WATCH.loss(row, 0, Truth(label=label)) is None  # a refused file


def test_the_loss_says_nothing_of_a_label_that_one_of_the_models_does_not_have() -> None:
    row = logged_answer({"probabilities": {"a": 0.9, "b": 0.1}})
    for asked in (WATCH.loss, WATCH.doubt):
        with pytest.raises(ValueError, match="peony"):
            asked(row, 1, Truth(label="peony"))


def test_a_picture_is_its_file_whatever_it_was_called_and_beside_what_it_was_sent(logged: Ask) -> None:
    data = plain("red")
    row = logged(b"no picture", ("a.png", data, "image/png"))
    assert WATCH.about(row, 1) == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("index", "label", "why"),
    [
        (1, "a", None),
        (1, "b", None),
        (1, None, None),
        (1, "c", "a label that the answer held impossible"),
        (0, "a", "a file that could not be read"),
        (0, None, "a file that could not be read"),
    ],
)
def test_a_label_is_doubted_that_the_answer_held_impossible(index: int, label: str | None, why: str | None) -> None:
    row = logged_answer({"probabilities": {"a": 0.9982, "b": 0.001, "c": 0.0008}})
    assert WATCH.doubt(row, index, Truth(label=label)) == why


@pytest.mark.long
@pytest.mark.parametrize(("look", "least"), [(Look(1.0), 0.15), (Look(0.3, noise=8), 0.01)])
def test_right_labels_are_hardly_doubted_after_a_change_as_well_and_of_all_false_ones_some_are(
    logged: Ask, bundle: Path, others: list[Path], look: Look, least: float
) -> None:
    """Quarantine that keeps out what a drift brings would keep the model from learning it."""
    honest, false = [], []
    for start in range(0, 240, 30):
        paths = others[start : start + 30]
        row = logged(*(encoded(look.of(Image.open(path)), "JPEG") for path in paths), bundle=bundle)
        for i, path in enumerate(paths):
            right = path.parent.name
            for label in json.loads(row.response)["results"][i]["probabilities"]:
                (honest if label == right else false).append(WATCH.doubt(row, i, Truth(label=label)) is not None)
    assert np.mean(honest) < 0.05
    assert np.mean(false) > least


# The reference


@pytest.fixture(scope="module")
def others(train_config: TrainConfig) -> list[Path]:
    """Photographs of the same source as those of the small model, none of which it has seen."""
    seen = {path.name for path in Path(train_config.data).glob("*/*.jpg")}
    paths = [path for path in sorted(SAMPLE.path.glob("*/*.jpg")) if path.name not in seen]
    assert len(paths) > 200
    return paths


def watched(predictor: Predictor, paths: list[Path], change: Callable[[Image.Image], Image.Image]) -> Columns:
    """Return the columns of photographs that were changed before they were sent."""
    rows = []
    for path in paths:
        image = decode(find_still(path.read_bytes(), limits=TRUSTED), limits=TRUSTED)
        pixels = to_pixels(change(image), predictor.preprocessing)
        (prediction,) = predictor.predict([pixels])
        rows.append(columns_of(look_of(pixels, prediction), answer_of(prediction, predictor.labels)))
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def test_the_bundle_has_what_the_service_would_log_of_photographs_that_were_held_out(
    logged: Ask, bundle: Path, trained: Trained
) -> None:
    kept = read_reference(bundle)
    held_out = [*trained.split.validation, *trained.split.test]
    assert {len(column) for column in kept.values()} == {len(held_out)}
    row = logged(*(photo.path.read_bytes() for photo in held_out[-20:]), bundle=bundle)
    for i, columns in enumerate(WATCH.columns(bundle)(row)):
        assert columns == {name: pytest.approx(column[len(held_out) - 20 + i]) for name, column in kept.items()}


@pytest.mark.long
def test_new_photographs_do_not_look_drifted_and_dark_or_blurred_ones_do(
    bundle: Path, predictor: Predictor, others: list[Path]
) -> None:
    kept = read_reference(bundle)
    assert not drift(kept, watched(predictor, others, lambda image: image), alpha=ALPHA).alarm
    changes = {
        "brightness": lambda image: image.point(lambda value: value * 0.6),
        "sharpness": lambda image: image.filter(ImageFilter.GaussianBlur(3)),
    }
    for column, change in changes.items():
        found = drift(kept, watched(predictor, others[::2], change), alpha=ALPHA)
        assert found.alarm
        assert found.columns[0].name == column


@pytest.mark.long
def test_of_photographs_that_were_learned_from_a_reference_would_call_new_ones_drifted(
    predictor: Predictor, trained: Trained, others: list[Path]
) -> None:
    learned: tuple[Photo, ...] = trained.split.train
    overfitted = reference(predictor, Split(learned, learned[::2], learned[1::2], trained.data.labels))
    found = drift(overfitted, watched(predictor, others, lambda image: image), alpha=ALPHA)
    assert found.alarm
    assert found.columns[0].name in ("probability", "unfamiliarity", "label_set_size")
