import pytest

from recommender.evaluation.diversity import diversity_curve


@pytest.mark.long
def test_the_curve_starts_at_what_was_measured(trained):
    points, evaluation = diversity_curve(trained.predictor, trained.evaluation), trained.evaluation
    assert points[0].ndcg.estimate == evaluation.metric("ndcg").estimate
    assert points[0].coverage == evaluation.coverage
    # At the end lists are less alike, and worse.
    assert points[-1].intra_list.estimate > points[0].intra_list.estimate
    assert points[-1].ndcg.estimate < points[0].ndcg.estimate
