from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from housing.evaluation.candidates import BASELINES
from housing.evaluation.evaluate import (
    METRIC_LABELS,
    METRICS,
    Evaluation,
    compare_with_champion,
    evaluate,
    evaluate_bundle,
    measure,
    width_ratios,
)
from portfolio_shared.evaluation.sections import with_interval


@pytest.fixture
def four(evaluation_of) -> Evaluation:
    """Four houses, ten times over: a bootstrap of four alone would draw the same one four times."""
    return evaluation_of([100_000, 100_000, 200_000, 400_000] * 10, [100_000, 110_000, 180_000, 400_000] * 10)


def measured(evaluation: Evaluation, **options):
    return measure(evaluation.sales, evaluation.predicted, evaluation.low, evaluation.high, **options)


def test_metrics_are_those_worked_out_by_hand(four):
    metrics = {name: interval.estimate for name, interval in measured(four).items()}
    logs = np.log([1, 1.1, 0.9, 1])
    assert metrics["mean_absolute_error"] == 7_500
    assert metrics["median_absolute_error"] == 5_000
    assert metrics["mean_error"] == -2_500  # underpriced on the whole
    assert metrics["mean_absolute_percentage_error"] == pytest.approx(0.05)
    assert metrics["root_mean_squared_log_error"] == pytest.approx(np.sqrt((logs**2).mean()))
    assert metrics["interval_coverage"] == 1
    assert metrics["mean_interval_width"] == pytest.approx(790_000 * (1.2 - 1 / 1.2) / 4)


@pytest.mark.long
def test_every_metric_has_an_interval_around_it_and_a_label(four):
    metrics = measured(four)
    assert set(metrics) == set(METRIC_LABELS)
    assert all(interval.low <= interval.estimate <= interval.high for interval in metrics.values())
    assert measured(four, seed=1) == measured(four, seed=1) != measured(four, seed=2)


def test_houses_over_4000_square_feet_are_left_out_of_their_metric_only(evaluation_of):
    large = evaluation_of([1e5, 2e5, 1e5] * 10, [1e5, 2e5, 4e5] * 10, gr_liv_area=[4000.0, 1500.0, 4001.0] * 10)
    metrics = measured(large)
    assert metrics["root_mean_squared_log_error_up_to_4000_sf"].estimate == 0
    assert metrics["root_mean_squared_log_error"].estimate == pytest.approx(np.log(4) / np.sqrt(3))


def test_baselines_are_measured_on_the_same_houses_by_the_same_metrics(trained):
    assert tuple(trained.baselines) == BASELINES
    for metrics in trained.baselines.values():
        assert set(metrics) == set(METRICS)
    median = np.exp(np.median(np.log(trained.split.train.prices)))
    error = np.abs(trained.split.test.prices - median).mean()
    assert trained.baselines["median"]["mean_absolute_error"].estimate == pytest.approx(error)


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
    """99 training houses of 100,000 dollars whose errors were 1 to 99 percent: nine tenths are within 90 percent."""
    prices = 100_000 + np.arange(99) * 1e-4  # as good as equal
    evaluation = trained.evaluation
    ratios = width_ratios(evaluation, np.log(prices) + np.arange(1, 100) / 100, prices, coverage=0.9)
    own = float(np.mean(evaluation.high - evaluation.low))
    assert ratios["constant_dollars"] == pytest.approx(own / (2 * 100_000 * (np.exp(0.9) - 1)))
    relative = float(np.mean(evaluation.predicted * (np.exp(0.9) - np.exp(-0.9))))
    assert ratios["constant_relative"] == pytest.approx(own / relative)
    prices = np.arange(1.0, 1002.0) * 1000  # without a model it is the range of the training prices
    assert width_ratios(evaluation, np.log(prices) + 0.1, prices, coverage=0.9)["no_model"] == pytest.approx(
        own / 900_000
    )


def test_an_evaluation_is_of_the_test_houses(trained):
    """Higher true prices change the metrics and not the predictions."""
    test = trained.split.test
    doubled = replace(test, frame=test.frame.assign(sale_price=test.prices * 2))
    again = evaluate(trained.predictor, replace(trained.split, test=doubled))
    np.testing.assert_array_equal(again.predicted, trained.evaluation.predicted)
    assert again.metrics["mean_error"].estimate < trained.evaluation.metrics["mean_error"].estimate - 50_000


def test_a_challenger_is_compared_with_the_champion_on_its_own_test_houses(trained, predictor):
    """With itself there is no difference; with a model that overprices by a half there is."""
    same = compare_with_champion(trained.evaluation, predictor)
    assert tuple(same.difference) == pytest.approx((0, 0, 0), abs=1e-12)
    assert same.n == len(trained.split.test.frame)
    worse = replace(trained.evaluation, predicted=trained.evaluation.predicted * 1.5)
    assert compare_with_champion(worse, predictor).difference.low > 0.1  # above 0: the champion is better


def test_models_are_measured_and_compared_at_the_price_level_of_the_sales(trained, predictor):
    """A model that learned of a boom is more expensive today, and as good as before on sales from before the boom."""
    boom = {"NAmes": float(np.log(1.25)), "CollgCr": -0.1}
    level = np.exp([boom.get(record["neighborhood"], 0.0) for record in trained.split.test.records])
    moved = evaluate(replace(predictor, moved=boom), trained.split)
    for name in ("predicted", "low", "high"):
        np.testing.assert_allclose(getattr(moved, name) * level, getattr(trained.evaluation, name))
    assert 0 < sum(level != 1) < len(level)
    pricier = replace(trained.evaluation, predicted=trained.evaluation.predicted / level)
    assert tuple(compare_with_champion(pricier, replace(predictor, moved=boom)).difference) == pytest.approx(
        (0, 0, 0), abs=1e-12
    )


def test_a_bundle_is_evaluated_on_the_houses_it_was_tested_on(bundle, trained, train_config, capsys):
    evaluate_bundle(bundle, train_config.data, Console(width=200))
    printed = capsys.readouterr().out
    assert "some may be houses it learned from" not in printed
    assert f"MAE, dollars: {with_interval(trained.evaluation.metrics['mean_absolute_error'])}" in printed


def test_a_bundle_evaluated_on_other_houses_names_them_as_others(bundle, some_rows, tmp_path, capsys):
    some_rows(200).to_csv(tmp_path / "other.csv", index=False)
    evaluate_bundle(bundle, str(tmp_path / "other.csv"), Console(width=200))
    assert "some may be houses it learned from" in capsys.readouterr().out
