"""Numbers as tables write them: one rule for whoever guesses what a column is, and for whoever reads its cells."""

import math
import re

AROUND = "$€£% \u00a0"
NUMBER = {
    decimal: re.compile(
        rf"[-+]?(?:(?:[1-9][0-9]{{0,2}}(?:{thousands}[0-9]{{3}})+|[0-9]+)(?:{point}[0-9]*)?|{point}[0-9]+)"
        r"(?:[eE][-+]?[0-9]+)?"
    )
    for decimal, thousands, point in ((".", ",", r"\."), (",", r"\.", ","))
}


def number_of(cell: str, decimal: str = ".") -> float:
    """Return the number in a cell, without a currency or percent sign and without separators of thousands.

    Parameters
    ----------
    decimal
        What stands before the decimals, ``.`` or ``,``; the other one may separate groups of three digits.

    Raises
    ------
    ValueError
        If it is no finite number. ``12,5`` is none where decimals have a point: it is not guessed what was meant.

    Examples
    --------
    >>> number_of("$1,234.50"), number_of("1.234,5", ",")
    (1234.5, 1234.5)
    """
    plain = cell.strip(AROUND)
    if NUMBER[decimal].fullmatch(plain):
        number = float(plain.replace("," if decimal == "." else ".", "").replace(decimal, "."))
        if math.isfinite(number):
            return number
    raise ValueError(
        f"{cell[:40]!r} is no number with {'a point' if decimal == '.' else 'a comma'} before its decimals"
    )
