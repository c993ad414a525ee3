"""An answer that is joined from written parts has the bytes that pydantic would write."""

from typing import Any

import numpy as np
import pytest

from housing.data.columns import columns
from housing.data.house import EXAMPLE, House
from housing.models.predictor import Predictor
from housing.serving.app import price
from housing.serving.schemas import PredictionResponse, to_json
from portfolio_shared.serving.schemas import ModelName


@pytest.mark.parametrize("explain", [False, True])
def test_an_answer_has_the_bytes_that_pydantic_writes(
    predictor: Predictor, dataset: Any, monkeypatch: pytest.MonkeyPatch, explain: bool
) -> None:
    monkeypatch.setattr("housing.models.imputation.MOST_KEPT", 5)  # kept patterns are thrown away
    drawn = np.random.default_rng(0)
    records = [{name: value for name, value in record.items() if value is not None} for record in dataset.sales.records]
    houses = [dict(EXAMPLE), records[0], EXAMPLE | {"neighborhood": "names", "garage_cars": 0, "lot_area": 200_000}]
    houses += [
        {name: value for name, value in record.items() if columns()[name].required or drawn.random() < 0.5}
        for record in records[:: len(records) // 20]
    ]
    read = [House.model_validate(house) for house in houses]
    for asked in (read, *([house] for house in read)):
        answer = PredictionResponse(
            id="1", model=ModelName(name="housing", version="2"), predictions=price(predictor, asked, explain=explain)
        )
        assert to_json(answer).decode() == answer.model_dump_json()
