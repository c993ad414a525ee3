from dataclasses import replace

import numpy as np
import pytest

from recommender.evaluation.figures import draw_reliability
from recommender.evaluation.reliability import HISTORY, LAST, NOTHING, calibration_error, measure_reliability
from recommender.models.prediction import Seen


def measure(trained, predictor):
    fitted, users = trained.candidates[trained.chosen].model, trained.evaluation.task.users
    return {each.histories: each for each in measure_reliability(predictor, fitted, trained.split, users)}


@pytest.fixture(scope="module")
def measured(trained):
    return measure(trained, trained.predictor)


def test_true_chances_have_no_error_and_moved_ones_have_what_they_were_moved():
    rng = np.random.default_rng(0)
    chance = rng.uniform(0.1, 0.5, size=(50_000, 4))
    hits = (rng.random(chance.shape) < chance).astype(float)
    assert calibration_error(chance, hits) < 0.004
    assert calibration_error(chance + 0.1, hits) == pytest.approx(0.1, abs=0.003)


@pytest.mark.long
def test_what_is_measured_is_what_the_predictor_states(trained, measured):
    """For people with ten hidden films; the stated mean is over everybody's first ten recommendations."""
    task, split = trained.evaluation.task, trained.split
    ids = [film.id for film in task.catalogue.films]
    hits, stated, long = [], [], split.test.user_counts()[task.users] >= 10
    for user in task.users[long]:
        items, stars = task.history(int(user))
        history = [Seen(ids[item], value) for item, value in zip(items.tolist(), stars.tolist(), strict=True)]
        prediction = trained.predictor.recommend(history)
        stated += [each.chance for each in prediction.recommendations]
        watched = {ids[item] for item in split.test.items[split.test.users == user][:10]}
        hits += [each.film.id in watched for each in prediction.recommendations]
    fitted = trained.candidates[trained.chosen].model
    whole, *_ = measure_reliability(trained.predictor, fitted, split, task.users[long])
    assert whole.chance == pytest.approx(np.mean(stated))
    assert whole.watched == pytest.approx(np.mean(hits))
    assert measured[HISTORY].users == len(task.users)


@pytest.mark.long
def test_the_chances_are_about_true_and_false_ones_are_found_out(trained, measured):
    assert list(measured) == [HISTORY, LAST, NOTHING]
    for each in measured.values():
        assert each.chance == pytest.approx(each.watched, abs=0.035)
        assert each.error.low <= each.error.estimate <= each.error.high < 0.05
        assert len(each.bins) == 10
        assert all(low <= watched <= high for _, watched, low, high in each.bins)
    assert measured[HISTORY].skill.estimate > 0
    boastful = replace(trained.predictor.chance, history=(3.0, *trained.predictor.chance.history[1:]))
    found = measure(trained, replace(trained.predictor, chance=boastful))[HISTORY]
    assert found.error.low > measured[HISTORY].error.high
    assert found.skill.high < measured[HISTORY].skill.low


def test_without_chances_there_is_nothing_to_measure(trained):
    with pytest.raises(ValueError, match="has no chances"):
        measure(trained, replace(trained.predictor, chance=None))


def test_the_figure_has_a_line_of_truth_and_every_kind(measured):
    (axes,) = draw_reliability([vars(each) for each in measured.values()]).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [HISTORY, LAST, NOTHING]
    assert axes.lines[0].get_xdata()[0] == axes.lines[0].get_ydata()[0] == 0
