from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from housing.data.load import Sales
from housing.evaluation.errors import Answers, _why, by_group, worst
from housing.evaluation.evaluate import METRICS, baseline_metrics, evaluate, measure
from housing.report import METRIC_LABELS

RECORD = {
    "sale_condition": "Normal",
    "sale_type": "WD",
    "ms_zoning": "RL",
    "functional": "Typ",
    "overall_qual": 6.0,
    "overall_cond": 5.0,
}


def answers_of(paid, predicted, *, spread: float = 1.2, **frame) -> Answers:
    n = len(paid)
    usual = {
        "pid": [f"{i}" for i in range(n)],
        "gr_liv_area": [1500.0] * n,
        "yr_sold": [2008.0] * n,
        "year_built": [2000.0] * n,
        "sale_condition": ["Normal"] * n,
        "neighborhood": ["NAmes"] * n,
        "sale_price": np.asarray(paid, dtype=float),
    }
    sales = Sales(pd.DataFrame({**usual, **frame}), report=None, source=None, sha256="")
    predicted = np.asarray(predicted, dtype=float)
    return Answers(sales, predicted, predicted / spread, predicted * spread)


@pytest.fixture(scope="module")
def four() -> Answers:
    """Four houses, ten times over: a bootstrap of four alone would draw the same one four times."""
    return answers_of([100_000, 100_000, 200_000, 400_000] * 10, [100_000, 110_000, 180_000, 400_000] * 10)


def test_metrics_are_those_worked_out_by_hand(four):
    found = {name: interval.estimate for name, interval in measure(four).items()}
    logs = np.log([1, 1.1, 0.9, 1])
    assert found["mean_absolute_error"] == 7_500
    assert found["median_absolute_error"] == 5_000
    assert found["mean_error"] == -2_500  # too cheap on the whole
    assert found["mean_absolute_percentage_error"] == pytest.approx(0.05)
    assert found["root_mean_squared_log_error"] == pytest.approx(np.sqrt((logs**2).mean()))
    assert found["interval_coverage"] == 1
    assert found["mean_interval_width"] == pytest.approx(790_000 * (1.2 - 1 / 1.2) / 4)


def test_every_metric_has_an_interval_around_it_and_a_label(four):
    found = measure(four)
    assert set(found) == set(METRIC_LABELS)
    assert all(interval.low <= interval.estimate <= interval.high for interval in found.values())


def test_houses_over_4000_square_feet_are_left_out_of_their_metric_only():
    large = answers_of([1e5, 2e5, 1e5] * 10, [1e5, 2e5, 4e5] * 10, gr_liv_area=[4000.0, 1500.0, 4001.0] * 10)
    found = measure(large)
    assert found["root_mean_squared_log_error_up_to_4000_sf"].estimate == 0
    assert found["root_mean_squared_log_error"].estimate == pytest.approx(np.log(4) / np.sqrt(3))


def test_baselines_are_measured_on_the_same_houses_by_the_same_metrics(four):
    found = baseline_metrics({"same": np.log(four.predicted)}, four.paid)
    ours = measure(four)
    for name in METRICS:
        assert list(found["same"][name]) == pytest.approx(list(ours[name]), abs=1e-6)


@pytest.mark.parametrize("by", ["price quintile", "neighborhood", "age at sale", "condition of sale"])
def test_groups_share_out_all_houses(trained, by):
    groups = [group for group in trained.evaluation.groups if group.by == by]
    answers = trained.evaluation.answers
    assert sum(group.houses for group in groups) == len(answers.paid)
    assert len({group.name for group in groups}) == len(groups)
    assert all(group.houses > 0 for group in groups)
    squares = sum(group.houses * group.rmsle**2 for group in groups)
    assert squares == pytest.approx(np.sum(np.log(answers.predicted / answers.paid) ** 2))
    bias = sum(group.houses * group.bias for group in groups)
    assert bias == pytest.approx(np.sum(np.log(answers.predicted / answers.paid)))
    inside = sum(group.houses * group.coverage for group in groups)
    assert inside == pytest.approx(np.sum((answers.low <= answers.paid) & (answers.paid <= answers.high)))


def test_quintiles_are_of_the_price_paid_and_of_equal_size():
    paid = np.arange(1, 101) * 1000.0
    groups = by_group(answers_of(paid, paid * np.where(paid > 80_000, 2.0, 1.0)))
    quintiles = [group for group in groups if group.by == "price quintile"]
    assert [group.name[0] for group in quintiles] == ["1", "2", "3", "4", "5"]
    assert [group.houses for group in quintiles] == [20] * 5
    assert [group.rmsle for group in quintiles] == pytest.approx([0, 0, 0, 0, np.log(2)])
    assert quintiles[-1].bias == pytest.approx(np.log(2))  # above 0: too dear
    assert [group.coverage for group in quintiles] == [1, 1, 1, 1, 0]


def test_ages_stand_in_order_and_their_edges_belong_to_the_older():
    built = [2008.0, 1999.0, 1998.0, 1979.0, 1978.0, 1959.0, 1958.0, 1929.0, 1928.0]
    groups = by_group(answers_of([1e5] * 9, [1e5] * 9, year_built=built))
    ages = [(group.name, group.houses) for group in groups if group.by == "age at sale"]
    names = ["under 10 years", "10 to 29", "30 to 49", "50 to 79", "80 and more"]
    assert ages == list(zip(names, [2, 2, 2, 2, 1], strict=True))


def test_the_worst_houses_are_the_worst_and_sorted(trained):
    evaluation = trained.evaluation
    errors = [abs(np.log(miss.predicted / miss.price)) for miss in evaluation.misses]
    everyone = np.abs(np.log(evaluation.answers.predicted / evaluation.answers.paid))
    assert len(errors) == 10
    assert errors == sorted(errors, reverse=True)
    np.testing.assert_allclose(errors, np.sort(everyone)[::-1][:10], atol=1e-6)


def test_a_miss_states_the_numbers_of_its_house(trained):
    frame = trained.test.frame.set_index("pid")
    for miss in trained.evaluation.misses:
        assert miss.price == frame.loc[miss.key, "sale_price"]
        assert miss.low < miss.predicted < miss.high
        direction = "dearer" if miss.predicted > miss.price else "cheaper"
        assert miss.why.startswith(f"Priced {direction} than it sold by {abs(miss.predicted / miss.price - 1):.0%}; ")


def test_fewer_houses_than_asked_for_are_all_returned(trained):
    few = trained.test.take(np.arange(len(trained.test.frame)) < 3)
    answers = Answers(few, *trained.predictor.price_and_interval(few.records))
    assert len(worst(answers, trained.predictor)) == 3


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "nothing unusual"),
        ({"sale_condition": "Abnorml"}, "condition of sale "),
        ({"sale_type": "COD"}, "type of sale "),
        ({"sale_type": "New"}, "nothing unusual"),
        ({"ms_zoning": "C"}, "zoning commercial"),
        ({"functional": "Sev"}, "functionality "),
        ({"functional": None}, "nothing unusual"),
        ({"overall_cond": 3.0}, "quality 6, condition 3"),
        ({"overall_qual": 2.0}, "quality 2, condition 5"),
    ],
)
def test_the_reason_is_in_the_record_or_is_said_not_to_be(changes, expected):
    assert expected in _why({**RECORD, **changes}, 100_000, 150_000, 140_000)


@pytest.mark.parametrize("name", list(RECORD))
def test_a_reason_is_found_where_a_column_is_unknown(name):
    """The schema lets every input column be unknown."""
    unknown = float("nan") if isinstance(RECORD[name], float) else None
    assert "Priced cheaper than it sold by 50%" in _why({**RECORD, name: unknown}, 100_000, 50_000, 140_000)


def test_measured_coverage_rises_with_the_nominal_one(trained):
    calibration = trained.evaluation.calibration
    assert list(calibration) == sorted(calibration)
    assert list(calibration.values()) == sorted(calibration.values())
    assert all(0 <= share <= 1 for share in calibration.values())


def test_the_calibration_at_the_served_level_is_the_coverage_of_the_intervals(trained):
    """Recomputed from scores, it must be what the intervals themselves say."""
    served = trained.evaluation.metrics["interval_coverage"].estimate
    assert trained.evaluation.calibration[0.9] == pytest.approx(served)


def test_widths_are_compared_with_constant_intervals_worked_out_by_hand(trained):
    """99 training houses of 100,000 dollars whose errors were 1 to 99 per cent: nine tenths are within 90 per cent."""
    prices = 100_000 + np.arange(99) * 1e-4  # as good as equal
    log_errors = np.arange(1, 100) / 100
    few = trained.test.take(np.arange(len(trained.test.frame)) < 40)
    found = evaluate(trained.predictor, few, np.log(prices) + log_errors, prices)
    answers = found.answers
    own = float(np.mean(answers.high - answers.low))
    dollars = 100_000 * (np.exp(0.9) - 1)
    assert found.width_ratio["constant_dollars"] == pytest.approx(own / (2 * dollars))
    relative = float(np.mean(answers.predicted * (np.exp(0.9) - np.exp(-0.9))))
    assert found.width_ratio["constant_relative"] == pytest.approx(own / relative)


def test_the_interval_without_a_model_is_the_range_of_the_training_prices(trained):
    prices = np.arange(1.0, 1002.0) * 1000
    out_of_fold = np.log(prices) + np.random.default_rng(0).normal(0, 0.1, len(prices))
    found = evaluate(trained.predictor, trained.test, out_of_fold, prices)
    own = float(np.mean(found.answers.high - found.answers.low))
    assert found.width_ratio["no_model"] == pytest.approx(own / 900_000)


def test_an_evaluation_is_of_the_houses_it_was_given(trained):
    """Dearer true prices change the metrics and not the predictions."""
    test = trained.test
    frame = test.frame.assign(sale_price=test.frame["sale_price"] * 2)
    out_of_fold = trained.candidates[trained.chosen].log_prices
    again = evaluate(trained.predictor, replace(test, frame=frame), out_of_fold, trained.training.prices)
    np.testing.assert_array_equal(again.answers.predicted, trained.evaluation.answers.predicted)
    assert again.metrics["mean_error"].estimate < trained.evaluation.metrics["mean_error"].estimate - 50_000


def test_measuring_twice_gives_the_same_intervals(four):
    assert measure(four, seed=1) == measure(four, seed=1)
    assert measure(four, seed=1) != measure(four, seed=2)
