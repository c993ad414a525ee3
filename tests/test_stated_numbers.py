"""No document states a number that no command measured: prose has them between markers, or with their source.

`stated_numbers.toml` lists the phrases that come from elsewhere: a paper, a license, a limit of the code.
"""

import re
import tomllib
from typing import Any

import pytest
from checkout import ROOT, tracked

CHECKED = re.compile(r"(README|docs/.+|projects/[^/]+/(README|CASE_STUDY|MODEL_CARD|DATA_SHEET|docs/.+))\.md")
DOCUMENTS = sorted(name for name in tracked() if CHECKED.fullmatch(name))
LISTED: list[dict[str, Any]] = tomllib.loads((ROOT / "tests/stated_numbers.toml").read_text(encoding="utf-8"))["stated"]
# What is no prose, in this order: front matter, rows that end in the command that measured them, fenced code, what
# commands fill, other comments, code, addresses, tags, and the glossary's examples, whose numbers are made up.
NO_PROSE = re.compile(
    r"\A---\n.*?\n---\n"
    r"|^\|[^\n]*\| `(?:\w+\.py|make bench-)[^`\n]*` \|$"
    r"|^ *```.*?^ *```"
    r"|<!-- report:([\w-]+) -->.*?<!-- /report:\1 -->"
    r"|<!--=[\w.-]+-->[^<]*<!--/-->"
    r"|<!--.*?-->"
    r"|`[^`]+`"
    r"|(?<=\])\([^)]*\)|https?://[^\s)>]+"
    r"|<[a-z/][^>]*>"
    r"|^\*Example:\*.*?(?=\n\n|\Z)",
    re.DOTALL | re.MULTILINE,
)
NUMBER = re.compile(
    r"\$\s?[\d.,]*\d"
    r"|(?<![\w.])\d[\d.,]*\s?(%|per\s?cent\b|dollars\b)"
    r"|(?<![\w.,])\d{1,3}(,\d{3})+"
    r"|(?<![\w.])\d*(\.\d+)+"
    r"|(?<![\w.])\d+ (of|in) (the )?\d+\b"
)


def blanked(match: re.Match[str]) -> str:
    """Return as many lines without anything on them, so that what follows stays on its line."""
    return "\n" * match[0].count("\n") or " "


def listed(phrase: str) -> re.Pattern[str]:
    """Return the pattern of a phrase that may run over the end of a line, and of no longer number."""
    return re.compile(r"(?<![\w.,])" + r"\s+".join(map(re.escape, phrase.split())) + r"(?!\d|[.,]\d)")


def unsourced(text: str, phrases: list[str]) -> list[tuple[int, str]]:
    """Return line and text of each number in prose that is neither filled by a command nor listed."""
    prose = NO_PROSE.sub(blanked, text)
    for phrase in phrases:
        prose = listed(phrase).sub(blanked, prose)
    return [(prose.count("\n", 0, found.start()) + 1, found[0]) for found in NUMBER.finditer(prose)]


@pytest.mark.parametrize(
    ("prose", "found"),
    [
        ("an error of 0.106 and\nof .5", ["0.106", ".5"]),
        ("90 % of 95% or 5 per cent, 7\u00a0%", ["90 %", "95%", "5 per cent", "7\u00a0%"]),
        ("1,234 films, 12,345,678 ratings", ["1,234", "12,345,678"]),
        ("in 99 of 100 cases, 3 of the 40, of 40 houses 3", ["99 of 100", "3 of the 40"]),
        ("$9, $8,704.50 or 700 dollars", ["$9", "$8,704.50", "700 dollars"]),
        ("574 houses, 2 cores, nDCG@10, MobileNetV2, 2019, in 10 minutes, 1, 2 and 3", []),
        ("`0.5` and [a paper](x-1.5.md) or https://a.org/0.5\n```\n0.5\n```\n<img width='33%'> <!-- 0.5 -->", []),
        ("<!-- report:a -->\n| 0.5 |\n<!-- /report:a -->\n<!--=a.b-->0.5<!--/--> and 0.7", ["0.7"]),
        ("---\nversion: 0.5\n---\nnow 0.7", ["0.7"]),
        ("CC BY\n2.0, not CC BY 2.01 or 1.2.0", ["2.01", "1.2.0"]),
        ("| train | 1,5 |\n| - | 9.4 s |", ["9.4"]),
        (
            "| a | 0.5 | `bodies.py --only a` |\n| 0.6 | `make bench-x` |\n| 0.7 | `make up` |\n| `a.py` | 0.8 |",
            ["0.7", "0.8"],
        ),
    ],
)
def test_numbers_in_prose_are_found(prose: str, found: list[str]) -> None:
    assert [number for _, number in unsourced(prose, ["CC BY 2.0"])] == found


def test_examples_are_the_glossarys_alone_which_says_that_they_are_made_up() -> None:
    assert unsourced("*Example:* of 0.5,\nor 0.6.\n\nand 0.7", []) == [(4, "0.7")]
    having = [name for name in tracked() if name.endswith(".md") and "*Example:*" in (ROOT / name).read_text("utf-8")]
    assert having == ["docs/glossary.md"]
    assert re.search(r"examples use round,\s+made-up numbers", (ROOT / having[0]).read_text("utf-8"))


def test_commands_that_rows_end_in_are_there() -> None:
    """Each measures its row; the numbers are those of a run by hand, with the commits that the document names."""
    text = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    commands = set(re.findall(r"^\|.*\| `(\w+\.py|make bench-[\w-]+)[^`\n]*` \|$", text, re.MULTILINE))
    assert len(commands) > 3
    targets = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in commands:
        there = f"\n{command.removeprefix('make ')}:" in targets or (ROOT / "benchmarks" / command).is_file()
        assert there, command


def test_the_line_of_a_number_is_that_of_the_document() -> None:
    assert unsourced("---\na\n---\n```\n0.1\n```\nCC BY\n2.0\nof 0.2", ["CC BY 2.0"]) == [(9, "0.2")]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_number_is_filled_by_a_command_or_has_its_source(name: str) -> None:
    phrases = [entry["phrase"] for entry in LISTED]
    found = unsourced((ROOT / name).read_text(encoding="utf-8"), phrases)
    help_ = (
        "write <!--=NAME-->...<!--/--> with a NAME of the report's numbers(), and run `PROJECT report --refill`; "
        "or list its phrase with its source in tests/stated_numbers.toml"
    )
    assert [f"{name}:{line}: {number}" for line, number in found] == [], help_


@pytest.mark.parametrize("name", [name for name in tracked() if name.endswith(".md")])
def test_no_line_begins_with_a_marker(name: str) -> None:
    """It would begin a block of HTML, which shows the links and stars of its line as they stand."""
    text = (ROOT / name).read_text(encoding="utf-8")
    begins = re.compile(r"^ *(?:[-*] +|\d+\. +|> *)?<!--=", re.MULTILINE)
    found = [f"{name}:{text.count(chr(10), 0, each.end()) + 1}" for each in begins.finditer(text)]
    assert found == [], "bring a word down from the line before"


@pytest.mark.parametrize("entry", LISTED, ids=[entry["phrase"] for entry in LISTED])
def test_a_listed_phrase_is_used_and_is_what_its_source_says(entry: dict[str, Any]) -> None:
    used = [name for name in DOCUMENTS if listed(entry["phrase"]).search((ROOT / name).read_text(encoding="utf-8"))]
    assert used, "no document has this phrase: remove it"
    assert NUMBER.search(entry["phrase"]), "this phrase needs no source: remove it"
    assert len(entry["source"]) > 10
    for file, text in entry.get("reads", {}).items():
        assert text in (ROOT / file).read_text(encoding="utf-8"), file
