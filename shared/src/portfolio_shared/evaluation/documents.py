"""Documents whose tables and numbers a command writes: sections between markers, and single numbers in prose.

A section stands between `<!-- report:NAME -->` and `<!-- /report:NAME -->`. A number in prose stands in
`<!--=NAME-->8,704<!--/-->`, which renders as 8,704. Both are replaced by what was recorded; the rest is a person's.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portfolio_shared.config import ReportSettings
from portfolio_shared.evaluation.sections import SectionError, fill, find

NUMBER = re.compile(r"<!--=(?P<name>[\w.-]+)-->(?P<text>[^<]*)<!--/-->")


@dataclass(frozen=True)
class Contents:
    """What a project's documents state.

    Attributes
    ----------
    sections
        Name -> Markdown between the markers of that name.
    numbers
        Name -> a number as prose has it, with its unit's sign where that belongs to it (`8,704`, `63 %`). Documents of
        the whole repository have the project's name before it: `housing.median_error`.
    summary
        The section of the root README that has the project's name.
    """

    sections: Mapping[str, str]
    numbers: Mapping[str, str]
    summary: str


def documents_of(project: Path) -> list[Path]:
    """Return a project's documents: those beside its README and those in `docs/`, the README first."""
    return sorted(project.glob("*.md"), key=lambda path: path.name != "README.md") + sorted(project.glob("docs/*.md"))


def documents_of_all(readme: Path) -> list[Path]:
    """Return the documents of the whole repository that state numbers: its README and `docs/`."""
    return [readme, *sorted(readme.parent.glob("docs/*.md"))]


def fill_documents(
    documents: Iterable[Path], sections: Mapping[str, str], numbers: Mapping[str, str] | None = None, *, of: str = ""
) -> list[Path]:
    """Write sections and numbers into the documents that have their markers, and return the files that changed.

    Parameters
    ----------
    documents
        Files; each section stands in exactly one of them.
    sections
        Name -> Markdown.
    numbers
        Name -> text; without it numbers stay as they are.
    of
        Before the name of each number that is meant, such as `housing.`; other numbers stay as they are.

    Raises
    ------
    SectionError
        Where a section has no place or two, or a document names a number that is not there; nothing is written then.
    """
    texts = {path: path.read_text(encoding="utf-8") for path in documents}
    written = dict(texts)
    for name, body in sections.items():
        places = [path for path, text in texts.items() if f"<!-- report:{name} -->" in text]
        if len(places) != 1:
            raise SectionError(f"section {name}: expected in one of {', '.join(map(str, texts))}, found in {places}")
        written[places[0]] = fill(written[places[0]], name, body, places[0])
    if numbers is not None:
        written = {path: _with_numbers(text, numbers, of, path) for path, text in written.items()}
    changed = [path for path, text in written.items() if text != texts[path]]
    for path in changed:
        path.write_text(written[path], encoding="utf-8")
    return changed


def stale(
    documents: Iterable[Path], sections: Mapping[str, str], numbers: Mapping[str, str], *, of: str = ""
) -> list[str]:
    """Return what documents state otherwise than it was recorded, and sections that nobody records; raises as above."""
    found, placed = [], set()
    for path in documents:
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"<!-- report:([\w-]+) -->", text):
            stated = find(text, name, path).group("body")
            if name in placed or stated.strip("\n") != sections.get(name, "").strip("\n"):
                found.append(f"{path.name}: section {name}")
            placed.add(name)
        was, now = (_numbers(each, of) for each in (text, _with_numbers(text, numbers, of, path)))
        found += [f"{path.name}: {old['name']}" for old, new in zip(was, now, strict=True) if old[0] != new[0]]
    return found + [f"section {name} stands nowhere" for name in sections if name not in placed]


def write_report(config: ReportSettings, name: str, recorded: Mapping[str, object], contents: Contents) -> str:
    """Write `docs/report.json` and every document that states something of it, and return the line that says so."""
    docs = config.project / "docs"
    (docs / "report.json").write_text(json.dumps(recorded, indent=2) + "\n", encoding="utf-8")
    return fill_in(config, name, contents)


def refill(config: ReportSettings, name: str, contents: Callable[[Any, Path, Path], Contents]) -> str:
    """Fill the documents anew from what `docs/report.json` has, without a training; returns the line that says so."""
    docs = config.project / "docs"
    recorded = json.loads((docs / "report.json").read_text(encoding="utf-8"))
    return fill_in(config, name, contents(recorded, config.benchmarks, docs))


def fill_in(config: ReportSettings, name: str, contents: Contents) -> str:
    """Fill a project's documents, its table in the root README, and its numbers in the root's documents."""
    changed = fill_documents(documents_of(config.project), contents.sections, contents.numbers)
    changed += fill_documents([config.root_readme], {name: contents.summary})
    changed += fill_documents(documents_of_all(config.root_readme), {}, contents.numbers, of=f"{name}.")
    return f"Written: {', '.join(map(str, dict.fromkeys(changed))) or 'nothing, all documents are up to date'}"


def _numbers(text: str, of: str) -> list[re.Match[str]]:
    return [match for match in NUMBER.finditer(text) if match["name"].startswith(of)]


def _with_numbers(text: str, numbers: Mapping[str, str], of: str, path: Path) -> str:
    unknown = [match["name"] for match in _numbers(text, of) if match["name"].removeprefix(of) not in numbers]
    if unknown:
        raise SectionError(f"{path}: there is no number {', '.join(unknown)}; there are {', '.join(sorted(numbers))}")

    def put(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!--={name}-->{numbers[name.removeprefix(of)]}<!--/-->" if name.startswith(of) else match[0]

    return NUMBER.sub(put, text)
