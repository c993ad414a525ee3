"""The figures of the data section are drawn, and their titles are made of the data."""

from dataclasses import replace

import numpy as np
import pytest

from housing.data.explore import draw_neighborhoods, draw_price_by_area, draw_prices, explore


def title(figure) -> str:
    return " ".join(figure.get_suptitle().split())


def test_every_figure_is_written_and_named_in_order(dataset, some_sales, tmp_path) -> None:
    files = explore(replace(dataset, sales=some_sales(100)), tmp_path)
    assert [path.name for path in files] == ["prices.svg", "price-area.svg", "neighborhoods.svg"]
    assert all(path.read_text(encoding="utf-8").startswith("<?xml") for path in files)


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (draw_prices, "Half of the houses sold for $130k to $214k"),
        (draw_price_by_area, "3 of the 5 houses over 4,000 square feet were sold before completion"),
        (draw_neighborhoods, "the median price is $319k in StoneBr and $88k in MeadowV"),
    ],
)
def test_a_title_says_what_the_data_say(dataset, draw, said) -> None:
    assert said in title(draw(dataset.sales.frame))


def test_the_large_houses_are_counted_in_the_data_that_are_drawn(dataset) -> None:
    frame = dataset.sales.frame
    small = frame[frame["gr_liv_area"] <= 4000]
    assert "0 of the 0 houses" in title(draw_price_by_area(small))
    assert np.isfinite(small["gr_liv_area"]).all()
