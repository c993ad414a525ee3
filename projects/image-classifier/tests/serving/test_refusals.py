"""What the service refuses: each file for its own reason while the others are answered, and requests as a whole."""

import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from picture_files import URL, File, as_files, ask, encoded, plain, png, random_picture

from image_classifier.config import ServeSettings
from image_classifier.serving.app import create_app

Json = dict[str, Any]
Serving = Callable[[FastAPI], AbstractContextManager[httpx.Client]]


def refused(response: httpx.Response, status: int = 422) -> list[Json]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    errors: list[Json] = response.json().get("errors", [])
    return errors


def animation(frames: int) -> bytes:
    block = b"\x2c" + struct.pack("<HHHHB", 0, 0, 16, 16, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + struct.pack("<HHBBB", 16, 16, 0x80, 0, 0) + bytes(6) + block * frames + b";"


SECRET = b"<script>alert('it is echoed')</script>"
WRONG: list[tuple[File, int, str]] = [
    (("empty.jpg", b"", "image/jpeg"), 422, "empty"),
    (("large.jpg", b"\xff\xd8\xff" + bytes(5_000_000), "image/jpeg"), 413, "too_many_bytes"),
    (("bomb.png", png(60_000, 60_000, bytes(1_000_000)), "image/png"), 413, "too_many_pixels"),
    (("short.jpg", plain("red", (300, 300), "JPEG")[:700], "image/jpeg"), 422, "truncated"),
    (("short.png", encoded(random_picture(1))[:5000], "image/png"), 422, "truncated"),
    (("notes.jpg", b"Dear diary, " + SECRET, "image/jpeg"), 415, "not_an_image"),
    (("page.png", b"<html>" + SECRET + plain("red"), "image/png"), 415, "not_an_image"),
    (("drawing.svg", b"<svg>" + SECRET + b"</svg>", "image/svg+xml"), 415, "unsupported_format"),
    (("phone.heic", b"\x00\x00\x00\x18ftypheic" + bytes(99), "image/heic"), 422, "damaged"),
    (("paper.jpg", b"%PDF-1.7 " + SECRET, "image/jpeg"), 415, "unsupported_format"),
    (("nothing.png", png(0, 0), "image/png"), 422, "too_small"),
    (("dot.png", plain("red", (15, 16)), "image/png"), 422, "too_small"),
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
    assert all(result["label_set"] and result["error"] is None for result in results[1::2])


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


def test_a_polyglot_is_read_as_a_picture_and_not_echoed(service: httpx.Client) -> None:
    data = plain("blue", kind="JPEG") + b"PK\x03\x04" + SECRET

    response = service.post(URL, files=as_files(("both.html", data, "text/html")), params={"heat": True})

    assert response.json()["results"][0]["label_set"] == ["cornflower"]
    assert "alert" not in response.text
    assert response.headers["content-type"] == "application/json"


# Requests that are refused as a whole


@pytest.mark.parametrize(
    ("request_", "field", "says"),
    [
        ({"files": [("files", ("a.png", b""))] * 33}, "files", "at most 32"),
        ({"files": [("file", ("a.png", b"x"))]}, "file", "named files"),
        ({"files": [("top_k", ("a.png", b"x"))]}, "top_k", "named files"),
        ({"files": [("files", (None, "text"))]}, "files", "expected a file, got text"),
        ({"files": [("top_k", (None, "3"))]}, "files", "at least one"),
        ({"params": {"topk": 3}}, "topk", "Unknown parameter"),
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


def test_limits_are_settings(serving: Serving, color_bundle: Path) -> None:
    picture = encoded(random_picture(0))
    limits = {
        "max_files": 2,
        "max_file_bytes": len(picture) - 1,
        "max_body_bytes": 3 * len(picture),
        "max_pixels_whole": 256,
    }
    with serving(create_app(ServeSettings(bundle=color_bundle, **limits))) as client:
        refused(client.post(URL, files=as_files(*[plain("red", (16, 16))] * 3)))
        assert len(ask(client, *[plain("red", (16, 16))] * 2)) == 2
        assert refused(client.post(URL, files=as_files(picture)), 413)[0]["code"] == "too_many_bytes"
        assert refused(client.post(URL, files=as_files(plain("red", (16, 17)))), 413)[0]["code"] == "too_many_pixels"
        assert refused(client.post(URL, files=as_files(picture, picture, picture)), 413) == []
        stated = client.get("/v1/labels").json()["limits"]
    assert stated == limits | {"max_frames": 500, "max_pixels": 50_000_000}
