import json

import pytest

from portfolio_shared.config import ReportSettings
from portfolio_shared.evaluation.documents import (
    Contents,
    documents_of,
    fill_documents,
    refill,
    stale,
    write_report,
)
from portfolio_shared.evaluation.sections import SectionError

README = "# A\nHalf within <!--=error-->0<!--/--> dollars.\n<!-- report:test -->\n<!-- /report:test -->\n"
STUDY = "# B\n<!-- report:peers -->\nold\n<!-- /report:peers -->\n<!--=error-->0<!--/--> of <!--=rows-->1<!--/-->\n"
ROOT = "<!-- report:houses -->\n<!-- /report:houses -->\n<!--=houses.error-->0<!--/--> <!--=films.hits-->7<!--/-->\n"
NUMBERS = {"error": "8,704", "rows": "574"}
SECTIONS = {"test": "| x |", "peers": "new"}


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "projects" / "houses"
    (folder / "docs").mkdir(parents=True)
    (folder / "README.md").write_text(README, encoding="utf-8")
    (folder / "docs" / "peers.md").write_text(STUDY, encoding="utf-8")
    (tmp_path / "README.md").write_text(ROOT, encoding="utf-8")
    return folder


def text(path):
    return path.read_text(encoding="utf-8")


def settings(project):
    return ReportSettings(project=project, root_readme=project.parents[1] / "README.md", benchmarks=project)


def test_sections_and_numbers_are_filled_wherever_they_stand(project):
    changed = fill_documents(documents_of(project), SECTIONS, NUMBERS)

    assert [path.name for path in changed] == ["README.md", "peers.md"]
    assert "Half within <!--=error-->8,704<!--/--> dollars." in text(project / "README.md")
    assert "<!--=error-->8,704<!--/--> of <!--=rows-->574<!--/-->" in text(project / "docs" / "peers.md")
    assert "\nnew\n" in text(project / "docs" / "peers.md")
    assert fill_documents(documents_of(project), SECTIONS, NUMBERS) == []
    assert stale(documents_of(project), SECTIONS, NUMBERS) == []


@pytest.mark.parametrize(
    ("sections", "numbers", "error"),
    [
        (SECTIONS | {"lost": "x"}, NUMBERS, "section lost"),
        (SECTIONS, {"rows": "574"}, "there is no number error; there are rows"),
        (SECTIONS, NUMBERS | {"error": "nan %"}, "no number was measured: error"),
        (SECTIONS | {"test": "| 0.1 (-inf to inf) |"}, NUMBERS, "no number was measured: section test"),
    ],
)
def test_what_has_no_place_or_no_record_is_an_error_and_nothing_is_written(project, sections, numbers, error):
    with pytest.raises(SectionError, match=error):
        fill_documents(documents_of(project), sections, numbers)
    assert text(project / "README.md") == README


def test_what_is_stale_is_named(project):
    fill_documents(documents_of(project), SECTIONS, NUMBERS)
    assert stale(documents_of(project), SECTIONS | {"test": "| y |"}, NUMBERS | {"rows": "575"}) == [
        "README.md: section test",
        "peers.md: rows",
    ]
    assert stale(documents_of(project), {"test": "| x |"}, NUMBERS) == ["peers.md: section peers"]
    assert stale(documents_of(project), SECTIONS | {"more": ""}, NUMBERS) == ["section more stands nowhere"]
    assert "rows" in stale(documents_of(project), SECTIONS, NUMBERS | {"rows": "nan"})


def test_a_report_fills_the_project_and_its_own_part_of_the_root(project):
    contents = Contents(SECTIONS, NUMBERS, "| summary |")
    line = write_report(settings(project), "houses", {"a": 1}, contents)

    assert json.loads(text(project / "docs" / "report.json")) == {"a": 1}
    assert "| summary |" in text(project.parents[1] / "README.md")
    assert "<!--=houses.error-->8,704<!--/--> <!--=films.hits-->7<!--/-->" in text(project.parents[1] / "README.md")
    assert "peers.md" in line


def test_a_record_of_what_is_no_number_is_refused_by_its_place_and_not_written(project):
    recorded = {"a": {"b": [1.0, float("nan")]}, "c": float("-inf"), "d": "nan"}
    with pytest.raises(SectionError, match=r"^no number was measured: a\.b\[1\], c$"):
        write_report(settings(project), "houses", recorded, Contents(SECTIONS, NUMBERS, ""))
    assert not (project / "docs" / "report.json").exists()


def test_a_refill_takes_what_was_recorded(project):
    (project / "docs" / "report.json").write_text('{"error": "9"}', encoding="utf-8")
    refill(settings(project), "houses", lambda recorded, _results, _docs: Contents(SECTIONS, NUMBERS | recorded, ""))
    assert "<!--=error-->9<!--/-->" in text(project / "README.md")
