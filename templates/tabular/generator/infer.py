"""What the columns of a table are, guessed from its cells. What is guessed is written to `columns.toml`, to be mended.

A column is a number, a date, a category, or is left out, with a reason: an id, a text, a constant, mostly empty. Own
code, because the inference of pandas is of types alone: a decimal comma, an id or a group is nothing that it knows.
"""

import keyword
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from portfolio_shared.data.numbers import number_of
from portfolio_shared.data.tables import FileError, misshapen, open_table

MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "?", "-"})
FEW_VALUES = 5  # of a number: with no more it is a class
MOST_CLASSES, LEAST_OF_CLASS = 20, 20
LEAST_ROWS = 100
MOSTLY = 0.95  # of the cells that are given
ID = re.compile(r"(^|[_\s.-])(id|uuid|guid)$|^(unnamed: 0|index|rownames)?$", re.IGNORECASE)
ID_CAMEL = re.compile(r"[a-z](Id|ID)$")
OF_A_GROUP = "an id of a group: rows of one group stay on one side of the split"
FORMS = (
    *("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y/%m/%d", "%d.%m.%Y", "%d.%m.%Y %H:%M"),
    *("%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M", "%d %b %Y", "%d %B %Y", "%b %d, %Y"),
)


@dataclass
class Inferred:
    """What `columns.toml` says, and what a person should hear of it."""

    target: dict[str, Any]
    decimal: str
    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    leaks: dict[str, str] = field(default_factory=dict)
    group: str = ""
    time: str = ""
    test_from: str = ""
    example: dict[str, Any] = field(default_factory=dict)
    rows: int = 0


def read(path: Path) -> tuple[dict[str, list[str]], str]:
    """Return heading -> cells, and the separator of a file; raise FileError if it is no table with rows."""
    with open_table(path) as table:
        rows = []
        for line, cells in table.rows():
            if broken := misshapen(line, cells, len(table.headings)):
                raise FileError(f"{path}: {broken}; correct the line, or drop it")
            rows.append([cell.strip() for cell in cells])
        if len(rows) < LEAST_ROWS:
            raise FileError(f"{path} has {len(rows)} rows; at least {LEAST_ROWS} are needed to learn and to test")
        columns = map(list, zip(*rows, strict=True))
        return dict(zip(table.headings, columns, strict=True)), table.separator


def infer(table: Mapping[str, Sequence[str]], separator: str, target: str) -> Inferred:
    """Say what each column is, and what is predicted.

    Raises
    ------
    ValueError
        If there is no such target, or nothing can be learned of it; one line says what to do.
    """
    if target not in table:
        close = get_close_matches(target, table, n=1, cutoff=0.5)
        hint = f"; did you mean TARGET={close[0]!r}?" if close and target else ""
        wanted = f"TARGET={target!r} is no column" if target else "TARGET is missing: name the column to predict"
        raise ValueError(f"{wanted}; there are {', '.join(table)}{hint}")
    decimal = decimal_of(table.values(), separator)
    kind = target_of(target, table[target], decimal)
    found = Inferred({"name": name_of(target, set()), "heading": target, **kind}, decimal)
    usable = np.array([not is_missing(cell) for cell in table[target]])
    found.rows = int(usable.sum())
    for heading in table:
        if heading != target:
            described = describe(heading, table[heading], decimal, found)
            if described is not None:
                name = name_of(heading, {*found.columns, found.target["name"]})
                found.columns[name] = {"heading": heading, **described}
    if groups := [heading for heading, why in found.left_out.items() if why == OF_A_GROUP]:
        found.group = min(groups, key=lambda heading: len(set(table[heading])))
        why = f"an id of a group, but those of {found.group}, which are larger, stay together"
        found.left_out |= {heading: why for heading in groups if heading != found.group}
    return found


def complete(found: Inferred, table: Mapping[str, Sequence[str]]) -> None:
    """Say how rows are split, and give an example, once all columns that are left out are known.

    Raises
    ------
    ValueError
        If none is left.
    """
    if not found.columns:
        raise ValueError(f"no column but {found.target['heading']} is left to learn from: {reasons(found)}")
    split_by_time(found, table)
    decimal = found.decimal
    found.example = {name: typical(column, table[column["heading"]], decimal) for name, column in found.columns.items()}


def is_missing(cell: str) -> bool:
    """Return whether a cell holds nothing."""
    return cell.lower() in MISSING


def known_number(cell: str, decimal: str) -> float | None:
    """Return the number in a cell, or None."""
    try:
        return number_of(cell, decimal)
    except ValueError:
        return None


def decimal_of(columns: Iterable[Sequence[str]], separator: str) -> str:
    """Return what separates decimals: a comma where numbers are written so, most likely between semicolons."""
    votes: Counter[str] = Counter()
    for cells in columns:
        for cell in cells[:2000]:
            found = re.fullmatch(r"[-+$€£\s]*[\d.,]*\d([.,])(\d+)\D*", cell)
            if found:
                votes[found[1] if len(found[2]) != 3 else f"perhaps {found[1]}"] += 1
    if votes[","] or votes["."]:
        return "," if votes[","] > votes["."] else "."
    return "," if separator == ";" and votes["perhaps ,"] else "."


def target_of(target: str, cells: Sequence[str], decimal: str) -> dict[str, Any]:
    """Return what the target is: a number, or a category with its classes; raise ValueError if it is neither."""
    given = [cell for cell in cells if not is_missing(cell)]
    known = [number for cell in given if (number := known_number(cell, decimal)) is not None]
    if len(given) < LEAST_ROWS:
        raise ValueError(f"{len(given)} of {len(cells):,} rows have {target}; at least {LEAST_ROWS} are needed")
    if len(known) >= MOSTLY * len(given) and len(set(known)) > FEW_VALUES:
        return {"kind": "number", "whole": all(number.is_integer() for number in known)}
    classes = Counter(given)
    rare = [f"{name[:30]!r} ({count})" for name, count in classes.items() if count < LEAST_OF_CLASS]
    if len(classes) > MOST_CLASSES or rare or len(classes) < 2:
        wanted = f"a number, or of 2 to {MOST_CLASSES} classes of at least {LEAST_OF_CLASS} rows each"
        examples = ", ".join(rare[:3]) or ", ".join(map(repr, list(classes)[:3]))
        raise ValueError(
            f"{target} has {len(classes):,} values, such as {examples}: expected {wanted}; merge or drop some"
        )
    return {"kind": "category", "classes": sorted(classes)}


def name_of(heading: str, taken: set[str]) -> str:
    """Return a heading as a name in the API.

    Examples
    --------
    >>> name_of("Sepal Length (cm)", set()), name_of("2nd floor", set()), name_of("class", {"class_"})
    ('sepal_length_cm', 'column_2nd_floor', 'class_2')
    """
    name = re.sub(r"[^a-z0-9]+", "_", heading.lower()).strip("_") or "column"
    name = f"column_{name}" if name[0].isdigit() else name
    if keyword.iskeyword(name) or hasattr(BaseModel, name):
        name += "_"
    number, plain = 2, name.rstrip("_")
    while name in taken:
        name, number = f"{plain}_{number}", number + 1
    return name


def describe(heading: str, cells: Sequence[str], decimal: str, found: Inferred) -> dict[str, Any] | None:
    """Say what a column is; None, with a reason in `found`, where it is left out."""
    given = [cell for cell in cells if not is_missing(cell)]
    distinct = len(set(given))
    if why := useless(heading, cells, given):
        found.left_out[heading] = why
        return None
    known = [number for cell in given if (number := known_number(cell, decimal)) is not None]
    if len(known) >= MOSTLY * len(given):
        if len(known) < len(cells) or not np.all(np.diff(known) == 1):
            return {"kind": "number", "whole": all(number.is_integer() for number in known)}
        why = "it numbers the rows"
    elif (form := form_of(given)) is not None:
        return {"kind": "date", "form": form}
    elif statistics.fmean(len(cell.split()) for cell in given) > 4:
        why = "a text: this kind of model reads none"
    elif distinct > len(given) / 2:
        why = f"{distinct:,} different codes in {len(given):,} rows: it names rows"
    else:
        return {"kind": "category"}
    found.left_out[heading] = why
    return None


def useless(heading: str, cells: Sequence[str], given: Sequence[str]) -> str:
    """Return why nothing can be learned of a column whatever its kind is, or an empty text."""
    distinct = len(set(given))
    if len(given) < (1 - MOSTLY) * len(cells):
        return f"{len(cells) - len(given):,} of {len(cells):,} rows do not have it"
    if distinct == 1 and len(given) == len(cells):
        return f"it is {given[0]!r} in every row"
    if ID.search(heading) or ID_CAMEL.search(heading):
        if distinct >= MOSTLY * len(given):
            return "an id: it names a row and says nothing of another one"
        if distinct > max(50, len(given) / 20):
            return OF_A_GROUP
    return ""


def form_of(cells: Sequence[str]) -> str | None:
    """Return the form of dates that nearly all cells have, an empty text for ISO 8601, None if they are no dates."""
    if parsed(cells[:50], "") < MOSTLY and max(parsed(cells[:50], form) for form in FORMS) < MOSTLY:
        return None
    some = cells[:: 1 + len(cells) // 1000]
    return max(("", *FORMS), key=lambda form: parsed(some, form), default=None)


def parsed(cells: Sequence[str], form: str) -> float:
    """Return the share of cells that are dates of a form."""
    return sum(date_of(cell, form) is not None for cell in cells) / max(1, len(cells))


def date_of(cell: str, form: str) -> datetime | None:
    """Return the date in a cell, or None."""
    try:
        date = datetime.strptime(cell, form) if form else datetime.fromisoformat(cell)  # noqa: DTZ007
    except ValueError:
        return None
    return date.replace(tzinfo=None)


def split_by_time(found: Inferred, table: Mapping[str, Sequence[str]]) -> None:
    """Split by the only column of dates, if it is one of time: a model is asked of days to come."""
    dates = [column for column in found.columns.values() if column["kind"] == "date"]
    if len(dates) != 1:
        return
    known = sorted(date for cell in table[dates[0]["heading"]] if (date := date_of(cell, dates[0]["form"])) is not None)
    start = known[int(0.8 * len(known))]
    if len(set(known)) >= 20 and 0.1 <= sum(date >= start for date in known) / found.rows <= 0.35:
        found.time, found.test_from = dates[0]["heading"], start.isoformat()


def typical(column: dict[str, Any], cells: Sequence[str], decimal: str) -> float | str:
    """Return a value that most rows have about: the median, the most frequent code, the latest date."""
    given = [cell for cell in cells if not is_missing(cell)]
    if column["kind"] == "number":
        middle = float(np.median([number for cell in given if (number := known_number(cell, decimal)) is not None]))
        return float(round(middle)) if column["whole"] else middle
    if column["kind"] == "date":
        return max(date for cell in given if (date := date_of(cell, column["form"])) is not None).isoformat()
    return Counter(given).most_common(1)[0][0]


def reasons(found: Inferred) -> str:
    """Return the columns that are left out, each with its reason."""
    return "; ".join(f"{heading or '(no heading)'}: {why}" for heading, why in found.left_out.items())
