"""Documents whose tables and numbers a command writes: sections between markers, and single numbers in prose.

A section stands between `<!-- report:NAME -->` and `<!-- /report:NAME -->`. A number in prose stands in
`<!--=NAME-->8,704<!--/-->`, which renders as 8,704. Both are replaced by what was recorded; the rest is a person's.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portfolio_shared.config import ReportSettings
from portfolio_shared.evaluation.sections import SectionError, fill, find

NUMBER = re.compile(r"<!--=(?P<name>[\w.-]+)-->(?P<text>[^<]*)<!--/-->")
NO_NUMBER = re.compile(r"(?<![\w.])(nan|inf)(?!\w)")
"""As Python writes what could not be computed."""


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
        Where a section has no place or two, a document names a number that is not there, or something is nan or
        infinite; nothing is written then.
    """
    if lacking := not_measured(sections, numbers or {}):
        raise SectionError(f"no number was measured: {', '.join(lacking)}")
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
    """Return what documents state otherwise than it was recorded, what nobody records, and what is no number.

    Raises as `fill_documents` does where a document names a number that is not there.
    """
    found, placed = not_measured(sections, numbers), set()
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


def not_measured(sections: Mapping[str, str], numbers: Mapping[str, str]) -> list[str]:
    """Return the names of sections and numbers that say nan or inf.

    Examples
    --------
    >>> not_measured({"test": "| x | nan % |", "peers": "| Nan | in info |"}, {"error": "-inf", "rows": "574"})
    ['section test', 'error']
    """
    named = {f"section {name}": text for name, text in sections.items()} | dict(numbers)
    return [name for name, text in named.items() if NO_NUMBER.search(text)]


def not_finite(recorded: object, path: str = "") -> Iterator[str]:
    """Yield where a record holds nan or an infinite number, such as `candidates.blend.error`."""
    if isinstance(recorded, Mapping):
        for name, value in recorded.items():
            yield from not_finite(value, f"{path}.{name}".lstrip("."))
    elif isinstance(recorded, list | tuple):
        for index, value in enumerate(recorded):
            yield from not_finite(value, f"{path}[{index}]")
    elif isinstance(recorded, float) and not math.isfinite(recorded):
        yield path


def write_report(config: ReportSettings, name: str, recorded: Mapping[str, object], contents: Contents) -> str:
    """Write `docs/report.json` and every document that states something of it, and return the line that says so.

    Raises
    ------
    SectionError
        Where the record holds nan or an infinite number, which is no JSON, or as `fill_documents` does.
    """
    if lacking := list(not_finite(recorded)):
        raise SectionError(f"no number was measured: {', '.join(lacking)}")
    docs = config.project / "docs"
    (docs / "report.json").write_text(json.dumps(recorded, indent=2, allow_nan=False) + "\n", encoding="utf-8")
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
