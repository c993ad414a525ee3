"""Our predictor as other frameworks call it: what a request holds in, what its answer says out.

The project and the folder of the model come as BENCHMARK_PROJECT and BENCHMARK_BUNDLE.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

Answer = Callable[[Any], Any]
PROJECT = os.environ["BENCHMARK_PROJECT"]
BUNDLE = Path(os.environ["BENCHMARK_BUNDLE"])


def answerer() -> Answer:
    """Load the model and return what answers one request: a body that was JSON, or the bytes of a picture."""
    return {"housing": houses, "recommender": films, "image-classifier": pictures}[PROJECT](BUNDLE)


def houses(bundle: Path) -> Answer:
    """Return what prices ``{"houses": [...]}``."""
    from housing.models.predictor import Predictor
    from housing.serving.schemas import PredictionRequest

    predictor = Predictor.load(bundle)

    def answer(body: Any) -> Any:
        read = PredictionRequest.model_validate(body).houses
        return {
            "predictions": to_jsonable_python(
                predictor.predict([dict(each.model_dump(exclude_none=True)) for each in read])
            )
        }

    return answer


def films(bundle: Path) -> Answer:
    """Return what recommends films for ``{"history": [...], "k": 10}``."""
    from recommender.models.predictor import Predictor
    from recommender.serving.schemas import RecommendationRequest

    predictor = Predictor.load(bundle)

    def answer(body: Any) -> Any:
        read = RecommendationRequest.model_validate(body)
        recommended = predictor.recommend(read.history, k=read.k).recommendations
        return {
            "recommendations": [
                {"film_id": each.film.id, "name": each.film.name, "score": each.score}
                | {"reasons": [reason.film.name for reason in each.reasons]}
                for each in recommended
            ]
        }

    return answer


def pictures(bundle: Path) -> Answer:
    """Return what names the picture of a file's bytes."""
    from image_classifier.data.images import ImageLimits, prepare
    from image_classifier.models.predictor import Predictor

    predictor = Predictor.load(bundle)

    def answer(body: bytes) -> Any:
        (prediction,) = predictor.predict([prepare(body, predictor.preprocessing, limits=ImageLimits())])
        return dict(zip(predictor.labels, prediction.probabilities.tolist(), strict=True))

    return answer
