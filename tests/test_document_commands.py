"""The projects' own commands that documents name exist, with the flags that stand behind them."""

import importlib
import re

import pytest
from checkout import ROOT, tracked

from project_table import projects

PROJECTS = {project.name: project for project in projects()}
CALL = re.compile(rf"\.venv/bin/({'|'.join(PROJECTS)}) ([a-z]+)([^#`|&;>\n]*(?:\\\n[^#`|&;>\n]*)*)")
CALLS = {
    (name, *found.groups())
    for name in tracked()
    if name.endswith(".md") and not name.startswith("templates/")
    for found in CALL.finditer((ROOT / name).read_text(encoding="utf-8"))
}


def test_calls_are_found() -> None:
    assert len(CALLS) > 10


@pytest.mark.parametrize(("document", "project", "command", "rest"), sorted(CALLS))
def test_a_command_that_a_document_names_has_these_flags(document: str, project: str, command: str, rest: str) -> None:
    commands = importlib.import_module(f"{PROJECTS[project].package}.cli").COMMANDS
    assert command in commands, document
    flags = {flag.removeprefix("no-").replace("-", "_") for flag in re.findall(r"(?<= )--([a-z][a-z-]*)", rest)}
    assert flags <= {*commands[command].settings.model_fields, "help"}, document
