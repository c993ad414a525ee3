"""Symmetric (oblivious) trees as arrays: prediction and exact Shapley values by table look-up.

CatBoost's default trees ask the same question at every node of a level, so a tree of depth d is d
questions and a table of 2**d answers. The answers to the questions determine not only the tree's value
but also every Shapley value of path-dependent TreeSHAP (Lundberg et al. 2020, "From local explanations
to global understanding with explainable AI for trees", Nature Machine Intelligence 2, algorithm 1).
So the Shapley values are computed once for every cell when the model is saved, and serving looks them
up: no tree library is needed, and one row costs tens of microseconds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product
from math import factorial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ROWS_OF_A_WORD = 8  # a byte for each
ROWS_AT_ONCE = 64  # 2,000 trees x 64 rows are 1 MB of leaves: what is looked up stays in the processor's cache


@dataclass(frozen=True)
class SymmetricTrees:
    """An ensemble of T symmetric trees of depth D over F float32 features, and its Shapley tables.

    Attributes
    ----------
    feature, border
        Shape (T, D). Question d of tree t is `x[feature[t, d]] > border[t, d]`; padding asks `x[0] > inf`.
    leaf
        Shape (T, 2**D). The answer where bit d of the cell's number is the answer to question d.
    bias
        Added to the sum over trees.
    shapley
        Shape (T, 2**D, D). What each of the tree's players adds to the tree's expected value in a cell.
    player
        Shape (T, D). Which player (a group of features) a slot of `shapley` belongs to.
    expected
        Mean of the ensemble over its training rows: the value with no feature known.
    """

    feature: NDArray[np.int32]
    border: NDArray[np.float32]
    leaf: Floats
    bias: float
    shapley: NDArray[np.float32]
    player: NDArray[np.int32]
    expected: float

    def predict(self, x: Floats) -> Floats:
        """Return predictions, shape (n,), for rows `x`, shape (n, F); of one row, shape (F,), without an axis."""
        if x.ndim == 1:
            return self._predict_row(x)
        look_up = _LookUp(self.leaf.ravel(), self._offset, min(len(x), ROWS_AT_ONCE))
        sums = [self._ones @ look_up(cells) for cells in self._cells(x)]
        return np.asarray(np.concatenate(sums) + self.bias)

    def _predict_row(self, row: Floats) -> Floats:
        """Return the prediction of one row, shape ()."""
        questions = self._questions
        answers = row.astype(np.float32).take(questions.feature) > questions.border.ravel()
        cells, *others = answers.view(np.uint8).take(questions.number)
        for bits in others:
            cells += cells
            cells += bits
        return np.asarray(self.leaf.take(self._offset.ravel() + cells).dot(self._ones) + self.bias)

    @cached_property
    def _ones(self) -> Floats:
        """Return what makes the sum over trees of a product, in a fifth of the time of a sum; shape (T,)."""
        return np.ones(len(self.leaf))

    def contributions(self, x: Floats, n_players: int) -> Floats:
        """Return Shapley values, shape (n, n_players): with `expected` they sum to `predict(x)`."""
        parts = self._parts
        look_up = _LookUp(parts.table, parts.offset, min(len(x), ROWS_AT_ONCE))
        found = (look_up(cells.take(parts.tree, axis=0)) for cells in self._cells(x))
        values = np.zeros((len(x), n_players))
        values[:, parts.player] = np.concatenate([np.add.reduceat(each, parts.first, axis=0).T for each in found])
        return values

    @cached_property
    def _offset(self) -> NDArray[np.intp]:
        """Return where each tree's leaves begin among all, shape (T, 1)."""
        return np.asarray((np.arange(len(self.leaf)) * self.leaf.shape[1])[:, None])

    @cached_property
    def _questions(self) -> "_Questions":
        """Return the questions that are asked anywhere, each once: many trees ask the same ones."""
        pairs = np.rec.fromarrays([self.feature.ravel(), self.border.ravel()])
        unique, number = np.unique(pairs, return_inverse=True)
        feature, border = (np.ascontiguousarray(unique[name]) for name in ("f0", "f1"))
        return _Questions(feature.astype(np.intp), border[:, None], number.reshape(self.feature.shape).T[::-1].copy())

    @cached_property
    def _parts(self) -> "_Parts":
        """Return the columns of the Shapley tables that are not zero, in the order of their players."""
        used = (self.shapley != 0).any(axis=1)  # (T, D)
        tree, slot = np.nonzero(used)
        order = np.argsort(self.player[tree, slot], kind="stable")
        tree, slot = tree[order], slot[order]
        player, first = np.unique(self.player[tree, slot], return_index=True)
        table = self.shapley[tree, :, slot].astype(np.float64)  # (parts, 2**D)
        offset = (np.arange(len(tree)) * table.shape[1])[:, None]
        return _Parts(tree, offset, table.ravel(), first, player.astype(np.intp))

    def _cells(self, x: Floats) -> Iterator[NDArray[np.uint8]]:
        """Yield the number of the cell that each row falls into, per tree: chunks of shape (T, rows)."""
        questions = self._questions
        for start in range(0, len(x), ROWS_AT_ONCE):
            columns = x[start : start + ROWS_AT_ONCE].T.astype(np.float32, order="C")
            answers = columns.take(questions.feature, axis=0) > questions.border
            n = columns.shape[1]
            words: NDArray[Any] = answers.view(np.uint8)
            if 1 < n <= ROWS_OF_A_WORD:
                padded = np.zeros((len(answers), ROWS_OF_A_WORD), dtype=np.uint8)
                padded[:, :n] = answers
                words = padded.view(np.uint64)
            width = words.shape[1]
            look_up = words.ravel().take if width == 1 else partial(words.take, axis=0)
            # One look-up of all is quicker for a word; for more its result would not stay in the processor's cache.
            given = look_up(questions.number) if width == 1 else map(look_up, questions.number)
            cells = np.zeros(len(self.leaf) if width == 1 else (len(self.leaf), width), dtype=words.dtype)
            for bits in given:
                cells += cells  # of all rows of a word at once: no number of a cell needs more than its byte
                cells += bits
            yield cells.view(np.uint8).reshape(len(self.leaf), -1)[:, :n]


class _LookUp:
    """Cells of up to so many rows -> what stands for them in a table; its memory is used again, which halves the time.

    `offset` is where the part of each row of cells begins in the table.
    """

    def __init__(self, table: Floats, offset: NDArray[np.intp], rows: int) -> None:
        self._table, self._offset = table, offset
        self._places = np.empty((len(offset), rows), dtype=np.intp)
        self._found = np.empty((len(offset), rows))

    def __call__(self, cells: NDArray[np.uint8]) -> Floats:
        rows = cells.shape[1]
        places = np.add(cells, self._offset, out=self._places[:, :rows])
        return self._table.take(places, out=self._found[:, :rows], mode="clip")  # "raise" would copy


class _Questions(NamedTuple):
    """Q questions: feature and border, shape (Q,) and (Q, 1), and the numbers of each tree's, last first, (D, T)."""

    feature: NDArray[np.intp]
    border: NDArray[np.float32]
    number: NDArray[np.intp]


class _Parts(NamedTuple):
    """P columns of Shapley values: tree (P,), where each begins in the table (P, 1), the table (P * 2**D,).

    The parts of a player follow each other: `first` is where those of each of the players begin.
    """

    tree: NDArray[np.intp]
    offset: NDArray[np.intp]
    table: Floats
    first: NDArray[np.intp]
    player: NDArray[np.intp]


def from_catboost(model: dict[str, Any], player_of_feature: NDArray[np.int32]) -> SymmetricTrees:
    """Read a CatBoost model in its own JSON format and compute its Shapley tables.

    The player that a feature belongs to stands in `player_of_feature`, shape (F,); players share out the prediction.

    Raises
    ------
    ValueError
        If the model has categorical features, trees of another shape, or more than one output.
    """
    if "oblivious_trees" not in model:
        raise ValueError("expected symmetric trees (grow_policy='SymmetricTree'), found another shape")
    trees = model["oblivious_trees"]
    scale, biases = model["scale_and_bias"]
    if len(biases) != 1 or scale != 1:
        raise ValueError(f"expected one output with scale 1, found {len(biases)} outputs and scale {scale}")
    depth = max(len(tree["splits"] or []) for tree in trees)
    shape = (len(trees), depth)
    feature, border = np.zeros(shape, np.int32), np.full(shape, np.inf, np.float32)
    leaf, cover = np.zeros((len(trees), 2**depth)), np.zeros((len(trees), 2**depth))
    for t, tree in enumerate(trees):
        splits = tree["splits"] or []
        if any(split["split_type"] != "FloatFeature" for split in splits):
            raise ValueError(f"tree {t} asks about a category: encode categories as numbers before fitting")
        feature[t, : len(splits)] = [split["float_feature_index"] for split in splits]
        border[t, : len(splits)] = [split["border"] for split in splits]
        leaf[t, : 2 ** len(splits)] = tree["leaf_values"]
        cover[t, : 2 ** len(splits)] = tree["leaf_weights"]
    player = player_of_feature[feature]
    shapley, expected = _shapley_tables(leaf, cover, np.where(np.isinf(border), -1, player))
    return SymmetricTrees(
        feature, border, leaf, float(biases[0]), shapley.astype(np.float32), player, float(expected.sum() + biases[0])
    )


def mean_of(ensembles: Sequence[SymmetricTrees]) -> SymmetricTrees:
    """Return the mean of ensembles of one depth as one ensemble: its Shapley values are the means of theirs."""
    n = len(ensembles)

    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(trees, name) for trees in ensembles])
        for name in ("feature", "border", "leaf", "shapley", "player")
    }
    arrays |= {name: (arrays[name] / n).astype(arrays[name].dtype) for name in ("leaf", "shapley")}
    means = {name: float(np.mean([getattr(trees, name) for trees in ensembles])) for name in ("bias", "expected")}
    return SymmetricTrees(**arrays | means)


def _shapley_tables(leaf: Floats, cover: Floats, player: NDArray[np.int32]) -> tuple[Floats, Floats]:
    """Return each tree's Shapley values in every cell, shape (T, 2**D, D), and its expected value, shape (T,).

    `player` is -1 for padding. Values of one player stand in the slot of its first question.
    """
    n_trees, depth = player.shape
    expected = _coalition_values(leaf, cover, depth)  # by which questions are answered
    tables = np.zeros((n_trees, 2**depth, depth))
    for t, row in enumerate(player):
        players = [int(p) for p in dict.fromkeys(row.tolist()) if p >= 0]
        questions = [sum(1 << d for d in range(depth) if row[d] == p) for p in players]  # as bit masks
        for slot_of, p in enumerate(players):
            first = int(np.flatnonzero(row == p)[0])
            others = questions[:slot_of] + questions[slot_of + 1 :]
            for chosen in product((0, 1), repeat=len(others)):
                without = sum(mask for mask, take in zip(others, chosen, strict=True) if take)
                weight = factorial(sum(chosen)) * factorial(len(others) - sum(chosen)) / factorial(len(players))
                tables[t, :, first] += weight * (expected[without | questions[slot_of], t] - expected[without, t])
    return tables, expected[0, :, 0]


def _coalition_values(leaf: Floats, cover: Floats, depth: int) -> Floats:
    """Return the expected value of every tree in every cell when only some questions' answers are known.

    Returns
    -------
    numpy.ndarray
        Shape (2**D, T, 2**D): bit mask of the known questions, tree, cell. An unknown answer is averaged by
        the training rows that reached the node's two sides.
    """
    n_trees = len(leaf)
    # Axis d + 1 is the answer to question d; the cell's bit d is the fastest axis, so reverse the order.
    axes = (0, *range(depth, 0, -1))
    values = leaf.reshape(n_trees, *([2] * depth)).transpose(axes)
    covers = cover.reshape(n_trees, *([2] * depth)).transpose(axes)
    result = np.empty((2**depth, n_trees, 2**depth))
    for mask in range(2**depth):
        table = values
        for d in range(depth):  # CatBoost takes the last question for the root, so question 0 is the deepest
            if not mask >> d & 1:
                reached = covers.sum(axis=tuple(range(1, d + 1)), keepdims=True)
                total = reached.sum(axis=d + 1, keepdims=True)
                share = np.divide(reached, total, out=np.full_like(reached, 0.5), where=total > 0)
                table = (table * share).sum(axis=d + 1, keepdims=True)
        full = np.broadcast_to(table, values.shape)
        result[mask] = full.transpose(axes).reshape(n_trees, -1)
    return result
