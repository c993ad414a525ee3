"""What a cell of a file means: one reading for training data, files of houses to price, the API and MLflow's tables."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from housing.data.columns import NONE, columns

SPELLINGS: Mapping[str, Mapping[str, str]] = {
    "ms_zoning": {"A (agr)": "A", "C (all)": "C", "I (all)": "I"},
    "neighborhood": {"Names": "NAmes"},
    "bldg_type": {"2FmCon": "2fmCon", "Duplx": "Duplex", "TwnhsI": "Twnhs"},
    "exterior_2nd": {"CmentBd": "CemntBd", "Wd Shng": "WdShing", "Brk Cmn": "BrkComm"},
}
"""Codes that the file spells differently from its own documentation or from its sister column."""

UNKNOWN = ("", "NA", "NaN", "nan", "<NA>", "N/A", "#N/A", "null")
"""Cells that say nothing, in the spellings of R, pandas, Excel and databases."""

_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?|[+-]?[1-9]\d{0,2}(?:\.\d{3})+,\d+")
_THOUSANDS_OR_DECIMALS = re.compile(r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+")


class Ambiguous(str):
    """A number such as 1,710 or 1.710, which is one thing where a comma or a point stands between thousands."""

    __slots__ = ()


def meaning(name: str, cell: Any, *, semicolons: bool = False) -> Any:
    """Return what a cell of column `name` says; None if it is unknown, and what no rule knows as it is.

    "NA" is "has none" where the documentation lists it as a level; elsewhere it and the empty cell are unknown. The
    veneer spells "has none" as None, so its NA is unknown.

    Parameters
    ----------
    semicolons
        Whether the cell is of a file between semicolons, as spreadsheets write where the comma marks decimals: there
        1.710 may be 1,710 as well.

    Examples
    --------
    >>> meaning("alley", "NA"), meaning("electrical", "NA"), meaning("mas_vnr_type", "NA"), meaning("lot_area", "")
    ('None', None, None, None)
    >>> [meaning("ms_subclass", cell) for cell in ("20", "020", "20.0", 20, 20.0)]
    ['020', '020', '020', '020', '020']
    >>> meaning("lot_area", " 8450 "), meaning("lot_frontage", "80,5"), meaning("lot_area", "8,450")
    ('8450', '80.5', '8,450')
    """
    if not isinstance(cell, str):
        cell = cell.item() if hasattr(cell, "item") else cell  # NumPy's numbers
        is_code = isinstance(cell, int | float) and not isinstance(cell, bool) and 0 <= cell < 1000 and cell % 1 == 0
        return f"{cell:03.0f}" if name == "ms_subclass" and is_code else cell
    column = columns().get(name)
    if column is None or cell in column.choices or isinstance(cell, Ambiguous):
        return cell
    text = cell.strip()
    if text == "NA" and NONE in column.choices and name != "mas_vnr_type":
        return NONE
    if text in UNKNOWN:
        return None
    if name == "ms_subclass":
        return text.removesuffix(".0").zfill(3)
    return text if column.choices else number_text(text, semicolons=semicolons)


def meanings(fields: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return what each field says; most are what they say, so that is seen first."""
    choices = _choices()
    return {
        name: value
        if (value.__class__ in (int, float) and name != "ms_subclass") or value in choices.get(name, ())
        else meaning(name, value)
        for name, value in fields.items()
    }


@cache
def _choices() -> Mapping[str, tuple[str, ...]]:
    return {name: tuple(column.choices) for name, column in columns().items()}


def respelled(name: str, text: str) -> str | None:
    """Return the code that a text spells in a second way, or in small or capital letters; None if there is none.

    Examples
    --------
    >>> respelled("kitchen_qual", "ex"), respelled("exterior_2nd", "wd shng"), respelled("kitchen_qual", "great")
    ('Ex', 'WdShing', None)
    """
    return _folded().get(name, {}).get(text.casefold())


@cache
def _folded() -> Mapping[str, Mapping[str, str]]:
    folded = {name: {code.casefold(): code for code in codes} for name, codes in _choices().items()}
    for name, spellings in SPELLINGS.items():
        folded[name] |= {text.casefold(): code for text, code in spellings.items()}
    return folded


def number_text(text: str, *, semicolons: bool) -> str:
    """Return a number with a point before its decimals; `Ambiguous` where a sign may stand between thousands."""
    if _THOUSANDS.fullmatch(text) or (semicolons and _THOUSANDS_OR_DECIMALS.fullmatch(text)):
        return Ambiguous(text)
    return text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text
