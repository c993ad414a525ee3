"""Sections of a README that a command writes: what stands between two markers is replaced, the rest is a person's."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


class SectionError(ValueError):
    """A file without the markers of a section, or with more than one pair."""


def fill_sections(path: Path, sections: Mapping[str, str]) -> None:
    """Replace the text between `<!-- report:NAME -->` and `<!-- /report:NAME -->` for every name.

    Raises
    ------
    SectionError
        If the file does not hold exactly one pair of markers for a name; nothing is written then.
    """
    text = path.read_text(encoding="utf-8")
    for name, body in sections.items():
        text = _replace(text, name, body, path)
    path.write_text(text, encoding="utf-8")


def read_section(path: Path, name: str) -> str:
    """Return what stands between the markers of a section.

    Raises
    ------
    SectionError
        If the file does not hold exactly one pair of markers for the name.
    """
    return _find(path.read_text(encoding="utf-8"), name, path).group("body").strip("\n")


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose first column is left-aligned and whose others are right-aligned.

    Examples
    --------
    >>> print(markdown_table(["model", "error"], [["median", "0.41"]]))
    | model | error |
    | --- | ---: |
    | median | 0.41 |
    """
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


def _replace(text: str, name: str, body: str, path: Path) -> str:
    start, end = _find(text, name, path).span("body")
    return text[:start] + "\n" + body.strip("\n") + "\n" + text[end:]


def _find(text: str, name: str, path: Path) -> re.Match[str]:
    pattern = rf"<!-- report:{re.escape(name)} -->(?P<body>.*?)<!-- /report:{re.escape(name)} -->"
    found = list(re.finditer(pattern, text, re.DOTALL))
    if len(found) != 1:
        raise SectionError(
            f"{path}: expected one pair <!-- report:{name} --> ... <!-- /report:{name} -->, found {len(found)}"
        )
    return found[0]
