"""The links from one demo's page to the others."""

import asyncio
import logging
import time

import pytest
from demo_service import DemoSettings, create_app, serving
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from portfolio_shared.serving import demos
from portfolio_shared.serving.demos import PATH, Demos, StartPage, ask_start_page

PAGE = "<!doctype html><body>\n<!-- demos -->\n<p>hello</p>"
DEMOS = {
    "address": "http://127.0.0.1:8000",
    "demos": [
        {"project": "demo", "title": "This one", "address": "http://127.0.0.1:8001"},
        {"project": "films", "title": "Films & more", "address": "http://127.0.0.1:8002"},
    ],
}


@pytest.fixture
def web(tmp_path):
    (tmp_path / "index.html").write_text(PAGE, encoding="utf-8")
    return tmp_path


@pytest.fixture
def start_page():
    """Address of a start page that knows two demos."""
    with serving(Starlette(routes=[Route(PATH, lambda _: JSONResponse(DEMOS))])) as client:
        yield str(client.base_url).rstrip("/")


def test_a_page_links_the_start_page_and_the_others_but_not_itself(web, start_page, tmp_path):
    settings = DemoSettings(model_cache=tmp_path, start_page=start_page)
    with serving(create_app(settings, web=web)) as client:
        response = client.get("/")
        again = client.get("/", headers={"If-None-Match": response.headers["etag"]})
    assert '<a href="http://127.0.0.1:8000">All demos</a>' in response.text
    assert '<a href="http://127.0.0.1:8002">Films &amp; more</a>' in response.text
    assert '<span aria-current="page">This one</span>' in response.text
    assert "http://127.0.0.1:8001" not in response.text
    assert again.status_code == 304


@pytest.mark.parametrize("start_page", ["", "http://127.0.0.1:1"], ids=["none", "away"])
def test_without_a_start_page_there_are_no_links(web, start_page, tmp_path):
    settings = DemoSettings(model_cache=tmp_path, start_page=start_page)
    with serving(create_app(settings, web=web)) as client:
        assert client.get("/").text == PAGE.replace("<!-- demos -->", "")


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (PlainTextResponse("", 500), "500"),
        (PlainTextResponse("<html>"), "JSON"),
        (JSONResponse(DEMOS | {"address": "javascript:alert(1)"}), "address"),
    ],
    ids=["failing", "another page", "no address"],
)
def test_what_is_no_start_page_is_logged(answer, named, caplog):
    app = Starlette(routes=[Route(PATH, lambda _: answer)])
    with serving(app) as client, caplog.at_level(logging.WARNING):
        assert asyncio.run(ask_start_page(str(client.base_url).rstrip("/"))) is None
    assert "no links to the other demos: " in caplog.text
    assert named in caplog.text


def test_a_name_that_is_slow_to_resolve_does_not_hold_a_page(monkeypatch, caplog):
    async def resolve(*_args, **_options):
        await asyncio.sleep(60)

    async def ask():
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        return await ask_start_page("http://index:8000")

    started = time.monotonic()
    with caplog.at_level(logging.WARNING):
        assert asyncio.run(ask()) is None
    assert time.monotonic() - started < 10
    assert "no links to the other demos: TimeoutError" in caplog.text


@pytest.mark.parametrize("answer", [Demos.model_validate(DEMOS), None], ids=["there", "away"])
def test_the_start_page_is_asked_once_in_ten_seconds(monkeypatch, answer):
    asked = []

    async def ask(address):
        asked.append(address)
        await asyncio.sleep(0.01)
        return answer

    async def view():
        page = StartPage("http://index:8000")
        assert await asyncio.gather(page.demos(), page.demos()) == [answer, answer]
        assert await page.demos() == answer
        assert len(asked) == 1
        page._kept_until -= 10.0  # ten seconds later
        await page.demos()

    monkeypatch.setattr(demos, "ask_start_page", ask)
    asyncio.run(view())
    assert asked == ["http://index:8000"] * 2
