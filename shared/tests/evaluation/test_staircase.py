"""A staircase shows where each step lies and what it brought."""

import pytest
from matplotlib.figure import Figure

from portfolio_shared.evaluation.staircase import staircase

NAMES, VALUES = ["guess", "ridge", "blend", "worse"], [50.0, 20.0, 15.0, 16.0]


def drawn(**options: bool) -> Figure:
    return staircase(NAMES, VALUES, xlabel="error", form=lambda value: f"{value:g}", **options)


def test_each_step_is_labeled_with_its_value_and_its_change() -> None:
    (axes,) = drawn().axes
    texts = [text.get_text().strip() for text in axes.texts]
    assert texts == ["50", "20  (\N{MINUS SIGN}30)", "15  (\N{MINUS SIGN}5)", "16  (+1)"]
    assert [label.get_text() for label in axes.get_yticklabels()] == NAMES


@pytest.mark.parametrize(("lower", "hatched"), [(True, [3]), (False, [1, 2])])
def test_a_step_that_makes_matters_worse_is_hatched(lower: bool, hatched: list[int]) -> None:
    (axes,) = drawn(lower_is_better=lower).axes
    assert [i for i, bar in enumerate(axes.patches) if bar.get_hatch()] == hatched
    assert [bar.get_width() for bar in axes.patches] == [0, 30, 5, 1]


def test_the_axis_may_be_logarithmic() -> None:
    (axes,) = drawn(log=True).axes
    axes.figure.draw_without_rendering()
    assert axes.get_xscale() == "log"
    assert {"20", "50"} <= {label.get_text() for label in axes.get_xticklabels()}


def test_names_and_values_belong_together() -> None:
    with pytest.raises(ValueError, match="1 names for 2 values"):
        staircase(["one"], [1.0, 2.0], xlabel="error", form=str)
