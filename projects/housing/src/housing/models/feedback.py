"""What feedback adds to the sales that a model learns from: today's price level, and the houses that were sold since.

Feedback is a fifth of the rows at most, so beside the old sales alone it would teach a fraction of what has changed.
Instead it tells how far the prices of each neighborhood have moved (`price_index.py`), the old sales are brought to
that level, and the houses themselves are learned beside them.

A house of the frozen test split is not learned: its price would be known to the figures. Callers name no parcel, so a
house is known by its required fields. It does count for the index, which is taken off again where models are compared
on the frozen split.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from housing.config import ModelSettings
from housing.data.columns import Record, columns
from housing.data.house import House, house_key
from housing.data.load import KEY, TARGET, Sales, Split
from housing.models.comparables import Comparables
from housing.models.fit import fit_members
from housing.models.predictor import OPEN_FROM, SPARSE_FROM, Predictor
from housing.models.price_index import LEAST, Level, levels
from portfolio_shared.operations.lessons import Lesson

Floats = NDArray[np.float64]

NEWEST = 200
"""Houses that are learned from, the latest: those before may have been sold at other prices."""
ELSEWHERE = "elsewhere"
FEEDBACK = "feedback "
"""Begins the key of a house from feedback, before what it is known by."""


def sold_since(lessons: Sequence[Lesson]) -> Sales:
    """Return the houses that feedback is about, at the prices paid; None for what was not given."""
    read = [House.model_validate(json.loads(each.prediction.request)["houses"][each.item]) for each in lessons]
    records: list[Record] = [house.model_dump() for house in read]
    cells = pd.DataFrame(records, columns=list(columns()), dtype=object)
    frame = cells.where(cells.notna(), None).astype(
        {name: np.float64 for name, column in columns().items() if column.is_numeric}
    )
    frame.insert(0, KEY, [FEEDBACK + house_key(record) for record in records])
    frame[TARGET] = np.array([lesson.truth.price for lesson in lessons], dtype=np.float64)
    return Sales(frame, records)


def price_levels(
    old: Split, sold: Sales, clients: Sequence[str], settings: ModelSettings, *, seed: int, threads: int
) -> dict[str, Level]:
    """Return today's price level of each neighborhood: what `sold` cost over what models of `old.train` say of it.

    They are models that are fitted for this, not the one that answered, which may have learned of a move already. What
    one of the clients says of houses in a neighborhood is one voice, so that nobody moves a level alone. Neighborhoods
    of fewer than `LEAST` sales share a level: few of their own can be moved.
    """
    if len(sold.records) < LEAST:
        return {}
    count = Counter(places(old.train))
    shared = {place: place if count[place] >= LEAST else ELSEWHERE for place in columns()["neighborhood"].choices}
    ratios = beyond_usual(old, sold, settings, seed=seed, threads=threads)
    voices: dict[tuple[str, str], list[float]] = {}
    for place, client, ratio in zip(places(sold), clients, ratios.tolist(), strict=True):
        voices.setdefault((shared[place], client), []).append(ratio)
    means = np.array([np.mean(said) for said in voices.values()])
    found = levels(means, [place for place, _ in voices], sorted(set(shared.values())))
    return {place: found[name] for place, name in shared.items()} if found else {}


def beyond_usual(old: Split, sold: Sales, settings: ModelSettings, *, seed: int, threads: int) -> Floats:
    """Return the log of what each house cost over what models of old sales say, less the mean of that for old sales.

    A house of ten fields costs more than a model says of it, boom or none. So each old sale leaves out what one of the
    sold houses leaves out, and is priced by a model that was not fitted to it. The mean is that of houses with about as
    many fields open.
    """
    asked_as = np.random.default_rng(seed).permutation(len(old.validation)) % len(sold.records)
    of_old, of_sold = np.empty(len(old.validation)), np.zeros(len(sold.records))
    for out, inside, outside in old.folds():
        members = fit_members(inside.records, inside.prices, settings, seed=seed, threads=threads)
        left_out = [
            {name: None if sold.records[i][name] is None else value for name, value in record.items()}
            for record, i in zip(outside.records, asked_as[out].tolist(), strict=True)
        ]
        of_old[out] = np.log(outside.prices) - members.log_prices(left_out).blend(settings.linear_weight)
        of_sold += np.log(sold.prices) - members.log_prices(sold.records).blend(settings.linear_weight)
    n_open = [sum(value is None for value in record.values()) for record in sold.records]
    band = np.digitize(n_open, [SPARSE_FROM, OPEN_FROM])
    usual = np.bincount(band[asked_as], of_old, 3) / np.maximum(np.bincount(band[asked_as], minlength=3), 1)
    return of_sold / old.n_folds - usual[band]


def today(sales: Sales, moved: Mapping[str, float]) -> Sales:
    """Return the sales at today's prices; `moved` has the log of the level where it is another one."""
    level = np.exp([moved.get(place, 0.0) for place in places(sales)])
    return replace(sales, frame=sales.frame.assign(**{TARGET: sales.prices * level}))


def joined(sales: Sales, others: Sales) -> Sales:
    """Return the sales, and the others after them."""
    if not others.records:
        return sales
    return Sales(pd.concat([sales.frame, others.frame], ignore_index=True), [*sales.records, *others.records])


def taught(split: Split, sold: Sales, moved: Mapping[str, float]) -> Split:
    """Return the split with the training part at today's prices, and beside it the houses that may be learned.

    A house that is known already gets the fold of its old sale: no model is measured on a house that it was fitted to.
    """
    frozen = set(map(house_key, split.test.records))
    new = sold.take(np.array([house_key(record) not in frozen for record in sold.records], dtype=np.bool_))
    fold_of = {FEEDBACK + house_key(record): k for record, k in zip(split.train.records, split.validation, strict=True)}
    folds = [fold_of.get(key, i % split.n_folds) for i, key in enumerate(new.keys)]
    validation = np.concatenate([split.validation, np.array(folds, dtype=np.int64)])
    return Split(joined(today(split.train, moved), new), validation, split.test)


def from_feedback(sales: Sales, *, others: bool = False) -> Sales:
    """Return the houses among these that came from feedback, or the others."""
    return sales.take(sales.frame[KEY].str.startswith(FEEDBACK).to_numpy(dtype=np.bool_) != others)


def parcels(sales: Sales, known: Sales) -> list[str]:
    """Return the key of each sale; of a house from feedback that is among the known ones, the key that it has there."""
    key_of = {FEEDBACK + house_key(record): key for record, key in zip(known.records, known.keys, strict=True)}
    return [key_of.get(key, key) for key in sales.keys]


def showing(predictor: Predictor, sales: Sales, moved: Mapping[str, float]) -> Predictor:
    """Return the predictor with its levels; it shows these sales alone, which it learned first, at what was paid.

    What callers said of their houses is nobody else's to see.
    """
    n = len(sales.records)
    arrays = {array.name: getattr(predictor.comparables, array.name)[:n] for array in fields(Comparables)}
    return replace(predictor, moved=dict(moved), comparables=Comparables(**arrays | {"price": sales.prices}))


def places(sales: Sales) -> list[str]:
    """Return the neighborhood of each house."""
    return [str(record["neighborhood"]) for record in sales.records]
