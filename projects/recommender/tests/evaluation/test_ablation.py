from dataclasses import replace

import numpy as np
import pytest

from recommender.config import EaseSettings, ModelSettings
from recommender.evaluation.ablation import ablate, measure_alike, measure_fading, steps_of
from recommender.evaluation.evaluate import accuracy, recommend_all
from recommender.models.fit import ALS_RECENT


def test_the_steps_lead_from_plain_ease_to_the_whole_model():
    settings = ModelSettings(ease=EaseSettings(rank=16, min_raters=2, penalty=20.0))
    steps = list(steps_of(settings).values())
    ease, history = steps[0]
    assert (ease.rank, ease.min_raters, ease.genre_weight) == (None, 1, 0)
    assert history.half_life_share == history.rating_slope == 0
    assert steps[6] == (settings.ease, settings.history)
    assert len(set(steps)) == len(steps)


@pytest.mark.long
def test_the_whole_model_is_what_was_compared(trained):
    """The step that changes nothing has the nDCG of the candidate on the same users."""
    called = []
    steps = {step.name: step for step in ablate(trained.split, trained.settings, advance=called.append)}
    assert called == list(steps)
    whole = steps[f"+ rank {trained.settings.ease.rank} (the whole model)"]
    candidate = trained.candidates["EASE with item features, recency-weighted"]
    assert whole.ndcg.estimate == candidate.metrics["ndcg"]


def test_what_fading_is_worth_is_the_mean_difference_of_the_same_people(trained):
    measured = measure_fading(trained.predictor, trained.evaluation)
    even = replace(trained.predictor, weigh=replace(trained.predictor.weigh, half_life_share=0.0))
    task = trained.evaluation.task
    ndcg = accuracy(recommend_all(even, task), task, k=trained.evaluation.k)["ndcg"]
    assert measured.fading == trained.evaluation.metric("ndcg")
    assert measured.even.estimate == pytest.approx(np.mean(ndcg))
    assert measured.difference.estimate == pytest.approx(measured.fading.estimate - measured.even.estimate)
    assert measured.difference.low < measured.difference.estimate < measured.difference.high
    # Of a model that fades nothing, nothing is taken away.
    flat = measure_fading(even, replace(trained.evaluation, per_user={"ndcg": ndcg}))
    assert tuple(flat.difference) == (0, 0, 0)


def test_ease_without_what_als_has_not_differs_by_genres_and_years_alone(trained):
    """With settings that have no genres and years, it is the served model, and leads by as much."""
    ease = trained.settings.ease.model_copy(update={"genre_weight": 0.0, "year_weight": 0.0})
    measured = measure_alike(trained.evaluation, trained.settings)
    assert measured == measure_alike(trained.evaluation, trained.settings.model_copy(update={"ease": ease}))
    rival = trained.evaluation.baselines[ALS_RECENT].metric("ndcg")
    assert measured.lead.estimate == pytest.approx(measured.ndcg.estimate - rival.estimate)
    assert measured.ndcg != trained.evaluation.metric("ndcg")
