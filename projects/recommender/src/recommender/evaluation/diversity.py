"""What lists are like as the option `diversity` rises from the best films to films unlike each other."""

from collections.abc import Callable
from dataclasses import dataclass

from portfolio_shared.evaluation.uncertainty import Interval
from recommender.evaluation.evaluate import Evaluation, measure, recommend_all
from recommender.models.predictor import Predictor

DIVERSITIES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)


@dataclass(frozen=True)
class DiversityPoint:
    """The lists of the test with one value of the option: their quality, variety, and reach into the catalogue."""

    diversity: float
    ndcg: Interval
    intra_list: Interval
    coverage: float


def diversity_curve(
    predictor: Predictor, evaluation: Evaluation, *, advance: Callable[[str], None] = lambda _: None
) -> list[DiversityPoint]:
    """Measure the predictor's lists for the users of an evaluation at each of `DIVERSITIES`."""
    points, task, k = [], evaluation.task, evaluation.k
    for diversity in DIVERSITIES:
        measured = measure(recommend_all(predictor, task, k=k, diversity=diversity), task, k=k)
        points.append(
            DiversityPoint(diversity, measured.metric("ndcg"), measured.metric("diversity"), measured.coverage)
        )
        advance(f"diversity {diversity:g}")
    return points
