"""The start page: where it leads, what it says of each model, and what it tells other programs."""

import asyncio
import json

import httpx
import pytest

from portfolio_shared.environment import UnknownVariableError
from portfolio_shared.serving.start_page import StartPageSettings, announce, create_app

DEMOS = [
    {"project": name, "title": title, "lead": lead, "address": address, "internal": f"http://{name}:8000"}
    for name, title, lead, address in (
        ("houses", "Houses", "What one would sell for.", "http://127.0.0.1:8001"),
        ("films", "Films & more", "What to watch next.", "http://127.0.0.1:8002"),
    )
]
MODEL = {"version": "3", "created": "2026-01-02T03:04:05Z", "data": {"source": "full", "name": "house sales"}}


@pytest.fixture
def settings(monkeypatch):
    monkeypatch.setenv("INDEX_ADDRESS", "http://127.0.0.1:8000")
    monkeypatch.setenv("INDEX_MLFLOW_ADDRESS", "http://127.0.0.1:5500")
    monkeypatch.setenv("INDEX_DEMOS", json.dumps(DEMOS))
    return StartPageSettings()


@pytest.fixture
def view(settings):
    """Return a function: (what a service answers, path) -> what the start page answers."""

    def view(answer, path="/"):
        app = create_app(StartPageSettings(), httpx.MockTransport(answer))

        async def ask():
            async with (
                app.router.lifespan_context(app),
                httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://index") as client,
            ):
                for file in ("style.css", "start.css", "favicon.svg"):
                    assert (await client.get(f"/static/{file}")).is_success
                return await client.get(path)

        return asyncio.run(ask())

    return view


def trained(_):
    return httpx.Response(200, json=MODEL)


def half_trained(request):
    """The houses have a model, the films do not."""
    return trained(request) if request.url.host == "houses" else httpx.Response(503, json={"title": "Unavailable"})


def test_it_links_everything_and_says_which_model_answers(view):
    response = view(half_trained)
    for address in ("http://127.0.0.1:8001", "http://127.0.0.1:8002/docs", "http://127.0.0.1:5500"):
        assert f'href="{address}"' in response.text
    assert "Version 3, trained on 2 January 2026 on house sales." in response.text
    assert "Being trained." in response.text
    assert response.text.count('data-state="ready"') == 1
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert "<script" not in response.text


def test_it_looks_again_until_every_model_is_there(view):
    assert 'http-equiv="refresh"' in view(half_trained).text
    assert 'http-equiv="refresh"' not in view(trained).text


def test_a_model_of_the_sample_says_so(view):
    model = MODEL | {"data": {"source": "sample", "name": "500 houses"}}
    text = view(lambda _: httpx.Response(200, json=model)).text
    assert "trained on 2 January 2026 on 500 houses, a sample." in text


def test_it_stands_when_no_service_answers(view):
    def refuse(request):
        raise httpx.ConnectError("no such host", request=request)

    response = view(refuse)
    assert response.status_code == 200
    assert response.text.count("Not running.") == 2


@pytest.mark.parametrize("answer", ["<html>", "[]", '{"version": "3"}', '{"version": "3", "created": "x", "data": 1}'])
def test_what_is_no_model_is_out_of_order(view, answer):
    response = view(lambda _: httpx.Response(200, text=answer))
    assert response.status_code == 200
    assert response.text.count("Out of order.") == 2
    assert 'http-equiv="refresh"' in response.text


@pytest.mark.parametrize(("key", "headline"), [("k3y", "Ready."), ("no", "Asks for a key."), ("", "Asks for a key.")])
def test_it_shows_its_key_to_services_that_ask_for_one(monkeypatch, view, key, headline):
    monkeypatch.setenv("INDEX_API_KEY", key)

    def answer(request):
        return trained(request) if request.headers.get("x-api-key") == "k3y" else httpx.Response(401)

    text = view(answer).text
    assert text.count(headline) == 2
    assert "k3y" not in text


def test_what_a_service_says_is_text(view):
    assert "<script>" not in view(lambda _: httpx.Response(200, json=MODEL | {"version": "<script>"})).text
    assert "Films &amp; more" in view(trained).text


def test_services_learn_where_the_demos_are(view):
    answer = view(half_trained, "/demos").json()
    assert answer == {
        "address": "http://127.0.0.1:8000",
        "demos": [{key: demo[key] for key in ("project", "title", "address")} for demo in DEMOS],
    }


def test_prometheus_learns_where_the_metrics_are(view):
    response = view(half_trained, "/targets")
    assert response.headers["content-type"] == "application/json"
    assert response.json() == [
        {"targets": [f"{name}:8000"], "labels": {"project": name}} for name in ("houses", "films")
    ]


def test_the_log_ends_with_the_addresses(settings, capsys):
    async def run():
        async with httpx.AsyncClient(transport=httpx.MockTransport(trained)) as client:
            await announce(client, settings)

    asyncio.run(run())
    line = capsys.readouterr().out
    assert line.startswith("Ready.   all of it: http://127.0.0.1:8000   ")
    assert line.endswith("   Films & more: http://127.0.0.1:8002\n")


@pytest.mark.parametrize("address", ["127.0.0.1:8001", "javascript:alert(1)", "http://127.0.0.1:8001/"])
def test_an_address_that_is_none_is_refused(settings, monkeypatch, address):
    monkeypatch.setenv("INDEX_DEMOS", json.dumps([DEMOS[0] | {"address": address}]))
    with pytest.raises(ValueError, match="address"):
        StartPageSettings()


def test_a_misspelt_variable_is_refused(settings, monkeypatch):
    monkeypatch.setenv("INDEX_PROT", "8000")
    with pytest.raises(UnknownVariableError, match="INDEX_PROT is not a setting; the nearest one is INDEX_PORT"):
        StartPageSettings()


def test_what_kubernetes_invents_is_no_setting(settings, monkeypatch):
    monkeypatch.setenv("INDEX_PORT", "tcp://10.0.0.1:8000")
    monkeypatch.setenv("INDEX_SERVICE_HOST", "10.0.0.1")
    assert StartPageSettings().port == 8000
