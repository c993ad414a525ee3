"""Answers that are joined from prepared JSON: to the byte what the schemas would write."""

import pytest

from recommender.data.catalogue import Filters
from recommender.models.prediction import Seen
from recommender.models.predictor import Predictor
from recommender.serving import app
from recommender.serving.answers import answer_of
from recommender.serving.schemas import RecommendationRequest, Result


@pytest.mark.parametrize(
    "options", [{"k": 50}, {"n_reasons": 0}, {"diversity": 0.5}, {"filters": Filters(year_to=1880)}]
)
def test_an_answer_is_written_as_its_schema_writes_it(
    predictor: Predictor, histories: list[list[Seen]], options: dict[str, object]
) -> None:
    for history in [*histories, [], [Seen(2**31 - 1)]]:
        written = b"{%b}" % answer_of(predictor.recommend(history, **options)).fields()  # type: ignore[arg-type]

        assert Result.model_validate_json(written).model_dump_json().encode() == written


@pytest.mark.parametrize(("changed", "quick"), [({}, True), ({"diversity": 0.1}, False), ({"k": 2501}, False)])
def test_what_may_take_long_is_not_computed_on_the_event_loop(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch, changed: dict[str, float], quick: bool
) -> None:
    body = RecommendationRequest.model_validate({"history": [{"film_id": 1}, {"film_id": 2}], **changed})

    assert app.is_quick(predictor, body) is quick
    monkeypatch.setattr(app, "QUICK_FACTORS", 0)
    assert not app.is_quick(predictor, body)
