"""Every document says what was recorded: each section and each number in prose, in the project's and in the root's."""

import importlib
import json

from checkout import ROOT

from portfolio_shared.evaluation.documents import documents_of, documents_of_all, stale
from portfolio_shared.evaluation.sections import read_section
from project_table import Project


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
