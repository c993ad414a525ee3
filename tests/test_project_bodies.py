"""The lists of a body are looked at by length first, and no further than to their first errors, in every project."""

import importlib
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter

from portfolio_shared.serving.bounds import Items
from project_table import Project


def lists(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield the lists of what pydantic made of a schema."""
    if isinstance(schema, dict):
        if schema.get("type") in ("list", "set", "frozenset", "tuple", "generator"):
            yield schema
        for part in schema.values():
            yield from lists(part)
    elif isinstance(schema, list | tuple):
        for part in schema:
            yield from lists(part)


def schema_lists(kind: Any) -> Iterator[dict[str, Any]]:
    return lists(TypeAdapter(kind).core_schema)


def bodies(project: Project) -> Iterator[type[BaseModel]]:
    """Yield the schemas of what a service reads as JSON."""
    for route in importlib.import_module(f"{project.package}.serving.app").router.routes:
        if route.body_field is not None:
            yield route.body_field.field_info.annotation
    yield importlib.import_module(f"{project.package}.serving.observe").Truth


def test_every_list_of_a_body_ends_with_its_first_errors(project: Project) -> None:
    for body in bodies(project):
        lax = [found for found in schema_lists(body) if not found.get("fail_fast")]
        assert not lax, f"{body.__name__}: give its lists Items(...) of portfolio_shared.serving.bounds"


def test_a_list_without_bounds_is_found() -> None:
    found = [
        each.get("fail_fast") for kind in (list[int], Annotated[list[int], Items()]) for each in schema_lists(kind)
    ]
    assert found == [None, True]
