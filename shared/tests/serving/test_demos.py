"""The links from one demo's page to the others."""

import asyncio
import logging

import pytest
from demo_service import DemoSettings, create_app, serving
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from portfolio_shared.serving.demos import PATH, ask_start_page

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
