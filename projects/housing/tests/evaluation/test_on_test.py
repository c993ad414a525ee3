"""What is asked of the test houses beside their metrics."""

from dataclasses import replace

import numpy as np
import pytest

from housing.config import ModelSettings
from housing.evaluation import on_test
from housing.evaluation.candidates import LINEAR
from housing.evaluation.fairness import THIRDS
from housing.evaluation.study_tables import folds_test_table, share_with_interval
from housing.models.fit import OutOfFold
from portfolio_shared.results import Candidate


def test_errors_on_folds_stand_beside_those_of_the_test_with_and_without_expensive_houses(evaluation_of):
    folds = OutOfFold(np.log([110e3, 100e3, 500e3]), (), np.array([100e3, 100e3, 600e3]))
    parts = on_test.folds_beside_test(folds, evaluation_of([200e3, 200e3, 800e3], [200e3, 220e3, 400e3]))
    every, usual, above = parts
    assert (every.fold_houses, every.test_houses) == (3, 3)
    assert every.fold_dollars == pytest.approx((10e3 + 0 + 100e3) / 3)
    assert (usual.fold_dollars, usual.test_dollars) == pytest.approx((5_000, 10_000))
    assert (usual.fold_share, usual.test_share) == pytest.approx((0.05, 0.05))
    assert (above.fold_dollars, above.test_dollars, above.test_share) == pytest.approx((100e3, 400e3, 0.5))
    assert "| above $500,000 | 1 | $100,000, 16.7 % | 1 | $400,000, 50.0 % |" in folds_test_table([vars(above)])


def test_a_part_without_houses_has_no_error(evaluation_of):
    folds = OutOfFold(np.log([110e3]), (), np.array([100e3]))
    *_, above = on_test.folds_beside_test(folds, evaluation_of([200e3], [200e3]))
    assert (above.fold_houses, above.fold_dollars, above.test_share) == (0, 0, 0)


@pytest.mark.long
def test_models_are_compared_with_the_served_one_on_the_test_houses(trained, predictor):
    apart = on_test.differences_on_test(trained.split, predictor, trained.evaluation)
    paid, served = trained.split.test.prices, np.abs(trained.evaluation.predicted - trained.split.test.prices).mean()
    for name in trained.baselines:
        baseline = trained.baselines[name]["mean_absolute_error"].estimate
        assert apart[name].estimate == pytest.approx(baseline - served)
    alone = replace(predictor, linear_weight=1.0).price_and_interval(trained.split.test.records)[0]
    assert apart[LINEAR].estimate == pytest.approx(np.abs(alone - paid).mean() - served)


def test_other_folds_are_other_ways_to_deal_the_same_houses(trained, monkeypatch):
    """The stand-in says the number of a house's fold: other folds, other errors."""
    dealt = []

    def members(split, *_, **__):
        dealt.append(split.validation)
        log_prices = np.log(split.train.prices) + split.validation.mean()
        return [Candidate("blend", {}, OutOfFold(log_prices, (), split.train.prices))]

    monkeypatch.setattr(on_test, "cross_validate_members", members)
    errors = on_test.with_other_folds(trained.split, ModelSettings(), threads=1)
    assert len(errors) == len(dealt) == on_test.OTHER_FOLDS
    assert all(error > 0 for error in errors)
    assert len({tuple(folds) for folds in [trained.split.validation, *dealt]}) == on_test.OTHER_FOLDS + 1


def test_groups_of_houses_are_counted_inside_with_all_fields_and_with_ten(trained, predictor):
    evaluation, split = trained.evaluation, trained.split
    groups = on_test.held(evaluation, predictor, split.train)
    for by in ("price paid", "price predicted"):
        ours = [group for group in groups if group.by == by]
        assert sum(group.houses for group in ours) == len(split.test.prices)
        inside = sum(group.houses * group.full for group in ours) / len(split.test.prices)
        assert inside == pytest.approx(evaluation.metrics["interval_coverage"].estimate)
    assert [group.name for group in groups if group.by == "neighborhood"] == list(THIRDS)
    assert any(group.full != group.sparse for group in groups)


def test_a_grade_too_high_raises_prices_and_one_too_low_lowers_them(trained, predictor):
    off = on_test.quality_off_by_one(trained.evaluation, predictor)
    assert off["too low"]["change"] < 0 < off["too high"]["change"]
    assert all(found["median_error"] > 0 for found in off.values())


def test_sizes_are_of_the_files_that_are_saved(predictor, tmp_path):
    predictor.save(tmp_path)
    sizes = dict(on_test.sizes(predictor))
    assert sizes.pop("linear columns") == len(predictor.linear.coefficient)
    assert sizes == {path.name: path.stat().st_size for path in tmp_path.iterdir()}


def test_a_share_has_its_wilson_interval():
    assert share_with_interval(0.9, 100) == "90 % (83 to 94)"
