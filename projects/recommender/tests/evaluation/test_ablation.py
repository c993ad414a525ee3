from recommender.config import EaseSettings, ModelSettings
from recommender.evaluation.ablation import ablate, steps_of


def test_the_steps_lead_from_plain_ease_to_the_whole_model():
    settings = ModelSettings(ease=EaseSettings(rank=16, min_raters=2, penalty=20.0))
    steps = list(steps_of(settings).values())
    ease, history = steps[0]
    assert (ease.rank, ease.min_raters, ease.genre_weight) == (None, 1, 0)
    assert history.half_life_share == history.rating_slope == 0
    assert steps[6] == (settings.ease, settings.history)
    assert len(set(steps)) == len(steps)


def test_the_whole_model_is_what_was_compared(trained):
    """The step that changes nothing has the nDCG of the candidate on the same users."""
    called = []
    steps = {step.name: step for step in ablate(trained.split, trained.settings, advance=called.append)}
    assert called == list(steps)
    whole = steps[f"+ rank {trained.settings.ease.rank} (the whole model)"]
    candidate = trained.candidates["EASE with item features, recency-weighted"]
    assert whole.ndcg.estimate == candidate.metrics["ndcg"]
