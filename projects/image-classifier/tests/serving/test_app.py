"""The service on a real graph and real sockets: what it answers, what it refuses, and that the others are answered."""

import base64
import io
import json
import struct
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from fastapi import FastAPI
from onnx import TensorProto, helper
from PIL import Image

from image_classifier.config import ServeSettings
from image_classifier.data.images import ImageLimits, Preprocessing, prepare
from image_classifier.models.predictor import Answer, Predictor, Rules
from image_classifier.serving import app as serve
from image_classifier.serving.app import create_app, smoke_test
from portfolio_shared.bundle import DataInfo, Manifest, bundle_digest, write_bundle

Json = dict[str, Any]
File = tuple[str, bytes, str]
Serving = Callable[[FastAPI], AbstractContextManager[httpx.Client]]

SIDE = 32
LABELS = ("apple", "basil", "cornflower")  # red, green, blue
RULES = Rules(LABELS, Preprocessing(resize=40, crop=SIDE), coverage=0.9, least_probability=0.2, least_confidence=0.6)
LIMITS = ImageLimits()
URL = "/v1/classifications"


class Dark:
    """Stands for what knows the training pictures: nearly black ones are unlike all of them."""

    def score(self, embedding):
        return np.where(embedding.mean(axis=1) < 0.05, 3.0, 0.5)

    def save(self, path: Path) -> None:
        path.write_bytes(b"")

    @classmethod
    def load(cls, path: Path) -> "Dark":
        assert path.exists()
        return cls()


def graph() -> bytes:
    """Return a model that names the strongest colour and finds it where it is."""
    nodes = [
        helper.make_node("Cast", ["pictures"], ["whole"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["whole"], ["channels"], perm=[0, 3, 1, 2]),
        helper.make_node("Div", ["channels", "white"], ["scaled"]),
        helper.make_node("AveragePool", ["scaled"], ["maps"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("ReduceMean", ["maps"], ["embedding"], axes=[2, 3], keepdims=0),
        helper.make_node("Mul", ["embedding", "sharpness"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    floats = TensorProto.FLOAT
    body = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [
            helper.make_tensor_value_info("probabilities", floats, ["n", 3]),
            helper.make_tensor_value_info("embedding", floats, ["n", 3]),
            helper.make_tensor_value_info("maps", floats, ["n", 3, 4, 4]),
        ],
        [helper.make_tensor("white", floats, [], [255.0]), helper.make_tensor("sharpness", floats, [], [5.0])],
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


@pytest.fixture(scope="module")
def patched() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("image_classifier.models.predictor.Novelty", Dark)
        yield patch


@pytest.fixture(scope="module")
def web(patched: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a page."""
    folder = tmp_path_factory.mktemp("web")
    (folder / "index.html").write_text("<!doctype html><title>Pictures</title>")
    patched.setattr(serve, "WEB", folder)
    return folder


@pytest.fixture(scope="module")
def bundle(patched: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "bundle"
    Predictor(graph(), Dark(), RULES, {"picture-1": plain("red", kind="JPEG")}).save(folder)
    data = DataInfo(source="sample", name="colours", sha256="0" * 64, rows={}, test_split_sha256="0" * 64)
    write_bundle(
        folder,
        Manifest(
            project="image-classifier",
            created=datetime.now(UTC),
            git_commit="0" * 40,
            data=data,
            config={},
            metrics={},
            baselines={},
            input_schema={},
            labels=LABELS,
            input_statistics={},
        ),
    )
    return folder


@pytest.fixture(scope="module")
def service(serving: Serving, bundle: Path, web: Path) -> Iterator[httpx.Client]:
    settings = ServeSettings(bundle=bundle, max_pixels_whole=2_000_000, max_file_bytes=5_000_000)
    with serving(create_app(settings)) as client:
        yield client


@pytest.fixture(scope="module")
def predictor(bundle: Path) -> Predictor:
    return Predictor.load(bundle)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def plain(colour: str, size: tuple[int, int] = (64, 48), kind: str = "PNG") -> bytes:
    return encoded(Image.new("RGB", size, colour), kind)


def as_files(*pictures: bytes | File) -> list[tuple[str, File]]:
    named = [
        picture if isinstance(picture, tuple) else (f"{i}.png", picture, "image/png")
        for i, picture in enumerate(pictures)
    ]
    return [("files", file) for file in named]


def ask(service: httpx.Client, *pictures: bytes | File, **options: Any) -> list[Json]:
    response = service.post(URL, files=as_files(*pictures), params=options)
    assert response.status_code == 200, response.text
    results: list[Json] = response.json()["results"]
    return results


def refused(response: httpx.Response, status: int = 422) -> list[Json]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    errors: list[Json] = response.json().get("errors", [])
    return errors


def random_picture(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((180 + seed, 120), Image.Resampling.BICUBIC)


# What is served is what was evaluated


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
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
    files: list[File] = [(f"{colour}.png", plain(colour), "image/png") for colour in ("blue", "red", "lime")]

    results = ask(service, *files)

    assert [(result["file"], result["label_set"]) for result in results] == [
        ("blue.png", ["cornflower"]),
        ("red.png", ["apple"]),
        ("lime.png", ["basil"]),
    ]


def test_every_response_names_its_model_and_its_request(service: httpx.Client, bundle: Path) -> None:
    response = service.post(URL, files=as_files(plain("red")), headers={"X-Request-ID": "pictures-1"})

    body = response.json()
    assert list(body) == ["id", "model", "results"]
    assert body["id"] == response.headers["x-request-id"] == "pictures-1"
    assert body["model"] == {"name": "image-classifier", "version": bundle_digest(bundle)[:12]}
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


def test_doubt_is_said(service: httpx.Client) -> None:
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


# Files that cannot be read: each has its own error, the others are answered


def png_of_size(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1_000_000))) + chunk(b"IEND", b"")


def animation(frames: int) -> bytes:
    block = b"\x2c" + struct.pack("<HHHHB", 0, 0, 8, 8, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0x80, 0, 0) + bytes(6) + block * frames + b";"


SECRET = b"<script>alert('it is echoed')</script>"
WRONG: list[tuple[File, int, str]] = [
    (("empty.jpg", b"", "image/jpeg"), 422, "empty"),
    (("large.jpg", b"\xff\xd8\xff" + bytes(5_000_000), "image/jpeg"), 413, "too_many_bytes"),
    (("bomb.png", png_of_size(60_000, 60_000), "image/png"), 413, "too_many_pixels"),
    (("short.jpg", plain("red", (300, 300), "JPEG")[:700], "image/jpeg"), 422, "truncated"),
    (("short.png", encoded(random_picture(1))[:5000], "image/png"), 422, "truncated"),
    (("notes.jpg", b"Dear diary, " + SECRET, "image/jpeg"), 415, "not_an_image"),
    (("page.png", b"<html>" + SECRET + plain("red"), "image/png"), 415, "not_an_image"),
    (("drawing.svg", b"<svg>" + SECRET + b"</svg>", "image/svg+xml"), 415, "unsupported_format"),
    (("phone.heic", b"\x00\x00\x00\x18ftypheic" + bytes(99), "image/heic"), 415, "unsupported_format"),
    (("paper.jpg", b"%PDF-1.7 " + SECRET, "image/jpeg"), 415, "unsupported_format"),
    (("nothing.png", png_of_size(0, 0), "image/png"), 422, "too_small"),
    (("dot.png", plain("red", (1, 1)), "image/png"), 422, "too_small"),
    (("film.gif", animation(5000), "image/gif"), 413, "too_many_frames"),
]


def test_a_wrong_file_has_its_error_and_the_others_are_answered(service: httpx.Client) -> None:
    good: File = ("rose.png", plain("red"), "image/png")
    files = [file for wrong, _, _ in WRONG for file in (wrong, good)]

    response = service.post(URL, files=as_files(*files))

    assert response.status_code == 200
    assert "alert" not in response.text
    results = response.json()["results"]
    for result, (wrong, status, code) in zip(results[::2], WRONG, strict=True):
        assert (result["file"], result["error"]["status"], result["error"]["code"]) == (wrong[0], status, code)
        assert len(result["error"]["detail"]) > 20
        assert (result["predictions"], result["label_set"], result["crop"]) == ([], [], None)
    assert all(result["label_set"] == ["apple"] and result["error"] is None for result in results[1::2])


@pytest.mark.parametrize(("file", "status", "code"), WRONG, ids=[file[0] for file, _, _ in WRONG])
def test_alone_a_wrong_file_is_a_problem(service: httpx.Client, file: File, status: int, code: str) -> None:
    response = service.post(URL, files=as_files(file))

    (error,) = refused(response, status)
    assert (error["field"], error["value"], error["code"]) == ("files.0", file[0], code)
    assert error["message"] in response.json()["detail"]
    assert "alert" not in response.text


def test_where_every_file_is_wrong_all_are_listed(service: httpx.Client) -> None:
    files = [file for file, _, _ in WRONG]

    errors = refused(service.post(URL, files=as_files(*files)), 422)

    assert [(error["value"], error["code"]) for error in errors] == [(file[0], code) for file, _, code in WRONG]
    same = [file for file, status, _ in WRONG if status == 415]
    assert len(refused(service.post(URL, files=as_files(*same)), 415)) == len(same)


def test_a_polyglot_is_the_picture_that_it_is_and_nothing_else(service: httpx.Client) -> None:
    data = plain("blue", kind="JPEG") + b"PK\x03\x04" + SECRET

    response = service.post(URL, files=as_files(("both.html", data, "text/html")), params={"heat": True})

    assert response.json()["results"][0]["label_set"] == ["cornflower"]
    assert "alert" not in response.text
    assert response.headers["content-type"] == "application/json"


def test_what_a_client_says_of_the_type_of_a_file_changes_nothing(service: httpx.Client) -> None:
    kinds = ["image/png", "text/plain", "application/x-nonsense"]

    results = ask(service, *[("a", plain("blue"), kind) for kind in kinds])

    assert [result["label_set"] for result in results] == [["cornflower"]] * 3


def multipart(name: bytes, data: bytes) -> Json:
    head = b'--edge\r\nContent-Disposition: form-data; name="files"; filename="' + name + b'"\r\n\r\n'
    return {
        "content": head + data + b"\r\n--edge--\r\n",
        "headers": {"Content-Type": "multipart/form-data; boundary=edge"},
    }


@pytest.mark.parametrize("data", [plain("red"), b"no picture"], ids=["answered", "refused"])
def test_names_are_shown_cut_and_clean(service: httpx.Client, data: bytes) -> None:
    for name, shown in [
        (b"rose\x1b[31m\x07.png", "rose?[31m?.png"),
        ("fdp.\u202egnp.exe".encode(), "fdp.?gnp.exe"),
        (b"x" * 3000 + b".png", "x" * 90 + "...xxx.png"),
    ]:
        body = service.post(URL, **multipart(name, data)).json()
        assert (body["results"][0]["file"] if "results" in body else body["errors"][0]["value"]) == shown


# Requests that are refused as a whole


@pytest.mark.parametrize(
    ("request_", "field", "says"),
    [
        ({"files": [("files", ("a.png", b""))] * 33}, "files", "at most 32"),
        ({"files": [("file", ("a.png", b"x"))]}, "file", "named files"),
        ({"files": [("files", (None, "text"))]}, "files", "a file with a name"),
        ({"files": [("top_k", (None, "3"))]}, "files", "at least one"),
        ({"params": {"topk": 3}}, "topk", "not permitted"),
        ({"data": {"topk": "3"}}, "topk", "not permitted"),
        ({"params": {"top_k": 0}}, "top_k", "greater than or equal to 1"),
        ({"data": {"top_k": "1001"}}, "top_k", "less than or equal to 1000"),
        ({"data": {"heat": "perhaps"}}, "heat", "boolean"),
        ({"data": {"heat": "true"}, "params": {"heat": True}}, "heat", "not in both"),
        ({"data": {"heat": ["true", "false"]}}, "heat", "once"),
    ],
)
def test_a_wrong_field_is_named(service: httpx.Client, request_: Json, field: str, says: str) -> None:
    (error,) = refused(service.post(URL, **{"files": as_files(plain("red"))} | request_))

    assert error["field"] == field
    assert says in error["message"]


def test_another_type_of_body_is_refused(service: httpx.Client) -> None:
    refused(service.post(URL, json={"files": []}), 415)
    refused(service.post(URL, content=plain("red"), headers={"Content-Type": "image/png"}), 415)
    refused(service.post(URL), 415)
    refused(service.post(URL, content=b"x", headers={"Content-Type": "multipart/form-data"}), 400)


def test_limits_are_settings(serving: Serving, bundle: Path, web: Path) -> None:
    picture = encoded(random_picture(0))
    limits = {
        "max_files": 2,
        "max_file_bytes": len(picture) - 1,
        "max_body_bytes": 3 * len(picture),
        "max_pixels_whole": 64,
    }
    with serving(create_app(ServeSettings(bundle=bundle, **limits))) as client:
        refused(client.post(URL, files=as_files(*[plain("red", (8, 8))] * 3)))
        assert len(ask(client, *[plain("red", (8, 8))] * 2)) == 2
        assert refused(client.post(URL, files=as_files(picture)), 413)[0]["code"] == "too_many_bytes"
        assert refused(client.post(URL, files=as_files(plain("red", (8, 9)))), 413)[0]["code"] == "too_many_pixels"
        assert refused(client.post(URL, files=as_files(picture, picture, picture)), 413) == []
        stated = client.get("/v1/labels").json()["limits"]
    assert stated == limits | {"max_frames": 500, "max_pixels": 50_000_000}


def test_without_a_model_the_service_says_so(serving: Serving, tmp_path: Path, web: Path) -> None:
    with serving(create_app(ServeSettings(bundle=tmp_path))) as client:
        assert client.post(URL, files=as_files(plain("red"))).status_code == 503
        assert client.get("/v1/labels").status_code == 503


# How it is computed


def test_pictures_are_decoded_in_the_worker_threads(service: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    read = serve.read_image

    def watched(*args: Any, **options: Any) -> Image.Image:
        threads.append(threading.current_thread().name)
        return read(*args, **options)

    monkeypatch.setattr(serve, "read_image", watched)
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
    found: list[tuple[str, str]] = []

    def one(colour: str) -> None:
        for _ in range(5):
            (result,) = ask(service, plain(colour))
            found.append((colour, result["label_set"][0]))

    threads = [threading.Thread(target=one, args=(colour,)) for colour in [*expected, *expected]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 30
    assert all(expected[colour] == label for colour, label in found)


# What a page needs to know


def test_labels_limits_and_examples(service: httpx.Client, bundle: Path) -> None:
    body = service.get("/v1/labels", headers={"X-Request-ID": "labels-1"}).json()

    assert list(body) == ["id", "model", "labels", "coverage", "formats", "limits", "examples"]
    assert body["id"] == "labels-1"
    assert body["model"]["version"] == bundle_digest(bundle)[:12]
    assert (body["labels"], body["coverage"]) == (list(LABELS), 0.9)
    assert body["formats"] == ["JPEG", "PNG", "WEBP", "GIF"]
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
    assert {parameter["name"] for parameter in described["parameters"]} == {"top_k", "heat"}
    assert json.dumps(described["responses"]["200"]).count("ClassificationResponse") == 1


# A model that cannot do its work is not served


class Broken(Predictor):
    """The predictor with one answer of its choice."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(graph(), Dark(), RULES)
        self._said = answer

    def predict(self, pictures: Any, *, heat: bool = False) -> list[Answer]:
        return [self._said] * len(pictures)


def test_a_model_that_works_passes(predictor: Predictor) -> None:
    smoke_test(predictor)


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
def test_a_model_that_does_not_is_refused(probabilities: Any, label_set: Any, heat: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        smoke_test(Broken(Answer(np.array(probabilities), label_set, 0.0, None, heat)))
