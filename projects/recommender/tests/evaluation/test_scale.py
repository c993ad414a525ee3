"""How costs grow with the number of ratings, from costs whose growth is known."""

import pytest

from recommender.evaluation.scale import draw_scale, growth_table, numbers, quality_table, scale_table
from recommender.models.fit import FULL

NDCG = {"estimate": 0.2, "low": 0.1, "high": 0.3}


def size(millions: int, *, als: bool = False) -> dict[str, object]:
    """Return costs of which seconds grow as ratings do, and memory as their root; sums have a bound of memory."""
    costs = {"seconds": 2.0 * millions, "cpu_seconds": 1.0 * millions, "peak_rss_mb": 100.0 * millions**0.5}
    steps = dict.fromkeys(("generate", "read", "etl", "train"), costs)
    steps |= {"sum": {**costs, "peak_rss_mb": 300.0}, **({"als": costs} if als else {})}
    return {
        "ratings": millions * 1_000_000,
        "people": 7_000 * millions,
        "films": 60_000,
        "source_mb": 27.0 * millions,
        "stored_mb": 17.0 * millions,
        "steps": steps,
        "ndcg": {FULL: NDCG, "popularity": {**NDCG, "estimate": 0.3}, **({"ALS of MLlib": NDCG} if als else {})},
    }


@pytest.fixture
def recorded() -> dict[str, object]:
    sizes = [size(1, als=True), size(10), size(40), size(100)]
    sizes[0]["steps"]["read"] = {"seconds": 500.0, "cpu_seconds": 1.0, "peak_rss_mb": 9_000.0}  # too small to count
    return {"machine": "2 cores", "k": 10, "users_measured": 2_000, "sizes": sizes}


def test_growth_is_that_of_the_large_sizes(recorded: dict[str, object]) -> None:
    rows = {line.split(" | ")[0].lstrip("| "): line.split(" | ")[1:] for line in growth_table(recorded).splitlines()}
    # 2 s a million: 2,000 s for a billion; 100 MB times the root of a thousand million.
    assert rows["read all into memory"] == ["1.00", "0.6 hours", "0.50", "3.2 GB |"]
    assert rows["sum the Gram matrices"][2:] in (["0.00", "300 MB |"], ["-0.00", "300 MB |"])
    assert "ALS of MLlib, Spark's start included" not in rows  # one size has no growth


def test_each_step_has_a_row_for_each_size_that_it_was_measured_at(recorded: dict[str, object]) -> None:
    lines = scale_table(recorded).splitlines()[2:]
    assert len(lines) == 5 * 4 + 1
    assert "| ETL with DuckDB | 40 million | 80 | 40 | 632 |" in lines
    assert quality_table(recorded).splitlines()[-1].endswith("|  |")  # ALS was not fitted on the largest


def test_prose_has_the_largest_size(recorded: dict[str, object]) -> None:
    named = numbers(recorded)
    assert (named["scale_ratings"], named["scale_people"]) == ("100 million", "700,000")
    assert (named["scale_read_seconds"], named["scale_read_memory"]) == ("200", "1,000")
    assert (named["scale_source"], named["scale_stored"]) == ("2.7 GB", "1.7 GB")
    assert (named["scale_films"], named["scale_measured"], named["scale_train_cpu"]) == ("60,000", "2,000", "100")
    assert (named["scale_ndcg"], named["scale_popular"]) == ("0.200", "0.300")


def test_the_figure_has_a_line_for_each_step_in_both_panels(recorded: dict[str, object]) -> None:
    figure = draw_scale(recorded)
    assert [len(axes.lines) for axes in figure.axes] == [4, 4]
