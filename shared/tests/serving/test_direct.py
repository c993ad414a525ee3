"""What is answered without FastAPI's stack, and that nobody can tell it from an answer of FastAPI."""

import pytest
from demo_service import DemoSettings, HousesRequest, assert_problem, create_app, house, router, serving
from fastapi.routing import iter_route_contexts

from portfolio_shared.serving.direct import direct
from portfolio_shared.serving.routes import StrictRoute

JSON = "application/json"
BY_FASTAPI = f"{JSON}; charset=utf-8"


def test_routes_of_a_body_the_request_and_the_model_need_no_more(models, web):
    app = create_app(DemoSettings(prediction_log="off"), models, web)
    routes = [route for route in iter_route_contexts(app.routes) if isinstance(route.original_route, StrictRoute)]
    plain = {route.path for route in routes if direct(app, route) is not None}
    assert plain == {"/v1/prices", "/readyz", "/v1/model"}
    assert len(routes) > len(plain)


@pytest.mark.parametrize(
    "body",
    [
        {"houses": [house()]},
        {"houses": [house(year_built=1700)]},
        {"houses": [house(area=10_000)]},
        {"houses": {}},
        [],
        None,
    ],
    ids=["answered", "bound", "rule", "type", "no object", "null"],
)
@pytest.mark.parametrize("missing", ["", "no model yet"], ids=["", "without a model"])
def test_an_answer_is_that_of_fastapi(client, models, body, missing):
    models.missing = missing
    answers = [client.post("/v1/prices", json=body, headers={"Content-Type": each}) for each in (JSON, BY_FASTAPI)]
    own, theirs = ({**answer.json(), "id": "", "instance": ""} for answer in answers)
    assert own == theirs
    own_headers, their_headers = (dict(answer.headers) | {"x-request-id": "", "date": ""} for answer in answers)
    assert (answers[0].status_code, own_headers) == (answers[1].status_code, their_headers)


def test_an_answer_of_another_type_than_promised_is_a_failure(models, web, monkeypatch, caplog):
    async def wrong(body: HousesRequest) -> str:
        return f"no prices of {len(body.houses)}"

    (route,) = (route for route in router.routes if route.path == "/v1/prices")
    monkeypatch.setattr(route, "endpoint", wrong)
    with serving(create_app(DemoSettings(prediction_log="off"), models, web)) as client:
        assert_problem(client.post("/v1/prices", json={"houses": [house()]}), 500)
    assert "/v1/prices promises PricesResponse, not str" in caplog.text
