"""The app in process, and the demo project that test_serving_server.py runs for real."""

import asyncio
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
import uvicorn
from fastapi import APIRouter, FastAPI, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import SettingsConfigDict

from portfolio_shared.bundle import DataInfo, Manifest, MetricValue
from portfolio_shared.serving.answers import ModelName
from portfolio_shared.serving.app import create_service
from portfolio_shared.serving.models import LoadedModel, ModelHolder, ModelNotReady
from portfolio_shared.serving.pool import pool_of, request_id_of
from portfolio_shared.serving.problems import FieldError, unprocessable
from portfolio_shared.serving.routes import StrictRoute
from portfolio_shared.serving.settings import ServiceSettings

PAGE = "<!doctype html><title>demo</title><p>hello</p>"
release = threading.Event()  # ends the work of /v1/held


class DemoSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="DEMO_")
    port: int = 0
    model_name: str = "demo"


class House(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    area: float = Field(gt=0)
    year_built: int = Field(ge=1872, le=2030)


class HousesRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    houses: Annotated[list[House], Field(min_length=1, max_length=1000)]


class PricesResponse(BaseModel):
    id: str
    model: ModelName
    prices: list[float]


Predict = Callable[[list[float]], list[float]]


def predict(areas: list[float]) -> list[float]:
    return [area * 100 for area in areas]


MANIFEST = Manifest(
    project="demo",
    created=datetime(2026, 1, 2, tzinfo=UTC),
    git_commit="c0ffee",
    data=DataInfo(source="sample", name="demo", sha256="a" * 64, rows={"train": 3}, test_split_sha256="b" * 64),
    config={},
    metrics={"mean_absolute_error": MetricValue(estimate=1.5, low=1.0, high=2.0)},
    baselines={},
    input_schema={},
    input_statistics={},
)


class FakeHolder(ModelHolder[Predict]):
    """A holder without a registry, whose model can be taken away. Its own state is all it has."""

    def __init__(self) -> None:
        self.loaded: LoadedModel[Predict] = LoadedModel(
            predictor=predict,
            manifest=MANIFEST,
            name="demo",
            version="7",
            run_id=None,
            origin="path",
            loaded_at=datetime(2026, 1, 3, tzinfo=UTC),
        )
        self.swaps = 1
        self.refused_bundles = 0
        self.refreshes = 0
        self.watching = False
        self.watch_error: Exception | None = None
        self.missing = ""

    def current(self) -> LoadedModel[Predict]:
        if self.missing:
            raise ModelNotReady(self.missing)
        return self.loaded

    def refresh(self) -> bool:
        self.refreshes += 1
        return True

    async def watch(self) -> None:
        if self.watch_error:
            raise self.watch_error
        self.watching = True
        try:
            await asyncio.Event().wait()
        finally:
            self.watching = False


def demo_router(models: FakeHolder) -> APIRouter:
    router = APIRouter(prefix="/v1", route_class=StrictRoute)

    @router.post("/prices")
    async def prices(body: HousesRequest, request: Request) -> PricesResponse:
        loaded = models.current()
        if rule := [
            FieldError(field=f"houses.{i}.area", value=house.area, message="Too large", bound={"le": 9999})
            for i, house in enumerate(body.houses)
            if house.area > 9999
        ]:
            raise unprocessable(rule)
        values = await pool_of(request).run(loaded.predictor, [house.area for house in body.houses])
        model = ModelName(name=loaded.name, version=loaded.version)
        return PricesResponse(id=request_id_of(request), model=model, prices=values)

    @router.post("/slow")
    async def slow(request: Request, seconds: float = 0.0) -> dict[str, str]:
        await pool_of(request).run(time.sleep, seconds)
        return {"slept": "well"}

    @router.post("/held")
    async def held(request: Request) -> dict[str, bool]:
        return {"released": await pool_of(request).run(release.wait, 20.0)}

    @router.post("/raw")
    async def raw(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    @router.get("/users/{user_id}")
    async def user(user_id: int) -> dict[str, int]:
        if user_id == 404:
            raise HTTPException(404, "no user 404 in this model")
        return {"user_id": user_id}

    @router.delete("/users/{user_id}")
    async def forget(user_id: int) -> None: ...

    @router.get("/broken")
    async def broken() -> dict[str, str]:
        return {"text": {"a": "b"}["internal detail"]}

    return router


def create_app(settings: DemoSettings, models: FakeHolder | None = None, web: Path | None = None) -> FastAPI:
    holder = models or FakeHolder()
    folder = web or settings.model_cache  # the demo has no models to keep, so its page may live there
    return create_service(
        title="Demo <service>",
        description="For tests.",
        settings=settings,
        models=holder,
        web=folder,
        router=demo_router(holder),
    )


@contextmanager
def serving(app: FastAPI) -> Iterator[httpx.Client]:
    """Run the app under uvicorn in a thread: real sockets, real chunks, real HEAD."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False, lifespan="on", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        eventually(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


def eventually(condition: Callable[[], object]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("the condition did not become true within 10 s")


@pytest.fixture
def models() -> FakeHolder:
    return FakeHolder()


@pytest.fixture
def web(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "page.js").write_text("// nothing\n")
    return tmp_path


@pytest.fixture
def client(models: FakeHolder, web: Path) -> Iterator[httpx.Client]:
    settings = DemoSettings(max_body_bytes=2000, request_timeout_seconds=0.3, max_concurrent_requests=3)
    with serving(create_app(settings, models, web)) as client:
        yield client


def assert_problem(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["type"] == "about:blank"
    assert problem["status"] == status
    assert problem["instance"] == response.headers["x-request-id"]
    assert problem["detail"]
    assert "Traceback" not in response.text
    return problem


def house(**changes: object) -> dict[str, object]:
    return {"area": 120.0, "year_built": 1990} | changes


# Predictions


def test_prediction_carries_id_and_model(client: httpx.Client) -> None:
    response = client.post("/v1/prices", json={"houses": [house()]}, headers={"X-Request-ID": "order-1.a_B"})
    assert response.json() == {"id": "order-1.a_B", "model": {"name": "demo", "version": "7"}, "prices": [12000.0]}
    assert response.headers["x-request-id"] == "order-1.a_B"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "<script>", "a\u00e9", 'a"b'])
def test_request_id_that_could_harm_a_log_is_replaced(client: httpx.Client, sent: str) -> None:
    response = client.get("/healthz", headers=[(b"X-Request-ID", sent.encode())])
    assert response.headers["x-request-id"] != sent
    assert len(bytes.fromhex(response.headers["x-request-id"])) == 16


def test_longest_request_id_is_kept(client: httpx.Client) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": "x" * 128}).headers["x-request-id"] == "x" * 128


# Refused values


def test_bound_field_and_value_are_named(client: httpx.Client) -> None:
    problem = assert_problem(client.post("/v1/prices", json={"houses": [house(), house(year_built=1700)]}), 422)
    assert problem["title"] == "Unprocessable Content"
    assert problem["errors"] == [
        {
            "field": "houses.1.year_built",
            "value": 1700,
            "message": "Input should be greater than or equal to 1872",
            "bound": {"ge": 1872},
        }
    ]
    assert "houses.1.year_built" in problem["detail"]


def test_business_rule_has_the_same_shape(client: httpx.Client) -> None:
    problem = assert_problem(client.post("/v1/prices", json={"houses": [house(area=10_000)]}), 422)
    assert problem["errors"] == [
        {"field": "houses.0.area", "value": 10_000.0, "message": "Too large", "bound": {"le": 9999}}
    ]


def test_missing_field_has_no_value_and_does_not_echo_its_parent(client: httpx.Client) -> None:
    problem = assert_problem(client.post("/v1/prices", json={"houses": [{"area": 5}]}), 422)
    assert problem["errors"][0]["field"] == "houses.0.year_built"
    assert problem["errors"][0]["value"] is None


def test_unknown_field_is_refused_and_long_values_are_cut(client: httpx.Client) -> None:
    problem = assert_problem(client.post("/v1/prices", json={"houses": [house(colour="r" * 500)]}), 422)
    assert problem["errors"][0]["field"] == "houses.0.colour"
    assert len(problem["errors"][0]["value"]) == 100


def test_many_errors_are_counted_but_not_all_listed(client: httpx.Client) -> None:
    problem = assert_problem(client.post("/v1/prices", json={"houses": [{}] * 40}), 422)
    assert problem["detail"].startswith("80 values are refused (the first 50 are listed).")
    assert len(problem["errors"]) == 50


def test_path_parameter(client: httpx.Client) -> None:
    problem = assert_problem(client.get("/v1/users/anna"), 422)
    assert problem["errors"][0]["field"] == "user_id"
    assert problem["errors"][0]["value"] == "anna"


def test_empty_body_is_named(client: httpx.Client) -> None:
    problem = assert_problem(client.post("/v1/prices", headers={"Content-Type": "application/json"}), 422)
    assert problem["errors"][0]["field"] == "body"


def post_text(client: httpx.Client, body: bytes, content_type: str = "application/json") -> httpx.Response:
    return client.post("/v1/prices", content=body, headers={"Content-Type": content_type})


@pytest.mark.parametrize(
    "body",
    [
        b'{"houses": [{"area": NaN, "year_built": 1990}]}',
        b'{"houses": [{"area": Infinity, "year_built": 1990}]}',
        b'{"houses": [{"area": -Infinity, "year_built": 1990}]}',
        b'{"houses": [',
        b"\xff\xfe",
        b'"\\ud800"',
        b"[" * 1500,
        b'{"houses": ' + b"9" * 1900 + b"x}",
    ],
)
def test_what_is_not_json_is_400_with_the_place(client: httpx.Client, body: bytes) -> None:
    problem = assert_problem(post_text(client, body), 400)
    assert "line 1 column" in problem["detail"]


def test_number_that_overflows_to_infinity_is_refused(client: httpx.Client) -> None:
    problem = assert_problem(post_text(client, b'{"houses": [{"area": 1e999, "year_built": 1990}]}'), 422)
    assert problem["errors"][0]["field"] == "houses.0.area"
    assert problem["errors"][0]["value"] == "inf"


def test_number_without_end_is_a_problem_and_not_a_failure(client: httpx.Client) -> None:
    body = b'{"houses": [{"area": 1, "year_built": ' + b"9" * 1900 + b"}]}"
    problem = assert_problem(post_text(client, body), 422)
    assert problem["errors"][0]["field"] == "houses.0.year_built"
    assert len(json.dumps(problem["errors"][0]["value"])) <= 102


def test_wrong_content_type_says_which_one_is_right(client: httpx.Client) -> None:
    problem = assert_problem(post_text(client, b'{"houses": []}', "text/plain"), 415)
    assert "text/plain" in problem["detail"]
    assert "application/json" in problem["detail"]


# Paths and methods


def test_unknown_path(client: httpx.Client) -> None:
    problem = assert_problem(client.get("/v1/nothing?token=secret"), 404)
    assert "secret" not in json.dumps(problem)
    assert "/docs" in problem["detail"]


def test_trailing_slash_is_not_redirected(client: httpx.Client) -> None:
    assert_problem(client.post("/v1/prices/", json={}), 404)


def test_detail_of_a_project_is_kept(client: httpx.Client) -> None:
    assert assert_problem(client.get("/v1/users/404"), 404)["detail"] == "no user 404 in this model"


def test_wrong_method_lists_the_methods_of_every_route_at_the_path(client: httpx.Client) -> None:
    response = client.put("/v1/users/3")
    assert_problem(response, 405)
    assert response.headers["allow"] == "DELETE, GET"


@pytest.mark.parametrize("path", ["/web/page.js", "/docs/assets/swagger-ui.css"])
def test_wrong_method_on_a_file(client: httpx.Client, path: str) -> None:
    response = client.post(path)
    assert_problem(response, 405)
    assert response.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/web/../secret", "/web/%2e%2e/secret", "/static/none.css", "/web/%00"])
def test_files_outside_the_folders_do_not_exist(client: httpx.Client, path: str) -> None:
    assert_problem(client.get(path), 404)


def test_unexpected_exception_tells_the_client_nothing_but_the_id(
    client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    problem = assert_problem(client.get("/v1/broken"), 500)
    assert "internal detail" not in json.dumps(problem)
    assert problem["instance"] in problem["detail"]
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]  # written before the answer
    assert record.exc_info is not None
    assert fields(record)["request_id"] == problem["instance"]


# Limits


def test_body_at_the_limit_is_read_and_one_byte_more_is_not(client: httpx.Client) -> None:
    assert client.post("/v1/raw", content=b"x" * 2000).json() == {"bytes": 2000}
    assert "2000 bytes" in assert_problem(client.post("/v1/raw", content=b"x" * 2001), 413)["detail"]


def test_chunked_body_is_counted_while_it_is_read(client: httpx.Client) -> None:
    def chunks(count: int) -> Iterator[bytes]:
        yield from [b"x" * 500] * count

    assert client.post("/v1/raw", content=chunks(4)).json() == {"bytes": 2000}
    assert_problem(client.post("/v1/raw", content=chunks(5)), 413)
    # FastAPI reads this one itself, and would make 400 of an exception it does not know
    assert_problem(client.post("/v1/prices", content=chunks(5), headers={"Content-Type": "application/json"}), 413)


def test_announced_size_is_refused_before_anything_is_read(models: FakeHolder, web: Path) -> None:
    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was read")

    sent = run_asgi(create_app(DemoSettings(max_body_bytes=10), models, web), [(b"content-length", b"11")], receive)
    assert sent[0]["status"] == 413


def test_body_that_does_not_arrive_in_time_is_408(models: FakeHolder, web: Path) -> None:
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(30)
        raise AssertionError("nobody waited this long")

    sent = run_asgi(create_app(DemoSettings(request_timeout_seconds=0.05), models, web), [], receive)
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


@pytest.mark.parametrize("path", ["/v1/raw", "/v1/prices"])
def test_client_that_leaves_mid_body_is_logged_as_499(
    models: FakeHolder, web: Path, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"half", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    caplog.set_level(logging.INFO)
    run_asgi(create_app(DemoSettings(), models, web), [(b"content-type", b"application/json")], receive, path)
    assert [fields(record)["status"] for record in access_records(caplog)] == [499]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def run_asgi(
    app: FastAPI,
    headers: list[tuple[bytes, bytes]],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    path: str = "/v1/raw",
) -> list[MutableMapping[str, Any]]:
    """Send one request to a started app, below any HTTP library."""
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("test", 1),
        "server": ("test", 80),
    }

    async def run() -> None:
        async with app.router.lifespan_context(app):
            await app(scope, receive, send)

    asyncio.run(run())
    return sent


def test_slow_work_is_503_and_the_service_recovers(client: httpx.Client) -> None:
    response = client.post("/v1/slow?seconds=0.6")
    problem = assert_problem(response, 503)
    assert "0.3 s" in problem["detail"]
    assert response.headers["retry-after"] == "1"
    assert client.post("/v1/slow").status_code == 200


def test_one_request_too_many_is_429_and_others_still_pass(models: FakeHolder, web: Path) -> None:
    settings = DemoSettings(max_concurrent_requests=64, worker_threads=2)
    app = create_app(settings, models, web)

    async def run() -> None:
        release.clear()
        transport = httpx.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://t") as c:
            held = [asyncio.create_task(c.post("/v1/held")) for _ in range(64)]
            for _ in range(1000):
                if "http_requests_in_flight 65.0" in (await c.get("/metrics")).text:  # 64 and this one
                    break
                await asyncio.sleep(0.01)
            refused = await c.post("/v1/raw", content=b"x")
            assert_problem(refused, 429)
            assert refused.headers["retry-after"] == "1"
            assert (await c.get("/healthz")).status_code == 200
            assert (await c.get("/v1/users/1")).status_code == 200
            release.set()
            assert [(await task).json() for task in held] == [{"released": True}] * 64
            assert (await c.post("/v1/raw", content=b"x")).status_code == 200

    asyncio.run(run())


# Operations


def test_healthz_does_not_depend_on_the_model_and_readyz_does(client: httpx.Client, models: FakeHolder) -> None:
    assert client.get("/readyz").json() == {"status": "ready", "model": {"name": "demo", "version": "7"}}
    models.missing = "the registry has no champion of demo yet: train one"
    assert client.get("/healthz").json() == {"status": "ok"}
    for response in (
        client.get("/readyz"),
        client.get("/v1/model"),
        client.post("/v1/prices", json={"houses": [house()]}),
    ):
        assert assert_problem(response, 503)["detail"] == models.missing
        assert int(response.headers["retry-after"]) > 0


def test_model_describes_data_and_metrics(client: httpx.Client) -> None:
    assert client.get("/v1/model").json() == {
        "name": "demo",
        "version": "7",
        "run_id": None,
        "origin": "path",
        "created": "2026-01-02T00:00:00Z",
        "loaded_at": "2026-01-03T00:00:00Z",
        "project": "demo",
        "data": {"source": "sample", "name": "demo", "sha256": "a" * 64, "rows": {"train": 3}},
        "metrics": {"mean_absolute_error": {"estimate": 1.5, "low": 1.0, "high": 2.0}},
        "baselines": {},
        "git_commit": "c0ffee",
    }


def test_first_refresh_comes_before_the_first_request_and_the_watch_ends_with_the_app(
    models: FakeHolder, web: Path
) -> None:
    with serving(create_app(DemoSettings(), models, web)) as client:
        assert models.refreshes == 1
        client.get("/healthz")
        assert models.watching
    assert not models.watching


def test_watch_that_fails_is_reported(models: FakeHolder, web: Path, caplog: pytest.LogCaptureFixture) -> None:
    models.watch_error = RuntimeError("watch broke")
    with serving(create_app(DemoSettings(), models, web)) as client:
        assert client.get("/healthz").status_code == 200
    (record,) = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert "watch broke" in caplog.text
    assert record.exc_info


def fields(record: logging.LogRecord) -> dict[str, Any]:
    return dict(vars(record)["fields"])


def access_records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "portfolio_shared.access"]


def test_one_log_line_a_request_with_the_template_and_nothing_personal(
    client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client.get("/v1/users/31337?email=a@b.c")
    client.get("/31337")
    client.post("/v1/raw", content=b"x" * 5000)
    eventually(lambda: len(access_records(caplog)) == 3)
    lines = [fields(record) for record in access_records(caplog)]
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [
        ("GET", "/v1/users/{user_id}", 200),
        ("GET", "unmatched", 404),
        ("POST", "/v1/raw", 413),
    ]
    assert all(line["duration_ms"] > 0 and len(line["request_id"]) == 32 for line in lines)
    assert "31337" not in str(lines)
    assert "a@b.c" not in str(lines)


def test_metrics_count_by_template(client: httpx.Client, models: FakeHolder) -> None:
    for user in (1, 2, 3):
        client.get(f"/v1/users/{user}")
    client.request("PROPFIND", "/v1/users/1")
    client.get("/web/page.js")
    eventually(lambda: 'route="/web/{path}"' in client.get("/metrics").text)  # counted after the file is closed
    models.refused_bundles = 4
    response = client.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = response.text.splitlines()
    for expected in (
        'http_requests_total{method="GET",route="/v1/users/{user_id}",status="200"} 3.0',
        'http_requests_total{method="OTHER",route="/v1/users/{user_id}",status="405"} 1.0',
        'http_requests_total{method="GET",route="/web/{path}",status="200"} 1.0',
        'http_request_duration_seconds_count{route="/v1/users/{user_id}"} 4.0',
        "http_requests_in_flight 1.0",
        'model_info{name="demo",origin="path",version="7"} 1.0',
        "model_swaps_total 1.0",
        "model_refused_bundles_total 4.0",
    ):
        assert expected in lines
    models.missing = "gone"
    assert "model_info{" not in client.get("/metrics").text


# Pages


@pytest.mark.parametrize("path", ["/", "/web/page.js", "/docs", "/docs/assets/swagger-ui-bundle.js", "/healthz"])
def test_head_works_on_pages(client: httpx.Client, path: str) -> None:
    response = client.head(path)
    assert response.status_code == 200
    assert int(response.headers["content-length"]) > 0


def test_page_is_revalidated_and_files_have_an_etag(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.text == PAGE
    for path in ("/", "/web/page.js", "/docs/assets/swagger-ui.css"):
        first = client.get(path)
        assert first.headers["cache-control"] == ("public, max-age=86400" if "assets" in path else "no-cache")
        again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == 304
        assert again.headers["cache-control"] == first.headers["cache-control"]


def test_security_headers_are_on_every_response(client: httpx.Client) -> None:
    for response in (client.get("/"), client.get("/nothing"), client.post("/v1/raw", content=b"x" * 5000)):
        policy = response.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"


def test_docs_load_nothing_from_elsewhere_and_run_no_inline_script(client: httpx.Client) -> None:
    page = client.get("/docs").text
    assert "://" not in page
    assert "<script>" not in page
    assert "Demo &lt;service&gt;" in page
    for path in ("/docs/assets/swagger-ui.css", "/docs/assets/swagger-ui-bundle.js", "/docs/start.js", "/openapi.json"):
        assert client.get(path).status_code == 200
        assert path in page or path == "/openapi.json"
    assert "/openapi.json" in client.get("/docs/start.js").text


def test_openapi_shows_problems_in_place_of_fastapis_own_errors(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    responses = document["paths"]["/v1/prices"]["post"]["responses"]
    assert set(responses) == {"200", "default"}
    assert "application/problem+json" in responses["default"]["content"]
    assert "HTTPValidationError" not in json.dumps(document)


def test_page_must_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"index\.html"):
        create_app(DemoSettings(), web=tmp_path)


def test_route_that_would_accept_nan_is_refused(models: FakeHolder, web: Path) -> None:
    router = APIRouter(prefix="/v1")
    router.add_api_route("/lax", lambda: None)
    with pytest.raises(TypeError, match="/v1/lax is no StrictRoute"):
        create_service(title="x", description="x", settings=DemoSettings(), models=models, web=web, router=router)


def test_serving_loads_no_training_library() -> None:
    script = (
        "import sys, portfolio_shared.serving.server, portfolio_shared.serving.app\n"
        "print(sorted({'pandas', 'sklearn', 'torch', 'mlflow', 'fastapi_offline'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
