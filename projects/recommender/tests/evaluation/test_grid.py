"""Rank and penalty are chosen on what is hidden, within a budget, and never above privacy's limit."""

from dataclasses import replace

import numpy as np
import pytest

from recommender.config import EaseSettings, HistorySettings, ModelSettings
from recommender.data.load import split
from recommender.evaluation import grid as module
from recommender.evaluation.grid import choose_rank_and_penalty, lists_together, pick, points, weighed_histories
from recommender.evaluation.task import lists_for, make_task
from recommender.models.fit import decompose_full, fit_full
from recommender.models.history_weights import HistoryWeights

SETTINGS = ModelSettings(ease=EaseSettings(rank=64, min_raters=3, penalty=100.0))
WEIGH = HistoryWeights(**SETTINGS.history.model_dump())


@pytest.fixture(scope="module")
def task(sample):
    parts = split(sample)
    return make_task(parts.train, parts.validation, parts.catalogue)


@pytest.fixture(scope="module")
def directions(task):
    return decompose_full(task.before.matrix(), task.catalogue, SETTINGS.ease)


def test_the_grid_begins_with_the_settings_in_use_and_has_no_higher_rank():
    planned = points(EaseSettings(rank=256, penalty=300.0), 400)
    assert planned[0] == (256, 300.0)
    assert {rank for rank, _ in planned} == {256, 128, 64}
    assert {penalty for _, penalty in planned} == {100, 200, 300, 500, 800}
    assert {rank for rank, _ in points(EaseSettings(rank=256), 90)} == {256, 45, 22}
    assert {rank for rank, _ in points(EaseSettings(rank=None), 90)} == {None, 45, 22}


def test_one_decomposition_is_every_fit(task, directions):
    ease = SETTINGS.ease.model_copy(update={"rank": 16, "penalty": 30.0})
    np.testing.assert_allclose(
        np.abs(directions.at(penalty=30.0, rank=16).factors),
        np.abs(fit_full(task.before.matrix(), task.catalogue, ease).factors),
        atol=1e-6,
    )


def test_lists_of_many_are_those_of_each(task, directions):
    model = directions.at(penalty=100.0, rank=64)
    together = lists_together(model, weighed_histories(task, WEIGH), k=10)
    assert len(task.users) > module.AT_ONCE
    alone = lists_for(model, task, k=10, weigh=WEIGH)
    assert (together == alone).mean() > 0.999  # nearly equal scores may change places
    np.testing.assert_array_equal(np.sort(together[:, 0]), np.sort(alone[:, 0]))


def test_a_trial_scores_what_the_candidate_scores(trained):
    """The settings that are gone on with have the nDCG of the candidate that was compared with them."""
    grid = trained.details["grid"]
    (chosen,) = (
        trial for trial in grid["trials"] if (trial["rank"], trial["penalty"]) == tuple(grid["chosen"].values())
    )
    candidate = trained.candidates["EASE with item features, recency-weighted"]
    assert chosen["ndcg"] == pytest.approx(candidate.metrics["ndcg"], abs=1e-3)
    assert grid["chosen"] == trained.settings.ease.model_dump(include={"rank", "penalty"})
    assert grid["read_completely"] == 0
    assert len(grid["trials"]) == grid["planned"] == 15


def test_without_a_budget_the_settings_stay_and_it_is_said(task):
    grid = choose_rank_and_penalty([task], SETTINGS, budget=0)
    assert grid.settings == SETTINGS
    assert len(grid.trials) == 1
    assert "1 of 15 tried, then 0 CPU seconds were spent (--grid-seconds)" in grid.why


@pytest.mark.long
def test_only_rank_and_penalty_change(task):
    flat = SETTINGS.model_copy(update={"history": HistorySettings(half_life_share=0, rating_slope=0)})
    grid = choose_rank_and_penalty([task, task], flat)
    ease = flat.ease.model_copy(update=grid.settings.ease.model_dump(include={"rank", "penalty"}))
    assert grid.settings == flat.model_copy(update={"ease": ease})
    once = choose_rank_and_penalty([task], flat)
    assert [trial.ndcg for trial in grid.trials] == pytest.approx([trial.ndcg for trial in once.trials])


NOISE = np.random.default_rng(0).normal(0, 0.1, size=400)
NOISE -= NOISE.mean()


def scores(**means: float) -> dict[tuple[int, float], np.ndarray]:
    """nDCG of 400 people at penalties of rank 64; the standard error of a difference from the best is 0.01."""
    return {
        (64, float(name[1:])): np.full(400, mean) + (0 if mean == max(means.values()) else 2 * NOISE)
        for name, mean in means.items()
    }


@pytest.mark.parametrize(
    ("measured", "chosen"),
    [
        (scores(p300=0.50, p500=0.505, p200=0.40), 300),  # within an error of the best: nothing changes
        (scores(p300=0.50, p500=0.53, p200=0.40), 500),
        (scores(p300=0.50, p500=0.545, p200=0.40, p800=0.55), 500),  # as good as the best, and nearer
        (scores(p300=0.50, p500=0.545, p200=0.55), 200),  # 500 is as good, but lies on the other side
    ],
)
def test_the_first_on_the_way_to_the_best_is_taken(task, directions, monkeypatch, measured, chosen):
    monkeypatch.setattr(module, "read_back", lambda *_, **__: np.zeros(5))
    assert pick(measured, directions, task, seed=0) == ((64, float(chosen)), 0.0)


def test_a_model_that_gives_a_history_away_is_not_taken(task, directions, monkeypatch):
    only = choose_rank_and_penalty([task], SETTINGS, budget=0)
    measured = scores(p300=0.50, p500=0.60, p800=0.40)
    shares = {300.0: [0.5, 1.0], 500.0: [1.0, 1.0], 800.0: [0.9, 0.9]}
    monkeypatch.setattr(module, "read_back", lambda model, *_, **__: np.array(model))
    fake = type("Fake", (), {"at": lambda self, *, penalty, rank: shares[penalty]})()
    assert pick(measured, fake, task, seed=0) == ((64, 800.0), 0.0)
    shares[800.0] = [1.0, 1.0]
    assert pick(measured, fake, task, seed=0) == ((64, 300.0), 0.5)
    assert "50.0% of the histories can be read back completely" in replace(only, read_completely=0.5).why
