import json

import pytest
from pydantic import ValidationError

from housing.serving.schemas import EXAMPLE_REQUEST, MAX_HOUSES, PredictionRequest

EXAMPLE = json.loads(EXAMPLE_REQUEST.body)["houses"][0]


def test_a_misspelt_option_is_not_taken_for_a_missing_one():
    with pytest.raises(ValidationError, match="explian"):
        PredictionRequest.model_validate({"houses": [EXAMPLE], "explian": True})


@pytest.mark.parametrize(("n", "accepted"), [(0, False), (1, True), (MAX_HOUSES, True), (MAX_HOUSES + 1, False)])
def test_a_request_holds_one_to_a_thousand_houses(n, accepted):
    if accepted:
        assert len(PredictionRequest.model_validate({"houses": [EXAMPLE] * n}).houses) == n
    else:
        with pytest.raises(ValidationError, match="houses"):
            PredictionRequest.model_validate({"houses": [EXAMPLE] * n})


def test_the_requests_own_example_is_accepted():
    (example,) = PredictionRequest.model_json_schema()["properties"]["houses"]["examples"]
    request = PredictionRequest.model_validate({"houses": example})
    assert request.explain is False
