"""Files out of a multipart body: bytes as sent, in memory, within limits, with harmless names."""

import asyncio
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from image_classifier.serving.uploads import MAX_NAME, Form, Upload, clean_name, read_form
from portfolio_shared.serving.problems import ProblemError

HEADING = 'form-data; name="{}"'


def part(disposition: str, data: bytes, kind: str = "image/jpeg") -> bytes:
    return (
        b"--edge\r\nContent-Disposition: "
        + disposition.encode()
        + f"\r\nContent-Type: {kind}\r\n\r\n".encode()
        + data
        + b"\r\n"
    )


def file(name: str, data: bytes, *, field: str = "files", kind: str = "image/jpeg") -> bytes:
    return part(f'form-data; name="{field}"; filename="{name}"', data, kind)


def text(field: str, value: str) -> bytes:
    return f'--edge\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()


def read(
    *parts: bytes,
    content_type: str | None = "multipart/form-data; boundary=edge",
    end: bytes = b"--edge--\r\n",
    at_once: int = 1000,
) -> Form:
    """Read a body that arrives in chunks."""
    body = b"".join(parts) + end
    messages = [
        {"type": "http.request", "body": body[start : start + at_once], "more_body": start + at_once < len(body)}
        for start in range(0, max(len(body), 1), at_once)
    ]

    async def receive():
        return messages.pop(0)

    headers = [] if content_type is None else [(b"content-type", content_type.encode("latin-1"))]
    return asyncio.run(
        read_form(Request({"type": "http", "method": "POST", "headers": headers}, receive), max_files=32)
    )


def refusal(*parts: bytes, **options) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        read(*parts, **options)
    return caught.value


@pytest.mark.parametrize("at_once", [1, 7, 10_000])
def test_files_come_as_sent_and_in_order(at_once) -> None:
    first, second = bytes(range(256)), b"\r\n--edge-\r\n--\r\n\x00"

    form = read(
        file("a.jpg", first),
        text("top_k", "3"),
        file("b.png", second, kind="text/plain"),
        text("heat", "true"),
        at_once=at_once,
    )

    assert form == Form([Upload("a.jpg", first), Upload("b.png", second)], {"top_k": "3", "heat": "true"})


@pytest.mark.parametrize(
    "content_type",
    [None, "application/json", "image/jpeg", "application/x-www-form-urlencoded", "multipart/mixed; boundary=edge"],
)
def test_another_type_of_body_is_refused(content_type) -> None:
    error = refusal(file("a.jpg", b"x"), content_type=content_type)

    assert error.status_code == 415
    assert "multipart/form-data" in error.detail


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", file("a.jpg", b"x")),
        ("multipart/form-data; boundary=edge", b"no boundary anywhere"),
        ("multipart/form-data; boundary=other", file("a.jpg", b"x")),
        ("multipart/form-data; boundary=edge", part('form-data; filename="a.jpg"', b"x")),
        ("multipart/form-data; boundary=edge", b"--edge\r\nContent-Disposition\r\n\r\nx\r\n"),
        ("multipart/form-data; boundary=edge; charset=undefined", file("a.jpg", b"x")),
        ("multipart/form-data; boundary=edge", text("top_k", "9" * 2000)),
        ("multipart/form-data; boundary=edge", b"".join(text(f"field{i}", "x") for i in range(30))),
        ("multipart/form-data; boundary=edge", file("a.jpg", b"x") * 1001),
    ],
    ids=["no boundary", "text", "another boundary", "no name", "no heading", "charset", "long", "fields", "parts"],
)
def test_a_body_that_breaks_the_rules_is_refused(content_type, body) -> None:
    error = refusal(body, content_type=content_type)

    assert error.status_code == 400
    assert "The body" in error.detail


@pytest.mark.parametrize("charset", ["utf-8", "latin-1", "no-such", "base64"])
def test_an_odd_encoding_of_names_does_no_harm(charset) -> None:
    form = read(file("rose.jpg", b"x"), content_type=f"multipart/form-data; boundary=edge; charset={charset}")

    assert form.files == [Upload("rose.jpg", b"x")]


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("form-data; name=files; filename*=UTF-8''G%C3%A4nse%20%26%20Co.jpg", "Gänse & Co.jpg"),
        ('form-data; name="files"; filename="Gaense.jpg"; filename*=utf-8\'de\'G%C3%A4nse.jpg', "Gänse.jpg"),
        ("form-data; filename*=iso-8859-1''G%E4nse.jpg; name=files", "Gänse.jpg"),
        ("form-data; name=files; filename*=no-such''a.jpg", "a.jpg"),
        ("form-data; name=files; filename*=UTF-8''%ff%00.jpg", "\ufffd?.jpg"),
        ("form-data; name=files; filename*=UTF-8''", ""),
        ("form-data; name=files; filename=\"a; filename*=UTF-8''b.jpg\"", "a; filename*=UTF-8''b.jpg"),
        ("form-data; name=files", ""),
    ],
)
def test_a_name_may_be_in_the_extended_form_or_missing(disposition, name) -> None:
    assert read(part(disposition, b"x"), text("top_k", "3")) == Form([Upload(name, b"x")], {"top_k": "3"})


@pytest.mark.parametrize("value", ["rose.jpg", "x" * 5000], ids=["short", "long"])
@pytest.mark.parametrize("kind", ["", "text/plain", "Text/Plain; charset=utf-8"])
def test_text_in_place_of_a_file_is_named(value, kind) -> None:
    sent = part('form-data; name="files"', value.encode(), kind) if kind else text("files", value)

    error = refusal(sent, file("a.jpg", b"x"))

    assert error.status_code == 422
    assert "files: expected a file, got text" in error.detail


def test_a_long_field_is_named_with_its_limit() -> None:
    assert "top_k: text of more than 1000 bytes" in refusal(text("top_k", "9" * 2000)).detail


def test_an_empty_choice_of_a_browser_is_an_empty_file() -> None:
    assert read(file("", b"", kind="application/octet-stream")).files == [Upload("", b"")]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("rose.jpg", "rose.jpg"),
        ("Gänseblümchen\u202f1.jpg", "Gänseblümchen\u202f1.jpg"),
        ("../../etc/passwd", "../../etc/passwd"),
        ("a\x1b[2J\x07.jpg", "a?[2J?.jpg"),
        ("fdp.\u202egpj.exe", "fdp.?gpj.exe"),
        ("a\u2028b\u200b.jpg", "a?b?.jpg"),
    ],
)
def test_a_name_is_made_harmless(name, shown) -> None:
    assert clean_name(name) == shown
    (upload,) = read(file(name, b"x")).files
    assert upload.name == shown


@given(st.text(max_size=300))
def test_every_name_is_short_and_printable(name) -> None:
    shown = clean_name(name)

    assert len(shown) <= MAX_NAME
    assert not any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for character in shown)
