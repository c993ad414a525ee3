"""Sections of a README that a command writes: what stands between two markers is replaced, the rest is a person's."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.markdown import TAG


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
        text = fill(text, name, body, path)
    path.write_text(text, encoding="utf-8")


def fill(text: str, name: str, body: str, path: Path) -> str:
    """Return the text of `path` with another body between the markers of a section; raises as `fill_sections` does."""
    start, end = find(text, name, path).span("body")
    return text[:start] + "\n" + body.strip("\n") + "\n" + text[end:]


def read_section(path: Path, name: str) -> str:
    """Return what stands between the markers of a section; raises as `fill_sections` does."""
    return find(path.read_text(encoding="utf-8"), name, path).group("body").strip("\n")


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose first column is left-aligned and whose others are right-aligned; HTML in cells is text.

    Examples
    --------
    >>> print(markdown_table(["model", "error"], [["median", "0.41"]]))
    | model | error |
    | --- | ---: |
    | median | 0.41 |
    """
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(
        "| " + " | ".join(TAG.sub("&lt;", cell.replace("|", r"\|")) for cell in line) + " |" for line in lines
    )


def with_interval(interval: Interval) -> str:
    """Return an estimate and its interval; numbers above 20 are dollars or counts and have no decimals.

    Examples
    --------
    >>> with_interval(Interval(0.1052, 0.0951, 0.1158))
    '0.105 (0.095 to 0.116)'
    >>> with_interval(Interval(15234.5, 14100.2, 16409.9))
    '15,234 (14,100 to 16,410)'
    """
    form = "{:,.0f}" if max(abs(interval.low), abs(interval.high)) > 20 else "{:.3f}"
    return "{} ({} to {})".format(*(form.format(value) for value in interval))


def interval_cell(stored: Mapping[str, float]) -> str:
    """Return an interval that was recorded as JSON in the form of `with_interval`.

    Examples
    --------
    >>> interval_cell({"estimate": 0.1052, "low": 0.0951, "high": 0.1158})
    '0.105 (0.095 to 0.116)'
    """
    return with_interval(Interval(**stored))


def measured_sections(sources: Mapping[str, tuple[Path, Callable[[Any], str]]]) -> dict[str, str]:
    """Return the sections that state what another command measured; a file that is missing is named.

    `sources` is section -> its JSON file, and the function that makes a table of what it holds.
    """
    return {
        section: table(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else f"There is no {path.name}."
        for section, (path, table) in sources.items()
    }


def serving_table(measured: Mapping[str, Any]) -> str:
    """Return what requests cost and how many are answered, beside other ways, and what our process needs.

    Parameters
    ----------
    measured
        What `make bench-serving` writes: `rows`, of which `ours` is the measure of the others.
    """
    ours = measured["rows"]["ours"]
    cells = []
    for name, row in measured["rows"].items():
        p50, answers, cpu, times = "", "", "", ""
        if (alone := row["1"]["p50"] if "1" in row else row.get("ms")) is not None:
            p50 = f"{alone:.2f}"
        if (many := row.get("16")) is not None:
            refused = f" ({many['refused_share']:.0%} refused)" if many["refused_share"] else ""
            answers, cpu = f"{many['a_second']:,.0f}{refused}", f"{many['cpu_ms']:.2f}"
            times = f"{many['cpu_ms'] / ours['16']['cpu_ms']:.2f}"
        cells.append([name, p50, answers, cpu, times])
    headings = ["", "p50 of one client, ms", "answers a second, 16 clients", "CPU of a request, ms", "times ours"]
    needs = f"Ready {ours['ready_seconds']:.1f} s after its start; {ours['rss_mb']:.0f} MB resident."
    return f"{markdown_table(headings, cells)}\n\n{needs}\n"


def rates_table(measured: Mapping[str, Any]) -> str:
    """Return how many rows of a file a second are answered, beside other ways to answer the same rows.

    Parameters
    ----------
    measured
        What `benchmarks/*_batch.py` write: `ways`, of which the first is the measure of the others.
    """
    ways = measured["ways"]
    first = ways[0]["rows_a_second"]
    rows = [[way["name"], f"{way['rows_a_second']:,.0f}", f"{way['rows_a_second'] / first:.2f}"] for way in ways]
    return markdown_table([f"{ways[0]['rows']:,} rows", "rows a second", f"times {ways[0]['name']}"], rows)


def find(text: str, name: str, path: Path) -> re.Match[str]:
    """Return the match of a section, whose group `body` stands between its markers; raises as `fill_sections` does."""
    pattern = rf"<!-- report:{re.escape(name)} -->(?P<body>.*?)<!-- /report:{re.escape(name)} -->"
    matches = list(re.finditer(pattern, text, re.DOTALL))
    if len(matches) != 1:
        raise SectionError(
            f"{path}: expected one pair <!-- report:{name} --> ... <!-- /report:{name} -->, found {len(matches)}"
        )
    return matches[0]
