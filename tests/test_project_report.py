"""Every README says what was recorded: each section that a command writes, in the project's and in the root's."""

import importlib
import json
import re

from checkout import ROOT

from portfolio_shared.evaluation.sections import read_section
from project_table import Project


def test_every_section_is_what_was_recorded(project: Project) -> None:
    report = importlib.import_module(f"{project.package}.report")
    docs, readme = project.folder / "docs", project.folder / "README.md"
    recorded = json.loads((docs / "report.json").read_text(encoding="utf-8"))
    expected = report.tables(recorded) | report.measured(ROOT / "benchmarks" / "results", docs)

    marked = re.findall(r"<!-- report:([\w-]+) -->", readme.read_text(encoding="utf-8"))
    assert sorted(marked) == sorted(expected)
    stale = [name for name, text in expected.items() if read_section(readme, name) != text.strip("\n")]
    assert stale == [], "run `make reports`"
    assert [name for name, text in expected.items() if text.startswith("There is no")] == []
    assert read_section(ROOT / "README.md", project.name) == report.summary_table(recorded).strip("\n")
