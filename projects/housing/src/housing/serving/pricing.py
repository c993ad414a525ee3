"""Rows of cells -> prices, many at a time: what files of houses and MLflow's tables are answered by."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from housing.data.cells import meaning
from housing.data.house import InvalidHouseError, validated
from housing.data.reading import TableReader, emptied_columns, impossible, places_of
from housing.data.values import Values
from housing.models.features import groups
from housing.models.predictor import Predictor

ADDED = ("price", "low", "high", "filled", "repaired", "error")
"""What each row gets: dollars, how many fields were filled, what was repaired, and why a row has no price."""


class Pricing:
    """Rows of cells -> their added cells, a chunk at a time.

    Parameters
    ----------
    headings
        Those of the places of a row.
    blocks
        The cells of each place in all rows, some rows at a time: by them it is seen whether NA was taken away.
    """

    def __init__(
        self,
        headings: Sequence[str],
        predictor: Predictor,
        blocks: Iterable[Sequence[Sequence[str]]],
        *,
        semicolons: bool = False,
        explain: bool = False,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        places = places_of(headings)
        self._headings = {name: headings[place] for name, place in places.items()}
        emptied = emptied_columns(places, blocks)
        if emptied:
            note(f'no NA, but empty cells, as after pandas: they are read as "has none" in {", ".join(emptied)}')
        self._reader = TableReader(places, semicolons=semicolons, emptied=emptied)
        self._predictor, self._explain = predictor, explain
        parts = ("average_price", *(f"adds_{group.lower().replace(' ', '_')}" for group in groups()))
        self.added = (*ADDED[:4], *(parts if explain else ()), *ADDED[4:])

    def answer(self, cells: Sequence[Sequence[str]]) -> list[Sequence[str]]:
        """Return the added cells of each row, in order, from the cells of each place in the rows."""
        table, changes = self._reader.read(cells)
        repaired: dict[int, dict[str, list[str]]] = {}  # row -> rule -> columns
        for name, rule, where in changes:
            for row in np.flatnonzero(where).tolist():
                repaired.setdefault(row, {}).setdefault(rule, []).append(name)
        bad = impossible(table)
        priced = iter(self._priced({name: numbers[~bad] for name, numbers in table.items()} if bad.any() else table))
        return [
            (*[""] * (len(self.added) - 1), self._reason([column[row] for column in cells]))
            if refused
            else (*next(priced), _as_text(repaired[row]) if row in repaired else "", "")
            for row, refused in enumerate(bad.tolist())
        ]

    def _priced(self, table: Values) -> list[tuple[str, ...]]:
        if not len(table["lot_area"]):
            return []
        answer = self._predictor.predict_table(table, explain=self._explain)
        dollars = (map("%.2f".__mod__, column.tolist()) for column in answer[:3])
        columns_ = [*dollars, map(str, answer.n_filled.tolist())]
        if answer.contributions is None:
            return list(zip(*columns_, strict=True))
        average = f"{answer.average_price:.2f}"
        parts = (tuple(map("%.2f".__mod__, part.tolist())) for part in answer.contributions)
        return [(*price, average, *part) for *price, part in zip(*columns_, parts, strict=True)]

    def _reason(self, row: Sequence[str]) -> str:
        """Return why a row is no house that can be priced."""
        cells = ((name, row[place]) for name, place in self._reader.places.items())
        try:
            meant = {name: meaning(name, cell, semicolons=self._reader.semicolons) for name, cell in cells}
            validated(meant, self._headings)
        except InvalidHouseError as error:
            return str(error)
        return "the row is no house that can be priced"


def _as_text(repaired: Mapping[str, list[str]]) -> str:
    """Return the columns of each rule, and the rule."""
    return "; ".join(f"{', '.join(names)}: {rule}" for rule, names in repaired.items())
