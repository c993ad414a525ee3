"""The routes: what a row may be, and what is said of each field."""

import json
import math
from collections.abc import Iterator

import httpx
import pytest
from pydantic import ValidationError

from new_project.config import ServeSettings
from new_project.data.columns import schema
from new_project.serving.app import create_app
from new_project.serving.observe import WATCH, Truth, columns_of
from portfolio_shared.operations.store import LoggedPrediction


@pytest.fixture(scope="module")
def client(serving, small_model) -> Iterator[httpx.Client]:
    with serving(create_app(ServeSettings(bundle=small_model("new-project").bundle))) as client:
        yield client


def ask(client: httpx.Client, *items: object) -> httpx.Response:
    return client.post("/v1/predictions", json={"items": items})


def test_rows_are_answered_in_their_order_and_what_is_left_open_is_said(client):
    whole, empty = ask(client, schema().example, {}).json()["predictions"]
    assert whole["filled"] == []
    assert empty["filled"] == [column.name for column in schema().columns]
    for answer in (whole, empty):
        assert sum(answer["probabilities"].values()) == pytest.approx(1)
        assert answer["classes"][0] == answer["value"] == max(answer["probabilities"], key=answer["probabilities"].get)


@pytest.mark.parametrize(
    "item", [{"unheard": 1}, {"number": "12"}, {"number": True}, {"number": None, "unheard": None}, 3]
)
def test_what_is_no_row_is_refused(client, item):
    number = next(column.name for column in schema().columns if column.kind == "number")
    given = (
        {number if name == "number" else name: value for name, value in item.items()}
        if isinstance(item, dict)
        else item
    )
    assert ask(client, given).status_code == 422


def test_a_value_outside_of_the_data_is_answered_with_a_warning(client):
    number = next(column.name for column in schema().columns if column.kind == "number")
    (answer,) = ask(client, {number: 1e300}).json()["predictions"]
    assert number in answer["warnings"][0]


def test_every_field_is_described_with_a_value_to_start_from(client):
    described = client.get("/v1/fields").json()
    assert described["target"] == schema().target.label
    assert [field["name"] for field in described["fields"]] == [column.name for column in schema().columns]
    assert all(field["typical"] is not None for field in described["fields"])


def test_what_is_watched_of_a_logged_request_has_the_columns_of_the_reference(client, small_model):
    small = small_model("new-project")
    body = {"items": [schema().example]}
    answer = client.post("/v1/predictions", json=body).text
    logged = LoggedPrediction("1", 0.0, "new-project", "1", "/v1/predictions", "", 1, 1.0, json.dumps(body), answer)
    (columns,) = columns_of(logged)
    reference = small.module("serving.observe").reference(small.trained.predictor, small.trained.split)
    assert set(columns) == set(reference)
    found = json.loads(answer)["predictions"][0]
    measured = WATCH.measure(logged, 0, Truth(value=found["value"]))
    assert measured == {"log_loss": pytest.approx(-math.log(found["probability"])), "accuracy": 1.0, "coverage": 1.0}
    assert WATCH.doubt(logged, 0, Truth(value=found["value"])) is None
    with pytest.raises(ValidationError):
        Truth(value="no class")
