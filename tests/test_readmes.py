"""A README can be read: it is short, begins with what matters in a minute, and answers what a reader asks."""

import re

import pytest
from checkout import ROOT

from project_table import Project, projects

READMES = ["README.md", *(f"projects/{project.name}/README.md" for project in projects())]
MOST_LINES, LEAST_QUESTIONS = 250, 20


def section(text: str, heading: str) -> str:
    """Return what stands below a heading of the second level."""
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def questions(text: str) -> list[str]:
    """Return the questions of a section: a line's bold beginning, a heading, or the summary of what is folded."""
    bold = re.findall(r"^(?:[-*] |\d+\. )?\*\*([^*]*\?)\*\*", text, re.MULTILINE)
    return bold + re.findall(r"^###+ (.*\?)$|<summary>(.*\?)</summary>", text, re.MULTILINE)


@pytest.mark.parametrize("name", READMES)
def test_a_readme_is_short_and_begins_with_a_minute(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE)[0] == "In one minute"
    assert len(text.splitlines()) <= MOST_LINES


def test_the_readme_of_a_project_answers_twenty_questions(project: Project) -> None:
    text = (project.folder / "README.md").read_text(encoding="utf-8")
    asked = questions(section(text, "Decisions, asked and answered"))
    assert len(set(asked)) >= LEAST_QUESTIONS
    assert len((project.folder / "CASE_STUDY.md").read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("**Why?** Because.\n- **How?** So.\n1. **When?** Now.", 3),
        ("### Why?\n<details><summary>How?</summary>", 2),
        ("**Not a question.** And **why?** within a line", 0),
    ],
)
def test_questions_are_counted(written: str, asked: int) -> None:
    assert len(questions(written)) == asked
