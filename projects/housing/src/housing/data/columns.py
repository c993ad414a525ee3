"""The columns of a house record: the one table that data, features, the API and the page read.

The table itself is `columns.toml`. Names are snake_case throughout; a file's own headings
("1st Flr SF", "1stFlrSF", "first_flr_sf") are recognized by their letters and digits alone.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Literal

NONE = "None"
"""The code of "the house has none of it" (no garage, no alley): a value, not a missing one."""

Value = float | str | None
"""A cell: a number, a category's code, or None where the value is unknown."""

Record = Mapping[str, Value]
"""One house: column name -> value. Keys that are absent count as None."""

_SPELLED_NUMBERS = {"firstflrsf": "1stflrsf", "secondflrsf": "2ndflrsf", "threessnporch": "3ssnporch"}


@dataclass(frozen=True)
class Column:
    """One column: what it means and which values it takes.

    Attributes
    ----------
    kind
        "integer" and "number" are quantities within [minimum, maximum] in `unit`;
        "category" is one of `choices`; "ordinal" is one of `choices`, which run from worst to best.
    group
        The heading under which an explanation sums this column's contribution.
    nullable
        Whether a required column may say that it does not know: what a file leaves open there, rules fill.
    choices
        Code -> label.
    """

    name: str
    source: str
    label: str
    kind: Literal["integer", "number", "category", "ordinal"]
    group: str
    help: str = ""
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    required: bool = False
    nullable: bool = False
    choices: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def is_numeric(self) -> bool:
        return self.kind in ("integer", "number")

    @property
    def expected(self) -> str:
        """What a cell may hold, in words: "a whole number from 0 to 5 cars", "Po, Fa, TA, Gd or Ex"."""
        if self.choices:
            *others, last = self.choices
            return f"{', '.join(others)} or {last}"
        kind = "a whole number" if self.kind == "integer" else "a number"
        form = ",.0f" if self.unit else ".0f"  # years have no unit
        return f"{kind} from {self.minimum:{form}} to {self.maximum:{form}} {self.unit or ''}".rstrip()


@cache
def columns() -> Mapping[str, Column]:
    """Return every input column by name, in the order of the published file.

    Examples
    --------
    >>> columns()["gr_liv_area"].unit
    'sq ft'
    >>> list(columns()["kitchen_qual"].choices)
    ['Po', 'Fa', 'TA', 'Gd', 'Ex']
    """
    text = files("housing.data").joinpath("columns.toml").read_text(encoding="utf-8")
    table = {name: Column(name=name, **entry) for name, entry in tomllib.loads(text).items()}
    return MappingProxyType(table)


def column_name(heading: str) -> str | None:
    """Return the column that a file's heading means, or None.

    Examples
    --------
    >>> column_name("1st Flr SF"), column_name("first Flr SF"), column_name("1stFlrSF")
    ('first_flr_sf', 'first_flr_sf', 'first_flr_sf')
    >>> column_name("X1st.Flr.SF"), column_name("A1stFlrSF")
    ('first_flr_sf', 'first_flr_sf')
    >>> column_name("color") is None
    True
    """
    return _headings().get(_squeeze(heading))


def resembling(heading: str) -> str | None:
    """Return the column that an unknown heading is probably a misspelling of, or None.

    Examples
    --------
    >>> resembling("GrLivAra"), resembling("Overal Qual"), resembling("KitchenQaul"), resembling("agent")
    ('gr_liv_area', 'overall_qual', 'kitchen_qual', None)
    """
    letters = _squeeze(heading)
    most = 1 if len(letters) < 10 else 2
    near = {
        name: _edits(letters, known) for known, name in _headings().items() if abs(len(letters) - len(known)) <= most
    }
    name = min(near, key=near.__getitem__, default=None)
    return name if name is not None and len(letters) > 3 and near[name] <= most else None


def _edits(a: str, b: str) -> int:
    """Return how many letters must be put in, left out, changed or swapped with the next one to get from a to b."""
    rows = [list(range(len(b) + 1))]
    for i, letter in enumerate(a, start=1):
        row = [i]
        for j, other in enumerate(b, start=1):
            cost = min(row[-1] + 1, rows[-1][j] + 1, rows[-1][j - 1] + (letter != other))
            if i > 1 and j > 1 and (letter, a[i - 2]) == (b[j - 2], other):
                cost = min(cost, rows[-2][j - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]


@cache
def _headings() -> Mapping[str, str]:
    return {_squeeze(spelling): name for name, column in columns().items() for spelling in (name, column.source)}


def _squeeze(heading: str) -> str:
    letters = "".join(character for character in heading.lower() if character.isalnum())
    if letters[1:2].isdigit() and letters[0].isalpha():  # X1st.Flr.SF, A1stFlrSF: tools that want a letter first
        letters = letters[1:]
    return _SPELLED_NUMBERS.get(letters, letters)
