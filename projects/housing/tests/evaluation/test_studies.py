"""What fields, features and years are worth, measured with models that show what they were given."""

import numpy as np
import pytest

from housing.config import ModelSettings
from housing.data.columns import columns
from housing.data.load import Split
from housing.evaluation import left_out as left_out_module
from housing.evaluation.by_year import row
from housing.evaluation.candidates import BLEND, TREES, in_neighborhood
from housing.evaluation.experiment import EFFECT, experiment_sizes
from housing.evaluation.fairness import THIRDS, by_area
from housing.evaluation.families import FAMILIES, constant, without_families
from housing.evaluation.left_out import ASKED_WITHOUT, SALE, TRAINED_WITHOUT, compared, leave_out, n_fits
from housing.models.features import DERIVED, design, number_names
from housing.models.fit import OutOfFold
from housing.models.imputation import complete, fit_typical
from housing.models.intervals import MemberPrices
from portfolio_shared.results import Candidate


@pytest.fixture(scope="module")
def split(some_sales):
    sales = some_sales(120)
    return Split(sales, np.arange(120) % 3, sales)


@pytest.mark.long
def test_a_field_that_is_left_out_is_alike_in_all_houses_or_unknown(monkeypatch, split) -> None:
    taught, asked = [], []

    class Spy:
        def __init__(self, records, *_, **__) -> None:
            taught.append({str([record[name] for name in SALE]) for record in records})

        def log_prices(self, records) -> MemberPrices:
            asked.append({str([record[name] for name in SALE]) for record in records})
            return MemberPrices(*np.full((2, len(records)), 12.0))

    monkeypatch.setattr(left_out_module, "fit_members", Spy)
    steps: list[str] = []
    rows = leave_out(split, ModelSettings(), np.full(120, 12.0), threads=1, advance=steps.append)
    assert [each.name for each in rows] == [ASKED_WITHOUT, *TRAINED_WITHOUT]
    assert len(steps) == n_fits(split) == 12
    assert taught[0] == asked[0] == {str(list(SALE.values()))}
    assert len(taught[-1]) > 1  # the served model learns from them, and is asked without them
    assert asked[-1] == {str([None] * len(SALE))}
    assert all(tuple(each.mae_difference) == (0, 0, 0) for each in rows)


def test_what_is_left_out_costs_is_above_zero_where_the_served_model_is_better() -> None:
    prices = np.full(50, 100_000.0)
    worse = compared("none", prices, np.log(prices * 1.2), np.log(prices * 1.1))
    assert worse.mae == pytest.approx(20_000)
    assert worse.mae_difference.estimate == pytest.approx(10_000)
    assert worse.rmsle_difference.low > 0


def test_a_lookup_by_neighborhood_is_the_median_price_per_square_foot_there(split) -> None:
    records = [{"neighborhood": name, "gr_liv_area": 1000.0} for name in ("A", "A", "A", "B")]
    prices = np.array([100_000.0, 200_000.0, 900_000.0, 50_000.0])
    fit = in_neighborhood(lambda record: float(str(record["gr_liv_area"])))
    new = [{"neighborhood": name, "gr_liv_area": 2000.0} for name in ("A", "B", "elsewhere")]
    expected = [400_000, 100_000, 2000 * np.sqrt(100 * 200)]  # in town: the median of the logarithms
    np.testing.assert_allclose(np.exp(fit(records, prices, new)), expected)


def test_the_families_are_all_derived_features_once() -> None:
    assert sorted(name for family in FAMILIES.values() for name in family) == sorted(DERIVED)


def test_a_family_that_is_left_out_teaches_nothing_and_the_columns_stay(split) -> None:
    typical = fit_typical(split.train.records)
    houses = design([complete(record, typical)[0] for record in split.train.records])
    changed = constant(houses, ("age",))
    position = number_names().index("age")
    assert (changed.numbers[:, position] == 0).all()
    np.testing.assert_array_equal(np.delete(changed.numbers, position, 1), np.delete(houses.numbers, position, 1))
    assert (houses.numbers[:, position] != 0).any()


@pytest.mark.long
def test_families_stand_from_the_costliest_to_the_cheapest(split) -> None:
    differences = [family.difference.estimate for family in without_families(split, ModelSettings())]
    assert differences == sorted(differences, reverse=True)
    assert len(differences) == len(FAMILIES) + 1


def test_errors_by_area_are_of_the_houses_there(split) -> None:
    """Houses of cheap neighborhoods are priced a fifth too high, the others right."""
    sales = split.train
    place = sales.frame["neighborhood"].to_numpy()
    medians = sales.frame.groupby("neighborhood")["sale_price"].median().sort_values(kind="stable")
    cheap = np.isin(place, np.array_split(medians.index.to_numpy(), 3)[0])
    model = OutOfFold(np.log(sales.prices * np.where(cheap, 1.2, 1.0)), (), sales.prices)
    areas = {area.name: area for area in by_area(sales, model)}
    assert [areas[third].mean_error.estimate for third in THIRDS] == pytest.approx([0.2, 0, 0])
    assert [areas[third].too_high.estimate for third in THIRDS] == [1, 0, 0]
    assert sum(areas[third].houses for third in THIRDS) == len(sales.records)
    assert sum(areas[third].neighborhoods for third in THIRDS) == len(medians)
    assert all(area.houses >= 20 for name, area in areas.items() if name not in THIRDS)


def test_a_year_is_compared_with_models_that_knew_it() -> None:
    paid = np.full(40, 100_000.0)
    measured = row("model", paid, paid * 1.1, paid, seed=0)
    assert measured.mean_error.estimate == pytest.approx(10_000)  # above 0: too high
    assert measured.difference.estimate == pytest.approx(np.log(1.1))


def test_an_ab_test_needs_more_sales_than_a_shadow(split) -> None:
    """Errors of a tenth, more or less; the two models differ by a hundredth."""
    prices, error = split.train.prices, np.random.default_rng(0).normal(0, 0.1, 120)
    candidates = {
        name: Candidate(name, {}, OutOfFold(np.log(prices) + error * factor, (), prices))
        for name, factor in ((BLEND, 1.0), (TREES, 1.1))
    }
    sizes = experiment_sizes(split.train, candidates)
    assert sizes["effect"] == EFFECT
    assert sizes["sd_of_a_difference"] == pytest.approx(sizes["sd_of_an_error"] / 10)
    assert sizes["ab_test"] > 10 * sizes["shadow"]
    assert 20 < sizes["sales_a_year"] < 40  # 120 in five years


def test_what_is_left_out_are_fields_of_a_house() -> None:
    assert {name for fields in TRAINED_WITHOUT.values() for name in fields} <= columns().keys()
