"""The service on a real graph and real sockets: what it answers, what it refuses, and that the others are answered."""

import base64
import io
import json
import tempfile
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from picture_files import URL, File, as_files, ask, encoded, plain, random_picture
from PIL import Image

from image_classifier.config import ServeSettings
from image_classifier.data.images import ImageLimits, prepare
from image_classifier.models.predictor import Prediction, Predictor
from image_classifier.serving import app as serve
from image_classifier.serving.app import create_app, smoke_test
from portfolio_shared.bundle import bundle_digest
from portfolio_shared.serving.prediction_log import time_of

Json = dict[str, Any]
Serving = Callable[[FastAPI], AbstractContextManager[httpx.Client]]

LABELS = ("apple", "basil", "cornflower")  # of the model of colors: red, green, blue
SIDE = 32
LIMITS = ImageLimits()


@pytest.fixture(scope="module")
def predictor(color_bundle: Path) -> Predictor:
    return Predictor.load(color_bundle)


# What is served is what was evaluated


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "HEIC", "AVIF"])
def test_the_service_answers_what_the_predictor_says(service: httpx.Client, predictor: Predictor, kind: str) -> None:
    files = [encoded(random_picture(seed), kind) for seed in range(6)]
    pictures = [prepare(data, predictor.preprocessing, limits=LIMITS) for data in files]

    results = ask(service, *files)

    for result, offline in zip(results, predictor.predict(pictures), strict=True):
        order = np.argsort(-offline.probabilities)
        assert [item["label"] for item in result["predictions"]] == [LABELS[label] for label in order]
        assert [item["probability"] for item in result["predictions"]] == pytest.approx(offline.probabilities[order])
        assert result["label_set"] == [LABELS[label] for label in offline.label_set]
        assert (result["unsure"] or {"reason": None})["reason"] == offline.unsure
        assert (result["coverage"], result["heat"], result["error"]) == (0.9, None, None)


def test_files_are_answered_in_their_order_and_by_name(service: httpx.Client) -> None:
    files: list[File] = [(f"{color}.png", plain(color), "image/png") for color in ("blue", "red", "lime")]

    results = ask(service, *files)

    assert [(result["file"], result["label_set"]) for result in results] == [
        ("blue.png", ["cornflower"]),
        ("red.png", ["apple"]),
        ("lime.png", ["basil"]),
    ]


def test_every_response_names_its_model_and_has_an_id_of_its_own(service: httpx.Client, color_bundle: Path) -> None:
    first, again = (service.post(URL, files=as_files(plain("red")), headers={"X-Request-ID": "1"}) for _ in range(2))

    body = first.json()
    assert list(body) == ["id", "model", "results"]
    assert time_of(body["id"]) <= time_of(again.json()["id"])
    assert body["id"] != again.json()["id"]
    assert body["model"] == {"name": "image-classifier", "version": bundle_digest(color_bundle)[:12]}
    fields = ["file", "predictions", "label_set", "coverage", "unsure", "heat", "crop", "error"]
    assert list(body["results"][0]) == fields


def test_options_come_in_the_query_or_in_the_form(service: httpx.Client) -> None:
    (default,) = ask(service, plain("red"))
    (by_query,) = ask(service, plain("red"), top_k=1, heat=True)
    by_form = service.post(URL, files=as_files(plain("red")), data={"top_k": "1", "heat": "true"}).json()["results"]
    by_both = service.post(URL, files=as_files(plain("red")), data={"heat": "1"}, params={"top_k": 1}).json()["results"]

    assert len(default["predictions"]) == 3
    assert len(by_query["predictions"]) == 1
    assert by_query["heat"] is not None
    assert by_form == by_both == [by_query]


def test_a_file_without_a_name_is_read_and_called_by_its_place(service: httpx.Client) -> None:
    def nameless(data: bytes) -> httpx.Response:
        head = b'--b\r\nContent-Disposition: form-data; name="files"\r\nContent-Type: image/png\r\n\r\n'
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        return service.post(URL, content=head + data + b"\r\n--b--\r\n", headers=headers)

    assert nameless(plain("red")).json()["results"][0]["label_set"] == ["apple"]
    assert nameless(b"no picture").json()["detail"].startswith("files.0: The file holds no picture")


def test_an_unsure_prediction_has_its_reason(service: httpx.Client) -> None:
    results = ask(service, plain("red"), plain("black"), plain("yellow"))

    assert [result["unsure"] and result["unsure"]["reason"] for result in results] == [None, "unfamiliar", "ambiguous"]
    assert results[2]["label_set"] == ["apple", "basil"]
    assert "apple or basil" in results[2]["unsure"]["detail"]


def test_a_file_of_a_phone_is_upright_for_label_heat_and_crop(service: httpx.Client) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter to the right, the left edge is on top
    image = Image.new("RGB", (400, 200), "black")
    image.paste("red", (150, 0, 200, 200))

    (result,) = ask(service, encoded(image, "JPEG", exif=exif, quality=95), heat=True)

    opacity = heat_of(result)[..., 3].astype(int)
    assert opacity[: SIDE // 2].sum() > 5 * opacity[SIDE // 2 :].sum()
    assert result["crop"] == pytest.approx({"left": 0.1, "top": 0.3, "width": 0.8, "height": 0.4})


def heat_of(result: Json) -> np.ndarray:
    head, _, data = result["heat"].partition(",")
    assert head == "data:image/png;base64"
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert picture.size == (SIDE, SIDE)
    return np.asarray(picture.convert("RGBA"))


# How it is computed


def test_without_a_model_the_service_says_so(serving: Serving, tmp_path: Path) -> None:
    with serving(create_app(ServeSettings(bundle=tmp_path))) as client:
        assert client.post(URL, files=as_files(plain("red"))).status_code == 503
        assert client.get("/v1/labels").status_code == 503


def test_pictures_are_decoded_in_the_worker_threads(service: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    decode = serve.decode

    def watched(*args: Any, **options: Any) -> Image.Image:
        threads.append(threading.current_thread().name)
        return decode(*args, **options)

    monkeypatch.setattr(serve, "decode", watched)
    ask(service, plain("red"), plain("blue"))

    assert len(threads) == 2
    assert all(name.startswith("predict") for name in threads)


def test_a_request_needs_no_disk(service: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def spool(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", spool)
    large = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8)))
    assert len(large) > 3_000_000

    assert [result["error"] for result in ask(service, large, large)] == [None, None]


def test_requests_at_the_same_time_do_not_mix(service: httpx.Client) -> None:
    expected = {"red": "apple", "lime": "basil", "blue": "cornflower"}
    answers: list[tuple[str, str]] = []

    def ask_five_times(color: str) -> None:
        for _ in range(5):
            (result,) = ask(service, plain(color))
            answers.append((color, result["label_set"][0]))

    threads = [threading.Thread(target=ask_five_times, args=(color,)) for color in [*expected, *expected]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 30
    assert all(expected[color] == label for color, label in answers)


# What a page needs to know


def test_labels_limits_and_examples(service: httpx.Client, color_bundle: Path) -> None:
    body = service.get("/v1/labels").json()

    assert list(body) == ["id", "model", "labels", "coverage", "formats", "limits", "examples"]
    assert body["model"]["version"] == bundle_digest(color_bundle)[:12]
    assert (body["labels"], body["coverage"]) == (list(LABELS), 0.9)
    assert body["formats"] == ["JPEG", "PNG", "WEBP", "GIF", "HEIC", "AVIF"]
    (example,) = body["examples"]
    assert example == {"name": "picture-1", "url": "/v1/examples/picture-1"}
    picture = service.get(example["url"])
    assert picture.headers["content-type"] == "image/jpeg"
    assert ask(service, picture.content)[0]["label_set"] == ["apple"]


def test_an_example_that_is_not_there(service: httpx.Client) -> None:
    answer = service.get("/v1/examples/picture-9")

    assert answer.status_code == 404
    assert "picture-1" in answer.json()["detail"]


def test_the_documentation_shows_the_form(service: httpx.Client) -> None:
    described = service.get("/openapi.json").json()["paths"][URL]["post"]

    form = described["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["files"]["items"]["format"] == "binary"
    assert set(form["properties"]) == {"files", "top_k", "heat"}
    assert {parameter["name"] for parameter in described["parameters"]} == {"top_k", "heat"}
    assert json.dumps(described["responses"]["200"]).count("ClassificationResponse") == 1


# A model that cannot do its work is not served


class Broken(Predictor):
    """The predictor with a prediction of its choice."""

    def __init__(self, like: Predictor, prediction: Prediction) -> None:
        vars(self).update(vars(like), _prediction=prediction)

    def predict(self, inputs: Any, *, heat: bool = False) -> list[Prediction]:
        return [self._prediction] * len(inputs)


@pytest.mark.parametrize(
    ("probabilities", "label_set", "heat", "says"),
    [
        ([0.5, 0.5], (0,), np.ones((2, 2)), "probabilities"),
        ([0.5, 0.5, 0.5], (0,), np.ones((2, 2)), "probabilities"),
        ([np.nan] * 3, (0,), np.ones((2, 2)), "probabilities"),
        ([0.1, 0.8, 0.1], (0,), np.ones((2, 2)), "label set"),
        ([0.1, 0.8, 0.1], (1,), None, "heat"),
        ([0.1, 0.8, 0.1], (1,), np.full((2, 2), np.nan), "heat"),
    ],
)
def test_a_model_that_does_not_is_refused(
    predictor: Predictor, probabilities: Any, label_set: Any, heat: Any, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        smoke_test(Broken(predictor, Prediction(np.array(probabilities), label_set, 0.0, None, heat)))
