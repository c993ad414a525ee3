"""Hostile JSON, made with a fixed seed: every service answers each body with a result or a problem, and stays well."""

import importlib
import json
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from small_models import SmallModel

from project_table import Project

pytestmark = [pytest.mark.suite, pytest.mark.long, pytest.mark.slow]

Json = dict[str, Any]
LONGEST_SECONDS = 10.0  # of one answer
LONGEST_PROBLEM = 100_000  # bytes: what is refused is not sent back
MUTATIONS = 300
HERE = "\ue000here"
LONG = "9" * 5000  # more digits than Python turns into a number
# What may stand in any place of a body, valid JSON or not.
SCALARS = [
    *("null", "true", "false", "0", "-0", "1", "-1", "1.0", "1.5", "-1e-7", "1e5", "2147483648", "9007199254740993"),
    *("9223372036854775808", "1e308", "1e309", "-1e999", "5e-324", "NaN", "Infinity", "-Infinity", f"1{'0' * 400}"),
    *(LONG, f"-{LONG}", f"0.{LONG}", f"1e{LONG}", f'"{LONG}"', f'"{"x" * 20_000}"', '""', '" "', '"1"', '"1.0"'),
    *('"null"', '"NA"', '"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"', '"\\u202e\u2028"', '"\U0001f3e0"', '"\x00"'),
    *(
        "[]",
        "{}",
        "[[]]",
        "[null]",
        '{"": 1}',
        '{"a": {"a": 1}}',
        "[" * 150 + "]" * 150,
        '{"a":' * 150 + "1" + "}" * 150,
    ),
    *("01", "+1", ".5", "1.", "0x10", "'x'", "undefined", "None", "tru", '"\t"', '"\\x41"', "/* 1 */ 1", "1 1", ""),
]
KEYS = ("__proto__", "__class__", "constructor", "$ref", "self", "houses.0", "history", "model_config", "")
WHOLE = [
    *(
        b"",
        b"\xef\xbb\xbf",
        b" ",
        b"\n\n",
        b"\x00",
        b"\xff\xfe",
        b"\xfe\xff",
        b"\x1f\x8b",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
    ),
    *(b"[" * 100_000, b'{"a":' * 50_000, b"[" * 50_000 + b"]" * 50_000, b'"' + b"\\" * 99_999, b'"\xff"'),
    *(b" " * 900_000 + b"1", b"[" + b"0," * 99_999 + b"0]", json.dumps({key: {} for key in KEYS}).encode()),
    *(json.dumps({f"key{i}": i for i in range(20_000)}).encode(), json.dumps({"k" * 200_000: 1}).encode()),
]


@pytest.fixture(scope="module")
def client(
    serving: Callable[[Any], AbstractContextManager[httpx.Client]], project: Project, project_bundle: Path
) -> Iterator[httpx.Client]:
    settings = importlib.import_module(f"{project.package}.config").ServeSettings(bundle=project_bundle)
    with serving(importlib.import_module(f"{project.package}.serving.app").create_app(settings)) as client:
        yield client


def resolved(schema: Json, document: Json) -> Json:
    """Follow a reference, and of several kinds take the first."""
    while "$ref" in schema or "anyOf" in schema:
        if "anyOf" in schema:
            schema = schema["anyOf"][0]
        else:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def example_of(schema: Json, document: Json) -> Any:
    """Return a value of the schema with every field, valid as far as types and least values say."""
    schema = resolved(schema, document)
    if "properties" in schema:
        return {name: example_of(part, document) for name, part in schema["properties"].items()}
    if schema.get("type") == "array":
        return [example_of(schema["items"], document)]
    return schema.get(
        "minimum", {"boolean": True, "string": schema.get("enum", ["x"])[0]}.get(schema.get("type", ""), 1)
    )


def places(value: Any) -> Iterator[tuple[str | int, ...]]:
    """Yield the way to every part of a value, the whole included."""
    yield ()
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from ((key, *rest) for rest in places(part))


def replaced(value: Any, place: tuple[str | int, ...], text: str) -> bytes:
    """Return the JSON of a value with any text in one place."""
    if not place:
        return text.encode("utf-8", "surrogatepass")
    whole = json.loads(json.dumps(value))
    parent = whole
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = HERE
    return json.dumps(whole).replace(json.dumps(HERE), text).encode("utf-8", "surrogatepass")


def hostile(example: Any, draw: random.Random) -> Iterator[bytes]:
    """Yield bodies: whole ones, every scalar in every place, doubled and unknown keys, and damage at random."""
    plain = json.dumps(example).encode()
    yield from (
        *WHOLE,
        *(plain.decode().encode(encoding) for encoding in ("utf-8-sig", "utf-16", "utf-32-be", "cp037")),
    )
    for place in places(example):
        yield from (replaced(example, place, scalar) for scalar in SCALARS)
        if place and isinstance(place[-1], str):
            key = json.dumps(place[-1])
            yield replaced(example, place, f"1, {key}: 2")
            yield replaced(example, place, "1, " + ", ".join(f'"key{i}": {i}' for i in range(2000)))
    for _ in range(MUTATIONS):
        damaged = bytearray(plain)
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(damaged))
            damaged[at : at + draw.randint(0, 3)] = draw.choice(
                [b"", b"}", b"]", b",", b'"', b"\\u", draw.randbytes(1)]
            )
        yield bytes(damaged)
        yield plain[: draw.randrange(len(plain))]


def check(answer: httpx.Response, body: bytes) -> None:
    told = (answer.status_code, body[:200])
    assert answer.elapsed.total_seconds() < LONGEST_SECONDS, told
    assert answer.status_code < 500, told
    if not answer.is_success:
        assert answer.headers["content-type"] == "application/problem+json", told
        assert len(answer.content) < LONGEST_PROBLEM, told
        problem = answer.json()
        assert (problem["status"], bool(problem["detail"])) == (answer.status_code, True), told


def test_no_json_breaks_a_service(client: httpx.Client, small: SmallModel) -> None:
    usual = small.request
    headers = {"Content-Type": usual.content_type}
    before = client.post(usual.path, content=usual.body, headers=headers).json()
    document, statuses = client.get("/openapi.json").json(), dict[int, int]()
    for path, operations in document["paths"].items():
        if "post" not in operations:
            continue
        kinds = operations["post"]["requestBody"]["content"]
        example = example_of(kinds.get("application/json", {"schema": {"properties": {}}})["schema"], document)
        for body in hostile(example or {"file": "x", "k": [1, 2.5, None]}, random.Random(16)):  # noqa: S311 (nothing secret)
            answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
            check(answer, body)
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
    assert sum(statuses.values()) > 500
    assert client.post(usual.path, content=usual.body, headers=headers).json() | {"id": before["id"]} == before


def test_no_field_of_a_form_and_no_parameter_breaks_a_service(client: httpx.Client) -> None:
    document, sent = client.get("/openapi.json").json(), 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            form = (
                operation.get("requestBody", {}).get("content", {}).get("multipart/form-data", {"schema": {}})["schema"]
            )
            named = [parameter["name"] for parameter in operation.get("parameters", [])]
            for name, scalar in ((name, scalar) for name in [*named, "unknown"] for scalar in SCALARS):
                text = scalar.encode("utf-8", "surrogatepass")[:8000]
                check(client.request(method, path.replace(f"{{{name}}}", "1"), params={name: text}), text)
                sent += 1
            for name, scalar in ((name, scalar) for name in form.get("properties", {}) for scalar in SCALARS):
                text = scalar.encode("utf-8", "surrogatepass")
                check(client.request(method, path, files={name: (None, text)}), text)
    assert sent > 100
