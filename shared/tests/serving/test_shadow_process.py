"""The challenger's half of a shadow, in this process: what it is asked, what is written beside the champion's rows."""

import asyncio
import gzip
import json
import logging
import os
import signal
import time
from contextlib import closing
from io import FileIO

import pytest
from demo_service import DemoSettings, FakeHolder, create_app, eventually, house, predict
from fastapi import Request

from portfolio_shared.operations.database import StoreError
from portfolio_shared.operations.store import LoggedPrediction, connect
from portfolio_shared.serving import shadow_process
from portfolio_shared.serving.api_keys import new_key
from portfolio_shared.serving.dependencies import log_instead, prediction_id
from portfolio_shared.serving.shadow import LENGTHS, SECRETS, packed
from portfolio_shared.serving.shadow_calls import answer_of, app_of
from portfolio_shared.serving.shadow_process import Challenger

BODY = json.dumps({"houses": [house(), house(area=7.0)]}).encode()
SETTINGS = {"port": 0, "prediction_log": "sqlite:///nowhere.db", "rollout": "shadow"}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Look at the log often, and have no patience; an alarm of the end is no concern of a test."""
    for name, value in {
        "WRITE_SECONDS": 0.02,
        "PATIENCE_SECONDS": 0.3,
        "LONGEST_SECONDS": 5,
        "LONGEST_WAIT_SECONDS": 500,
    }.items():
        monkeypatch.setattr(shadow_process, name, value)
    monkeypatch.setattr(shadow_process, "memory", lambda: 0)  # a process of tests takes more than a challenger may
    yield
    for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
        signal.setitimer(timer, 0)


@pytest.fixture
def models():
    return FakeHolder("8", lambda areas: [area * 10 for area in areas])


@pytest.fixture
def challenger(models, web, log_url):
    """Return a challenger of the demo, and the list of what it tells."""
    app = create_app(DemoSettings(prediction_log="off"), models, web)

    @app.post("/v1/described")
    async def described(request: Request) -> dict[str, str]:
        log_instead(request, asked=b"{}", answered=b'{"described": 2}')
        return {"id": prediction_id(request, models.loaded, items=2)}

    told: list[dict] = []
    return Challenger(app, log_url, told.append), told


def frame(body=BODY, *, id_="1", champion="7", path="/v1/prices", query="", **headers):
    headers = [["content-type", "application/json"], *([k.replace("_", "-"), v] for k, v in headers.items())]
    return packed({"id": id_, "champion": champion, "path": path, "query": query, "headers": headers}, body)


def ask(challenger, *frames, then=None):
    """Run a challenger on a pipe with these frames, until its end or until `then` has been awaited."""
    read, write = os.pipe()

    async def run():
        running = asyncio.create_task(challenger.run(FileIO(read)))
        await asyncio.to_thread(os.write, write, b"".join(frames))
        if then is not None:
            await asyncio.to_thread(then)
        os.close(write)
        await running

    asyncio.run(run())


def logged(log_url, *ids):
    with closing(connect(log_url)) as store:
        store.insert(LoggedPrediction(i, 1.0, "demo", "7", "/v1/prices", "", 2, 1.0, "{}", "{}") for i in ids)


def shadows(log_url):
    with closing(connect(log_url)) as store:
        return store.execute("SELECT prediction, version, milliseconds, response FROM shadows ORDER BY prediction")


def counts(told):
    return {name: sum(said["counts"].get(name, 0) for said in told) for said in told for name in said["counts"]}


@pytest.mark.parametrize(
    ("body", "headers"), [(BODY, {}), (gzip.compress(BODY), {"content_encoding": "gzip"})], ids=["plain", "gzip"]
)
def test_an_answer_is_written_beside_that_of_the_champion(challenger, log_url, body, headers):
    logged(log_url, "1")
    ask(challenger[0], frame(body, **headers))
    ((prediction, version, milliseconds, response),) = shadows(log_url)
    assert (prediction, version) == ("1", "8")
    assert json.loads(response)["prices"] == [1200.0, 70.0]
    assert json.loads(response)["model"]["version"] == "8"
    assert milliseconds > 0
    assert counts(challenger[1]) == {"answered": 1}
    assert challenger[1][-1] == {"counts": {"answered": 1}, "challenger": "8", "error": None}


def test_a_body_of_a_megabyte_is_answered(challenger, log_url):
    logged(log_url, "1")
    body = json.dumps({"houses": [house()] * 1000}).ljust(999_990).encode()
    ask(challenger[0], frame(body), frame(id_="2"))
    assert len(json.loads(shadows(log_url)[0][3])["prices"]) == 1000


def test_what_a_project_logs_instead_of_the_response_is_what_is_written(challenger, log_url):
    logged(log_url, "1")
    ask(challenger[0], frame(path="/v1/described"))
    assert shadows(log_url)[0][3] == '{"described": 2}'


def test_an_answer_may_come_before_its_prediction_is_written(challenger, log_url):
    def later():
        time.sleep(0.1)
        logged(log_url, "1")
        eventually(lambda: shadows(log_url))

    ask(challenger[0], frame(), then=later)
    assert counts(challenger[1]) == {"answered": 1}


def test_without_its_prediction_an_answer_is_lost_after_a_while(challenger, log_url):
    logged(log_url, "1")
    ask(challenger[0], frame(id_="2"), then=lambda: eventually(lambda: counts(challenger[1])))
    assert (shadows(log_url), counts(challenger[1])) == ([], {"lost": 1})


def failing(areas):
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("change", "asked", "outcome"),
    [
        ({"predictor": failing}, {}, "failed"),
        ({"predictor": predict}, {"body": b"{"}, "failed"),
        ({}, {"path": "/v1/nothing"}, "failed"),
        ({"missing": "no version has the alias"}, {}, "no_challenger"),
        ({}, {"champion": "8"}, "no_challenger"),
    ],
    ids=["raises", "refuses", "has no such route", "is not there", "is champion by now"],
)
def test_a_challenger_without_an_answer_is_counted(models, challenger, change, asked, outcome):
    models.missing = change.get("missing", "")
    if "predictor" in change:
        object.__setattr__(models.loaded, "predictor", change["predictor"])
    ask(challenger[0], frame(**asked))
    assert counts(challenger[1]) == {outcome: 1}
    assert challenger[1][-1]["error"] == change.get("missing")


def test_a_challenger_that_is_replaced_gives_its_own_version(models, challenger, log_url):
    logged(log_url, "1", "2")

    def replaced():
        eventually(lambda: counts(challenger[1]))
        models.loaded = FakeHolder("9").loaded

    ask(challenger[0], frame(), then=replaced)
    assert shadows(log_url)[0][1] == "8"
    assert challenger[1][-1]["challenger"] == "9"


def test_answers_wait_for_a_log_that_is_away_and_no_more_than_fit(challenger, log_url, monkeypatch, caplog):
    monkeypatch.setattr(shadow_process, "MOST_ROWS", 2)
    monkeypatch.setattr("portfolio_shared.operations.database.BUSY_SECONDS", 0.02)
    logged(log_url, *"1234")
    away = StoreError("away")

    def refuse(url):
        raise away

    monkeypatch.setattr(shadow_process, "connect", refuse)

    def back():
        time.sleep(0.6)  # longer than the patience
        assert len(challenger[0]._rows) == 2
        monkeypatch.setattr(shadow_process, "connect", connect)
        monkeypatch.setattr("portfolio_shared.operations.database.BUSY_SECONDS", 5.0)  # two write now
        eventually(lambda: len(shadows(log_url)) == 4)

    ask(challenger[0], *(frame(id_=id_) for id_ in "1234"), then=back)
    assert counts(challenger[1]) == {"answered": 4}
    said = [record.message for record in caplog.records if record.name == shadow_process.__name__]
    assert said == ["the challenger's answers are not written: away"]


def test_a_row_that_the_log_refuses_takes_no_other_with_it(challenger, log_url):
    logged(log_url, "1", "2")
    ask(challenger[0], frame(), frame(), frame(id_="2"))  # the first comes twice
    assert [row[0] for row in shadows(log_url)] == ["1", "2"]
    assert counts(challenger[1]) == {"answered": 2, "lost": 1}


def test_what_an_answer_may_take_is_counted_in_seconds_of_the_processor_and_the_clock_has_more_patience(
    models, challenger, log_url
):
    timers = (signal.ITIMER_PROF, signal.ITIMER_REAL)
    left = []
    object.__setattr__(
        models.loaded, "predictor", lambda areas: left.extend(signal.getitimer(timer)[0] for timer in timers) or areas
    )
    logged(log_url, "1")
    ask(challenger[0], frame(), then=lambda: eventually(lambda: counts(challenger[1])))
    assert left == [pytest.approx(5, abs=1), pytest.approx(500, abs=100)]
    assert signal.getitimer(signal.ITIMER_PROF)[0] == 0


def test_one_that_leaks_ends(challenger, monkeypatch):
    monkeypatch.setattr(shadow_process, "memory", lambda: 2_000_000_000)
    with pytest.raises(MemoryError, match="leaks, or is too large"):
        ask(challenger[0])


def test_one_whose_parent_has_gone_ends_whatever_it_waits_for(challenger, monkeypatch):
    monkeypatch.setattr(os, "getppid", lambda: 1)
    ask(challenger[0], then=lambda: time.sleep(0.1))


def test_the_app_follows_the_challenger_and_mirrors_and_logs_nothing(web):
    app = app_of("demo_service:create_app", SETTINGS | {"model_cache": str(web)})
    settings = app.state.settings
    assert (settings.model_alias, settings.rollout, settings.prediction_log) == ("challenger", "off", "off")
    assert app.state.rollout.models.beside


@pytest.mark.parametrize("name", ["api_keys", "api_key_file", "rate_limit", "allowed_hosts", "host"])
def test_a_challenger_answers_whoever_may_ask_the_champion(models, web, name):
    (web / "keys").write_text(new_key("ann")[1], encoding="utf-8")
    asks = {
        "api_keys": new_key("ann")[1],
        "api_key_file": web / "keys",
        "rate_limit": 0.01,
        "allowed_hosts": "demo.example",
        "host": "192.0.2.1",
    }
    settings = DemoSettings(**SETTINGS, model_cache=web, **{name: asks[name]})
    app = app_of("demo_service:create_app", settings.model_dump(mode="json", exclude=SECRETS))
    app.state.rollout.models.loaded = models.loaded
    head = json.loads(frame()[LENGTHS.size :].partition(BODY)[0])

    async def run():
        async with app.router.lifespan_context(app):
            return [(await answer_of(app, head, BODY)).outcome for _ in range(2)]

    assert asyncio.run(run()) == ["answered"] * 2


def test_each_text_is_logged_once():
    once = shadow_process.Once()
    records = [logging.LogRecord("x", logging.ERROR, "", 1, text, None, None) for text in ["a", "b", "a", "a"]]
    assert [once.filter(record) for record in records] == [True, True, False, False]
    assert records[0].fields == {"process": "challenger"}


def test_many_texts_are_cut_off_and_come_again_after_an_hour():
    once = shadow_process.Once()
    records = [logging.LogRecord("x", logging.ERROR, "", 1, str(number), None, None) for number in range(300)]
    assert sum(map(once.filter, records)) == len(once._seen) == 100
    for record in records:
        record.created += 3601
    assert sum(map(once.filter, records)) == 100
