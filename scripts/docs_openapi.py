"""Write the HTTP interface of each service as Markdown: what its /openapi.json says, as a page without scripts.

Swagger's and Redoc's pages are a megabyte of script each, which the site's search does not read.
"""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from project_table import Project, projects

Schema = dict[str, Any]
SOURCE = """\
This page is what the service says at `/openapi.json`. Every refusal is a problem document
([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)) that names the field and the bound."""
CHOICES = 8
"""So many values of a field are named; more are counted."""


def markdown(title: str, document: dict[str, Any]) -> str:
    """Return the page of a service: its routes, then the objects that they take and give."""
    info = document["info"]
    operations = [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    routes = [f"| [`{name}`](#{anchor(name)}) | {operation.get('summary', '')} |" for name, operation in operations]
    parts = [
        f"# {title}: HTTP API",
        f"{info['description']} {SOURCE}",
        "\n".join(["| route | what it does |", "| --- | --- |", *routes]),
        "## Routes",
        *(part for name, operation in operations for part in describe_route(name, operation)),
        "## Objects",
        *(
            part
            for name, schema in sorted(document["components"]["schemas"].items())
            for part in describe(name, schema)
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def anchor(heading: str) -> str:
    """Return the anchor of a heading, as GitHub makes it.

    Examples
    --------
    >>> anchor("GET /v1/films/{film_id}/similar")
    'get-v1filmsfilm_idsimilar'
    """
    return "".join(letter for letter in heading.lower().replace(" ", "-") if letter.isalnum() or letter in "-_")


def describe_route(name: str, operation: Schema) -> Iterator[str]:
    """Yield what a route takes and gives."""
    yield f"### {name}"
    yield operation.get("description", "")
    if parameters := operation.get("parameters"):
        fields = [
            {**each["schema"], "name": each["name"], "description": each.get("description")} for each in parameters
        ]
        required = {each["name"] for each in parameters if each.get("required")}
        yield table({field["name"]: field for field in fields}, required)
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"Takes `{media}`: {type_of(content['schema'])}."
    yield "\n".join(
        f"- Answers {status}: {' or '.join(_bodies(response)) or response['description']}."
        for status, response in operation["responses"].items()
        if status != "default"
    )


def _bodies(response: Schema) -> list[str]:
    return [f"`{media}` {type_of(each.get('schema', {}))}" for media, each in response.get("content", {}).items()]


def describe(name: str, schema: Schema) -> Iterator[str]:
    """Yield an object: what it is, and its fields."""
    yield f"### {name}"
    yield schema.get("description", "")
    if "properties" in schema:
        yield table(schema["properties"], set(schema.get("required", ())))
    else:
        yield type_of(schema)


def table(fields: dict[str, Schema], required: set[str]) -> str:
    """Return fields as a table; a default stands where a field may be left out."""
    rows = ["| field | type | | what |", "| --- | --- | --- | --- |"]
    for name, schema in fields.items():
        default = f"default `{schema['default']}`" if schema.get("default") is not None else "optional"
        words = " ".join(str(schema.get("description") or "").split())
        cells = [f"`{name}`", type_of(schema), "required" if name in required else default, words]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def type_of(schema: Schema) -> str:
    """Return a type in words.

    Examples
    --------
    >>> type_of({"type": "array", "items": {"$ref": "#/components/schemas/House"}, "maxItems": 5})
    'list of [House](#house), at most 5'
    >>> type_of({"anyOf": [{"type": "number", "minimum": 0}, {"type": "null"}]})
    'number from 0, or null'
    >>> type_of({"enum": ["a", "b"]})
    '`a`, `b`'
    """
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{anchor(name)})"
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return ", or ".join(dict.fromkeys(type_of(option) for option in options))
    if choices := schema.get("enum", [schema["const"]] if "const" in schema else None):
        named = ", ".join(f"`{choice}`" for choice in choices[:CHOICES])
        return named if len(choices) <= CHOICES else f"{named} and {len(choices) - CHOICES} more"
    words = schema.get("format") or schema.get("contentMediaType") or schema.get("type", "anything")
    match schema:
        case {"type": "array"}:
            words = f"list of {type_of(schema.get('items', {}))}{_bounds(schema, 'minItems', 'maxItems')}"
        case {"additionalProperties": dict(inner)}:
            words = f"object of {type_of(inner)}"
        case {"type": "string"}:
            words += _bounds(schema, "minLength", "maxLength", " characters")
        case _:
            limits = (("minimum", "from"), ("maximum", "to"))
            words += "".join(f" {word} {schema[key]:g}" for key, word in limits if key in schema)
    return str(words)


def _bounds(schema: Schema, low: str, high: str, unit: str = "") -> str:
    words = [f"{word} {schema[key]}" for word, key in (("at least", low), ("at most", high)) if key in schema]
    return f", {' and '.join(words)}{unit}" if words else ""


def document_of(project: Project) -> dict[str, Any]:
    """Return what a project's service answers at /openapi.json; no model is loaded for it."""
    settings = importlib.import_module(f"{project.package}.config").ServeSettings(prediction_log="off")
    document: dict[str, Any] = importlib.import_module(f"{project.package}.serving.app").create_app(settings).openapi()
    return document


def main(folder: Path) -> None:
    """Write a page for each project into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for project in projects():
        text = markdown(project.title, document_of(project))
        (folder / f"{project.name}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
