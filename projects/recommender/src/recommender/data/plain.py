"""Ratings as most files have them, plain numbers between separators: read by Arrow, several times as fast as by pandas.

Plain are digits, points, separators and ends of lines, of which all readers think alike. The first piece that has
anything else, or that Arrow refuses, and all after it are left to the careful reading of `files.py`.
"""

from collections.abc import Generator, Sequence
from typing import IO

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv

BYTES_AT_ONCE = 1 << 24  # bounds the memory of text that is being parsed
PLAIN = b"0123456789.\r\n"
NUMBERS = {"user": pa.int32(), "film": pa.int32(), "value": pa.float32(), "time": pa.int64()}


def read_plain(
    stream: IO[bytes], separator: str, names: Sequence[str], *, blank: Sequence[str] = (), skip: int = 0
) -> Generator[pd.DataFrame, None, int | None]:
    """Yield ratings with the columns of `NUMBERS`, piece by piece, for as long as they are plain.

    Parameters
    ----------
    stream
        Text from its beginning.
    names
        What each column is called, those of `NUMBERS` among them; others are not read.
    blank
        Names of columns that have to be empty.
    skip
        Lines before the first rating.

    Returns
    -------
    int or None
        How many lines stand before the first piece that is not plain; None if all were.
    """
    head = b"".join(stream.readline() for _ in range(skip))
    lines, n_pieces = skip, 0
    while _ends(head) is not None and (piece := stream.read(BYTES_AT_ONCE) + stream.readline()):
        ends = _ends(piece)
        ratings = None if ends is None else _parse(piece, separator, names, blank)
        if ends is None or ratings is None:
            return lines
        yield ratings
        lines, n_pieces = lines + ends, n_pieces + 1
    return None if n_pieces else skip


def _ends(text: bytes) -> int | None:
    """Return how many lines end, or None if some end otherwise than by a line feed."""
    return text.count(b"\n") if text.count(b"\r") == text.count(b"\r\n") else None


def _parse(piece: bytes, separator: str, names: Sequence[str], blank: Sequence[str]) -> pd.DataFrame | None:
    """Return the ratings of whole lines, or None if they are not plain."""
    if piece.translate(None, PLAIN + separator.encode()):
        return None
    if not piece.strip(b"\r\n"):
        return pd.DataFrame({name: np.empty(0, kind.to_pandas_dtype()) for name, kind in NUMBERS.items()})
    try:
        table = csv.read_csv(
            pa.py_buffer(piece),
            csv.ReadOptions(column_names=list(names)),
            csv.ParseOptions(delimiter=separator, quote_char=False),
            csv.ConvertOptions(
                column_types=NUMBERS | dict.fromkeys(blank, pa.null()), include_columns=[*NUMBERS, *blank]
            ),
        )
    except pa.ArrowInvalid:
        return None
    if any(table[name].null_count for name in NUMBERS if name != "value"):
        return None
    return pd.DataFrame({name: table[name].to_numpy() for name in NUMBERS}, copy=False)
