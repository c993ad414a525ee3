import numpy as np
import pytest

from portfolio_shared.operations.shapes import BINS, LETTERS, TEXTS, shape_of


def test_numbers_are_binned_alike_on_both_sides():
    rng = np.random.default_rng(0)
    before, now = rng.normal(size=1000), rng.normal(1, 1, size=500)
    shape = shape_of(np.append(before, [np.nan, 1e9]), now)
    assert len(shape.edges) == BINS + 1
    assert sum(shape.reference) == pytest.approx(1)
    assert sum(shape.window) == pytest.approx(1)
    assert shape.edges[-1] < 5  # one wild value does not flatten the rest
    assert np.argmax(shape.window) > np.argmax(shape.reference)


def test_a_few_numbers_have_a_bar_each():
    shape = shape_of(np.array([1.0, 1.0, 2.0, np.nan]), np.array([2.0, 3.0]))
    assert (shape.edges, shape.labels) == ((), ("1", "2", "3"))
    assert shape.reference == pytest.approx((2 / 3, 1 / 3, 0))
    assert shape.window == (0, 0.5, 0.5)
    assert shape.typical == ("1", "2.5")


def test_of_many_texts_the_most_changed_are_shown():
    texts = [f"t{i}" for i in range(20)]
    shape = shape_of(np.array([*texts, ""]), np.array(texts + ["new"] * 20))
    assert len(shape.labels) == TEXTS
    assert (shape.labels[0], shape.window[0], shape.reference[0]) == ("new", 0.5, 0)
    assert shape.typical[1] == "new"


def test_a_long_text_is_cut():
    shape = shape_of(np.array(["a"]), np.array(["x" * 1000]))
    assert max(map(len, (*shape.labels, *shape.typical))) == LETTERS


def test_a_constant_has_a_bar():
    shape = shape_of(np.zeros(3), np.zeros(5))
    assert (shape.labels, shape.reference, shape.window) == (("0",), (1.0,), (1.0,))
