"""A column of the reference beside that of a window, small enough to draw: shares of bins or of texts."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 24
FEW = 12  # different numbers, each of which gets a bar of its own
TEXTS = 6
LETTERS = 60  # of a text
TAIL = 0.01  # of the values on each side, which fall into the outermost bins


@dataclass(frozen=True)
class Shape:
    """How the values of a column are spread.

    Attributes
    ----------
    edges
        Of the bins of numbers, one more than shares; empty where `labels` name the bars.
    labels
        Texts, or the few numbers that there are, the most changed first if not all are shown.
    reference, window
        Shares of the values given, that add up to 1 but for labels that are not shown.
    typical
        The median, or the most frequent text, of the reference and of the window.
    """

    edges: tuple[float, ...]
    labels: tuple[str, ...]
    reference: tuple[float, ...]
    window: tuple[float, ...]
    typical: tuple[str, str]


def shape_of(reference: NDArray[Any], window: NDArray[Any]) -> Shape:
    """Return the shape of a column that has a value on both sides; what was not given is left out."""
    if reference.dtype.kind == "U":
        before, now = reference[reference != ""], window[window != ""]
        return _of_texts(before, now)
    before, now = reference[~np.isnan(reference)], window[~np.isnan(window)]
    typical = (number(float(np.median(before))), number(float(np.median(now))))
    pooled = np.concatenate([before, now])
    values = np.unique(pooled)
    if len(values) <= FEW:
        shares = [[float(np.mean(side == value)) for value in values] for side in (before, now)]
        return Shape((), tuple(map(number, values.tolist())), tuple(shares[0]), tuple(shares[1]), typical)
    low, high = np.quantile(pooled, [TAIL, 1 - TAIL]).tolist()
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    first, second = (np.histogram(side.clip(edges[0], edges[-1]), edges)[0] / len(side) for side in (before, now))
    return Shape(tuple(edges.tolist()), (), tuple(first.tolist()), tuple(second.tolist()), typical)


def _of_texts(before: NDArray[np.str_], now: NDArray[np.str_]) -> Shape:
    first, second = (dict(zip(*_shares(side), strict=True)) for side in (before, now))
    changes = {text: abs(second.get(text, 0.0) - first.get(text, 0.0)) for text in first | second}
    shown = sorted(changes, key=lambda text: (-changes[text], text))[:TEXTS]
    before_shown, now_shown = (tuple(side.get(text, 0.0) for text in shown) for side in (first, second))
    typical = [max(side, key=lambda text: side[text])[:LETTERS] for side in (first, second)]
    return Shape((), tuple(text[:LETTERS] for text in shown), before_shown, now_shown, (typical[0], typical[1]))


def _shares(texts: NDArray[np.str_]) -> tuple[list[str], list[float]]:
    values, counts = np.unique(texts, return_counts=True)
    return values.tolist(), (counts / len(texts)).tolist()


def number(value: float) -> str:
    """Write a number as people read it.

    >>> number(1234.5), number(0.0123456), number(-3.0)
    ('1,234', '0.0123', '\N{MINUS SIGN}3')
    """
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", "\N{MINUS SIGN}")
