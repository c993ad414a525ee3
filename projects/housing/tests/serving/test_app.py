"""The service on a real model and real sockets: what it answers, what it refuses, and that it says what was meant."""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from housing.config import ServeSettings
from housing.data.columns import columns
from housing.data.house import EXAMPLE
from housing.data.load import Dataset
from housing.models.imputation import complete
from housing.models.predictor import Predictor
from housing.serving.app import create_app
from housing.serving.batch import predict_file
from housing.serving.schemas import MAX_HOUSES
from housing.train import Trained
from portfolio_shared.bundle import bundle_digest

Json = dict[str, Any]
Serving = Callable[[FastAPI], AbstractContextManager[httpx.Client]]
REQUIRED = [name for name, column in columns().items() if column.required]


@pytest.fixture(scope="module")
def service(serving: Serving, bundle: Path) -> Iterator[httpx.Client]:
    with serving(create_app(ServeSettings(bundle=bundle))) as client:
        yield client


@pytest.fixture(scope="module")
def test_houses(trained: Trained) -> list[Json]:
    """Return the records of the test split as a client would send them: what is unknown is left out."""
    return [
        {name: value for name, value in record.items() if value is not None} for record in trained.split.test.records
    ]


def ask(service: httpx.Client, houses: list[Json], *, explain: bool = False) -> list[Json]:
    response = service.post("/v1/predictions", json={"houses": houses, "explain": explain})
    assert response.status_code == 200, response.text
    predictions: list[Json] = response.json()["predictions"]
    return predictions


def refused(service: httpx.Client, houses: list[Json]) -> list[Json]:
    response = service.post("/v1/predictions", json={"houses": houses})
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"
    errors: list[Json] = response.json()["errors"]
    return errors


# What is served is what was evaluated


@pytest.mark.parametrize("explain", [False, True])
def test_the_service_answers_what_the_predictor_says(
    service: httpx.Client, predictor: Predictor, trained: Trained, test_houses: list[Json], explain: bool
) -> None:
    offline = predictor.predict(trained.split.test.records, explain=explain)

    served = ask(service, test_houses, explain=explain)

    assert len(served) == len(trained.split.test.records) > 100
    assert served == [asdict(house) for house in offline]


def test_every_response_names_its_model_and_its_request(service: httpx.Client, bundle: Path) -> None:
    response = service.post("/v1/predictions", json={"houses": [EXAMPLE]}, headers={"X-Request-ID": "house-1"})

    body = response.json()
    assert list(body) == ["id", "model", "predictions"]
    assert UUID(body["id"]).version == 7
    assert response.headers["x-request-id"] == "house-1"
    assert body["model"] == {"name": "housing", "version": bundle_digest(bundle)[:12]}
    assert set(body["predictions"][0]) == {"price", "interval", "filled", "warnings", "explanation", "repaired"}


def test_what_contradicts_itself_is_put_right_and_told(service: httpx.Client) -> None:
    (repaired, plain) = ask(service, [EXAMPLE | {"year_remod_add": 1999}, EXAMPLE | {"year_remod_add": 2003}])

    rule = "remodeled before it was built: remodeled when built"
    assert repaired.pop("repaired") == [{"field": "year_remod_add", "given": 1999, "value": 2003, "rule": rule}]
    assert plain.pop("repaired") == []
    assert repaired == plain


@pytest.mark.long
def test_all_sales_have_the_prices_of_a_file_of_them(
    service: httpx.Client, predictor: Predictor, dataset: Dataset, tmp_path: Path
) -> None:
    """To the last cent: what is unknown is null here, and an empty cell there."""
    records = dataset.sales.records
    sparse = [{name: record[name] for name in REQUIRED} for record in records[::10]]
    for houses in (records, sparse):
        source, target = tmp_path / "houses.csv", tmp_path / "prices.csv"
        with source.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(houses[0]))
            writer.writeheader()
            writer.writerows(houses)
        predict_file(source, target, predictor)
        with target.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        parts = (houses[start : start + MAX_HOUSES] for start in range(0, len(houses), MAX_HOUSES))
        served = [house for part in parts for house in ask(service, part)]
        prices = [(house["price"], house["interval"]["low"], house["interval"]["high"]) for house in served]
        assert [(float(row["price"]), float(row["low"]), float(row["high"])) for row in rows] == prices
        assert [int(row["filled"]) for row in rows] == [len(house["filled"]) for house in served]


# Refusals: field, value and bound


@pytest.mark.parametrize(
    ("change", "field", "value", "bound"),
    [
        ({"overall_qual": 11}, "overall_qual", 11, {"le": 10}),
        ({"gr_liv_area": -1}, "gr_liv_area", -1, {"ge": 100}),
        # Across fields: built after sold, floors larger than the house.
        ({"year_built": 2009, "yr_sold": 2007}, "year_built", 2009, {"le": 2008}),
        ({"first_flr_sf": 1000, "second_flr_sf": 900}, "first_flr_sf", 1000, {"le": 810.5}),
    ],
)
def test_an_impossible_value_is_named_with_its_bound(
    service: httpx.Client, change: Json, field: str, value: float, bound: Json
) -> None:
    errors = refused(service, [EXAMPLE, EXAMPLE | change])

    by_field = {error["field"]: error for error in errors}
    assert set(by_field) >= {f"houses.1.{field}"}
    assert all(error["field"].startswith("houses.1.") for error in errors)
    error = by_field[f"houses.1.{field}"]
    assert (error["value"], error["bound"]) == (value, bound)
    assert error["message"]


def test_an_unknown_code_and_an_unknown_field_are_named(service: httpx.Client) -> None:
    (error, misspelt) = refused(service, [EXAMPLE | {"neighborhood": "Atlantis", "overal_qual": 7}])

    assert (error["field"], error["value"]) == ("houses.0.neighborhood", "Atlantis")
    assert "'Blmngtn'" in error["bound"]["expected"]
    assert "'Veenker'" in error["message"]
    assert (misspelt["field"], misspelt["value"]) == ("houses.0.overal_qual", 7)
    response = service.post("/v1/predictions", json={"houses": [EXAMPLE], "explian": True})
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "explian"


def test_a_required_field_cannot_be_left_out(service: httpx.Client) -> None:
    house = {field: value for field, value in EXAMPLE.items() if field != "lot_area"}
    for error in refused(service, [house, house | {"lot_area": None}]):
        assert (error["field"][-9:], error["value"]) == (".lot_area", None)


@pytest.mark.parametrize("value", ["large", [], {}, 7.5, True])
def test_what_is_no_whole_number_is_refused(service: httpx.Client, value: object) -> None:
    (error,) = refused(service, [EXAMPLE | {"overall_qual": value}])

    assert error["field"] == "houses.0.overall_qual"
    assert error["value"] == (value if isinstance(value, str | float | bool) else str(value))


def test_null_counts_as_left_out_where_a_field_is_optional(service: httpx.Client) -> None:
    optional = dict.fromkeys(set(columns()) - set(REQUIRED))

    (given, left_out) = ask(service, [EXAMPLE | optional, EXAMPLE])

    assert given == left_out


@pytest.mark.parametrize(("literal", "status"), [("NaN", 400), ("Infinity", 400), ("-Infinity", 400), ("1e999", 422)])
def test_a_number_that_is_none_is_refused(service: httpx.Client, literal: str, status: int) -> None:
    body = json.dumps({"houses": [EXAMPLE | {"gr_liv_area": "?"}]}).replace('"?"', literal)

    response = service.post("/v1/predictions", content=body, headers={"Content-Type": "application/json"})

    assert response.status_code == status
    answer = response.json()
    assert "not valid JSON" in answer["detail"] if status == 400 else answer["errors"][0]["value"] == "inf"


@pytest.mark.parametrize(
    ("count", "bound"), [(0, {"min_length": 1}), (MAX_HOUSES + 1, {"max_length": MAX_HOUSES})], ids=["none", "too many"]
)
def test_the_number_of_houses_is_bounded(service: httpx.Client, count: int, bound: Json) -> None:
    (error,) = refused(service, [EXAMPLE] * count)

    assert error["field"] == "houses"
    assert error["bound"].items() >= bound.items()
    assert error["bound"]["actual_length"] == count


def test_a_refusal_lists_every_error_at_once(service: httpx.Client) -> None:
    errors = refused(service, [EXAMPLE | {"overall_qual": 11, "color": "red"}, EXAMPLE, EXAMPLE | {"lot_area": 1}])

    assert {error["field"] for error in errors} == {
        "houses.0.overall_qual",
        "houses.0.color",
        "houses.2.lot_area",
    }


# A form can be made from /v1/fields


@pytest.fixture(scope="module")
def fields(service: httpx.Client) -> dict[str, Json]:
    listed: list[Json] = service.get("/v1/fields").json()["fields"]
    assert [field["required"] for field in listed] == sorted((field["required"] for field in listed), reverse=True)
    assert len({field["name"] for field in listed}) == len(listed)
    return {field["name"]: field for field in listed}


def test_every_field_of_the_request_is_described_and_no_other(service: httpx.Client, fields: dict[str, Json]) -> None:
    house = service.get("/openapi.json").json()["components"]["schemas"]["House"]

    assert set(fields) == set(house["properties"])
    assert sorted(name for name in fields if fields[name]["required"]) == sorted(house["required"])
    assert house["additionalProperties"] is False


def test_kinds_bounds_and_choices_are_those_of_the_request(service: httpx.Client, fields: dict[str, Json]) -> None:
    properties = service.get("/openapi.json").json()["components"]["schemas"]["House"]["properties"]

    for name, field in fields.items():
        schema = properties[name].get("anyOf", [properties[name]])[0]
        if field["choices"]:
            assert field["kind"] in ("category", "ordinal")
            assert [choice["code"] for choice in field["choices"]] == schema["enum"]
            assert all(choice["label"] for choice in field["choices"])
        else:
            assert field["kind"] == schema["type"]
            assert (field["minimum"], field["maximum"]) == (schema["minimum"], schema["maximum"])
        assert field["label"]
        assert field["group"]


def test_a_form_that_starts_with_the_typical_values_starts_with_a_price(
    service: httpx.Client, fields: dict[str, Json]
) -> None:
    typical = {name: field["typical"] for name, field in fields.items()}
    start = {name: typical[name] for name in REQUIRED}

    (house, *_) = ask(service, [start, *(start | {name: typical[name]} for name in typical)])

    assert house["warnings"] == []


# The rest of the service


def test_the_documentation_shows_the_bounds_and_an_example_that_works(service: httpx.Client) -> None:
    schemas = service.get("/openapi.json").json()["components"]["schemas"]

    area = schemas["House"]["properties"]["gr_liv_area"]
    assert (area["minimum"], area["maximum"]) == (100, 15000)
    assert "sq ft" in area["description"]
    (example,) = schemas["PredictionRequest"]["properties"]["houses"]["examples"]
    assert ask(service, example)


def test_a_thousand_houses_are_one_request(service: httpx.Client, predictor: Predictor) -> None:
    houses: list[Json] = [EXAMPLE | {"gr_liv_area": 1000 + i, "total_bsmt_sf": 500} for i in range(MAX_HOUSES)]

    served = ask(service, houses)

    assert [house["price"] for house in served] == [house.price for house in predictor.predict(houses)]
    assert len({house["price"] for house in served}) > 300  # not one answer a thousand times


def test_a_thousand_houses_with_every_field_fit_into_the_default_limits(
    service: httpx.Client, predictor: Predictor
) -> None:
    full = complete(EXAMPLE, predictor.typical)[0]

    served = ask(service, [full] * MAX_HOUSES, explain=True)

    assert len(served) == MAX_HOUSES
    assert served[0] == served[-1]


def test_a_service_without_a_model_says_so_everywhere_but_on_its_page(serving: Serving, tmp_path: Path) -> None:
    with serving(create_app(ServeSettings(bundle=tmp_path))) as service:
        answers = {path: service.get(path) for path in ("/healthz", "/", "/readyz", "/v1/model", "/v1/fields")}
        answers["predictions"] = service.post("/v1/predictions", json={"houses": [EXAMPLE]})

    assert [answers.pop(path).status_code for path in ("/healthz", "/")] == [200, 200]
    for answer in answers.values():
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert "bundle.json" in answer.json()["detail"]
