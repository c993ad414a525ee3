"""What every service promises to those who speak HTTP with it: every method, prefix, encoding and parameter."""

import gzip
import importlib
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from browser_page import DESK
from playwright.sync_api import expect
from small_models import SmallModel
from starlette.types import ASGIApp, Receive, Scope, Send

from project_table import Project

pytestmark = pytest.mark.slow

Serving = Callable[[Any], AbstractContextManager[httpx.Client]]
PAGES = ["/", "/docs", "/docs/start.js", "/docs/assets/swagger-ui.css", "/openapi.json", "/static/style.css"]
PLAIN = ["/healthz", "/metrics"]
PREFIX = "/some/prefix"
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def app(project: Project, project_bundle: Path) -> Any:
    settings = importlib.import_module(f"{project.package}.config").ServeSettings(bundle=project_bundle)
    return importlib.import_module(f"{project.package}.serving.app").create_app(settings)


@pytest.fixture(scope="module")
def client(serving: Serving, app: Any) -> Iterator[httpx.Client]:
    with serving(app) as client:
        yield client


@pytest.fixture(scope="module")
def described(client: httpx.Client) -> dict[str, set[str]]:
    """Paths of the API, with a value for each parameter, and the methods that /openapi.json lists."""
    paths = client.get("/openapi.json").json()["paths"]
    return {re.sub(r"{\w+}", "1", path): METHODS & set(operations) for path, operations in paths.items()}


class Behind:
    """A proxy in front of an app: it strips a prefix and says nothing, or leaves it and says so, as ASGI has it."""

    def __init__(self, app: ASGIApp, *, strips: bool) -> None:
        self.app, self.strips = app, strips

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            assert scope["path"].startswith(f"{PREFIX}/"), scope["path"]
            changes = {"path": scope["path"].removeprefix(PREFIX)} if self.strips else {"root_path": PREFIX}
            scope = {**scope, **changes}
        await self.app(scope, receive, send)


@pytest.fixture(scope="module", params=[True, False], ids=["stripped", "root_path"])
def behind(request: pytest.FixtureRequest, serving: Serving, app: Any) -> Iterator[httpx.Client]:
    with serving(Behind(app, strips=request.param)) as client:
        yield client


def origin_of(behind: httpx.Client) -> str:
    return str(behind.base_url).rstrip("/") + PREFIX


def comparable(response: httpx.Response) -> tuple[int, dict[str, str]]:
    counted = ("date", "content-length") if "metrics" in str(response.url) else ("date",)
    return response.status_code, {name: value for name, value in response.headers.items() if name not in counted}


def problem_of(response: httpx.Response, status: int) -> dict[str, Any]:
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    problem: dict[str, Any] = response.json()
    return problem


def test_every_get_answers_head(client: httpx.Client, described: dict[str, set[str]]) -> None:
    for path in [*PAGES, *PLAIN, "/nothing", *(path for path, methods in described.items() if "get" in methods)]:
        got, head = (client.request(method, path, headers={"X-Request-ID": "one"}) for method in ("GET", "HEAD"))
        assert comparable(head) == comparable(got), path
        assert head.content == b""


def test_another_method_is_refused_with_those_that_are_allowed(
    client: httpx.Client, described: dict[str, set[str]]
) -> None:
    for path, methods in {**{path: {"get"} for path in [*PAGES, *PLAIN]}, **described}.items():
        allowed = {method.upper() for method in methods} | ({"HEAD"} if "get" in methods else set())
        for method in {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} - allowed:
            response = client.request(method, path)
            assert (response.status_code, response.headers["allow"]) == (405, ", ".join(sorted(allowed))), path


def test_an_unknown_parameter_is_refused_and_a_page_may_have_any(
    client: httpx.Client, described: dict[str, set[str]]
) -> None:
    refused = {**{path: {"get"} for path in PLAIN}, **described}
    for path, method in [(path, method) for path, methods in refused.items() for method in methods]:
        (error,) = problem_of(client.request(method, f"{path}?surprise=true"), 422)["errors"]
        assert (error["field"], error["value"]) == ("surprise", "true")
        assert "Unknown parameter of the query" in error["message"]
    for path in PAGES:
        assert client.get(f"{path}?utm_source=letter").status_code == 200


def test_every_answer_under_v1_has_an_id_of_its_own_and_names_its_model(
    client: httpx.Client, described: dict[str, set[str]], small: SmallModel
) -> None:
    version = client.get("/readyz").json()["model"]["version"]
    request = small.request
    answers = [client.post(request.path, content=request.body, headers={"Content-Type": request.content_type})]
    answers += [client.get(path) for path, methods in described.items() if "get" in methods and path.startswith("/v1/")]
    answered = [answer for answer in answers if answer.is_success and "json" in answer.headers["content-type"]]
    assert len(answered) >= 3
    bodies = [answer.json() for answer in answered]
    assert len({body["id"] for body in bodies}) == len(bodies)
    for body in bodies:
        assert uuid.UUID(body["id"]).version == 7
        assert body.get("model", body)["version"] == version


def test_a_body_may_come_as_gzip(client: httpx.Client, small: SmallModel) -> None:
    request, headers = small.request, {"Content-Type": small.request.content_type}
    packed = client.post(
        request.path, content=gzip.compress(request.body), headers=headers | {"Content-Encoding": "gzip"}
    )
    assert packed.status_code == 200
    plain = client.post(request.path, content=request.body, headers=headers)
    assert packed.json() | {"id": ""} == plain.json() | {"id": ""}

    bomb = gzip.compress(request.body + b" " * 70_000_000)
    assert len(bomb) < 100_000
    detail = problem_of(client.post(request.path, content=bomb, headers=headers | {"Content-Encoding": "gzip"}), 413)
    assert "unpacks to more than" in detail["detail"]


def test_behind_a_prefix_everything_that_a_page_names_is_there(behind: httpx.Client, small: SmallModel) -> None:
    for page in ("/", "/docs"):
        address = f"{origin_of(behind)}{page}"
        links = re.findall(r'(?:src|href)="([^"#]+)"', behind.get(address).text)
        assert len(links) > 3
        for link in links:
            assert link.startswith("data:") or behind.get(urljoin(address, link)).status_code == 200, link
    described = behind.get(f"{PREFIX}/openapi.json")
    (server,) = described.json()["servers"]
    assert urljoin(str(described.url), server["url"]) == f"{origin_of(behind)}/"
    request = small.request
    headers = {"Content-Type": request.content_type, "X-Forwarded-Prefix": PREFIX}
    assert behind.post(f"{PREFIX}{request.path}", content=request.body, headers=headers).status_code == 200
    assert behind.put(f"{PREFIX}{request.path}").headers["allow"] == "POST"
    assert f'route="{request.path}"' in behind.get(f"{PREFIX}/metrics").text


@pytest.mark.browser
def test_behind_a_prefix_page_and_documentation_work_in_a_browser(
    behind: httpx.Client, watched_page: Callable[..., AbstractContextManager[tuple[Any, list[str]]]]
) -> None:
    origin = origin_of(behind)
    with watched_page(origin, **DESK) as (page, complaints):  # it must ask for nothing outside the prefix
        page.goto(f"{origin}/")
        expect(page.get_by_test_id("model-badge").locator("dt").first).to_be_visible(timeout=15_000)
        page.get_by_role("link", name="API").click()
        page.locator("#operations-operations-model_v1_model_get").click()
        page.get_by_role("button", name="Try it out").click()
        page.get_by_role("button", name="Execute").click()
        expect(page.locator(".live-responses-table tbody .response-col_status").first).to_contain_text("200")
        expect(page.locator(".request-url pre")).to_have_text(f"{origin}/v1/model")
        assert complaints == []


SECRETS = ("s3cret", "me:", "t0ken")


def test_an_address_with_a_password_is_printed_nowhere_and_no_answer_names_it(
    running_service: Callable[..., AbstractContextManager[Any]], project: Project, small: SmallModel, tmp_path: Path
) -> None:
    address = "http://me:s3cret@127.0.0.1:9?token=t0ken"
    with running_service(project.name, tmp_path, tracking_uri=address) as service:
        request = small.request
        answers = [service.client.get(path) for path in ("/readyz", "/v1/model", "/metrics", "/healthz", "/")]
        headers = {"Content-Type": request.content_type}
        answers.append(service.client.post(request.path, content=request.body, headers=headers))
        assert [answer.status_code for answer in answers] == [503, 503, 200, 200, 200, 503]
        for answer in answers:
            assert not any(text in answer.text for text in (*SECRETS, "127.0.0.1", "***")), answer.text
    log = (tmp_path / "service.log").read_text(encoding="utf-8")
    assert not any(secret in log for secret in SECRETS)
    assert "http://***@127.0.0.1:9" in log


@pytest.mark.parametrize(
    "flag",
    [
        "--tracking-uri=postgresql://me:s3cret@db/mlflow",
        "--trackin-uri=http://me:s3cret@db",
        "--port=http://me:s3cret@h",
    ],
)
def test_a_flag_that_is_refused_does_not_print_a_password(project: Project, flag: str, tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name(project.name))
    ended = subprocess.run([program, "serve", flag], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert ended.stderr
    assert not any(secret in ended.stdout + ended.stderr for secret in SECRETS), ended.stderr
