"""Every document says what was recorded: each section and each number in prose, in the project's and in the root's."""

import importlib
import json

from checkout import ROOT

from portfolio_shared.evaluation.documents import NUMBER, documents_of, documents_of_all, stale
from portfolio_shared.evaluation.sections import read_section
from project_table import Project, projects


def test_every_section_and_number_is_what_was_recorded(project: Project) -> None:
    report = importlib.import_module(f"{project.package}.report")
    docs = project.folder / "docs"
    recorded = json.loads((docs / "report.json").read_text(encoding="utf-8"))
    contents = report.contents(recorded, ROOT / "benchmarks" / "results", docs)

    assert stale(documents_of(project.folder), contents.sections, contents.numbers) == [], "run `make reports`"
    of_all = documents_of_all(ROOT / "README.md")
    assert [
        found for found in stale(of_all, {}, contents.numbers, of=f"{project.name}.") if "section" not in found
    ] == []
    assert [name for name, text in contents.sections.items() if text.startswith("There is no")] == []
    assert read_section(ROOT / "README.md", project.name) == contents.summary.strip("\n")


def test_every_number_of_the_roots_documents_has_somebody_who_fills_it() -> None:
    fillers = {*(project.name for project in projects()), "design", "cloud"}
    for path in documents_of_all(ROOT / "README.md"):
        named = {match["name"] for match in NUMBER.finditer(path.read_text(encoding="utf-8"))}
        assert {name.partition(".")[0] for name in named} <= fillers, path.name
