"""POST /v1/feedback: what is kept, what is refused, and how long a prediction that is not written yet is waited for."""

import threading
import time
import uuid
from contextlib import closing

import pytest
from demo_service import DemoSettings, FakeHolder, assert_problem, create_app, house, serving

from portfolio_shared.operations.store import LoggedPrediction, connect
from portfolio_shared.serving import feedback as feedback_module
from portfolio_shared.serving.admission import FEEDBACK_AT_ONCE
from portfolio_shared.serving.prediction_log import hashed_subject, new_id
from portfolio_shared.serving.problems import FieldError, unprocessable


@pytest.fixture
def client(logging_service):
    with logging_service() as client:
        yield client


@pytest.fixture
def kept(log_url):
    """Return a function that reads the feedback that counts."""

    def read():
        with closing(connect(log_url)) as store:
            return [given for _, given in store.feedback("demo", since=0, until=1e12)]

    return read


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(feedback_module, "GRACE_SECONDS", 0.5)
    monkeypatch.setattr(feedback_module, "LOOK_SECONDS", 0.05)


def predicted(client, count: int = 2, **headers: str) -> str:
    answer = client.post("/v1/prices", json={"houses": [house()] * count}, headers=headers)
    assert answer.is_success
    return str(answer.json()["id"])


def say(client, prediction: str, price: object = 5.0, **changes: object):
    body = {"id": prediction, "index": 1, "truth": {"price": price}} | changes
    return client.post("/v1/feedback", json={name: value for name, value in body.items() if value is not None})


def test_feedback_is_kept_once_and_the_last_word_counts(client, kept):
    prediction = predicted(client)
    first = say(client, prediction)  # at once: the prediction is not written yet
    assert (first.status_code, first.json()) == (202, {"id": prediction, "index": 1, "kept": True})
    again = say(client, prediction)
    assert (again.status_code, again.json()) == (200, {"id": prediction, "index": 1, "kept": False})
    assert say(client, prediction, 6.0).status_code == 202
    assert say(client, prediction, 7.0, index=None).status_code == 202  # of the first item
    assert [(given.prediction, given.item, given.truth) for given in kept()] == [
        (prediction, 0, '{"price":7.0}'),
        (prediction, 1, '{"price":6.0}'),
    ]
    assert all(given.at == pytest.approx(time.time(), abs=30) for given in kept())


def test_who_said_it_is_kept_as_the_hash_of_the_one_whom_predictions_are_about(client, kept, logged):
    name = "Zoë".encode()
    headers = [(b"X-Subject", b"bob"), (b"X-Subject", name)]  # a proxy adds its own at the end
    prediction = client.post("/v1/prices", json={"houses": [house()]}, headers=headers).json()["id"]
    client.post("/v1/feedback", json={"id": prediction, "truth": {"price": 1}}, headers=headers)
    (about,), (given,) = logged(), kept()
    assert about.subject == given.client == hashed_subject(name, "key") != ""


def test_what_cannot_be_meant_is_refused_with_field_and_bound(client, kept):
    prediction = predicted(client)
    for changes, field, bound in [
        ({"index": 2}, "index", {"lt": 2}),
        ({"index": -1}, "index", {"ge": 0}),
        ({"truth": {"price": 0}}, "truth.price", {"gt": 0}),
        ({"truth": {}}, "truth.price", {}),
        ({"truth": None}, "truth", {}),
        ({"id": str(uuid.uuid4())}, "id", None),
        ({"id": "order-1"}, "id", None),
        ({"who": "me"}, "who", None),
    ]:
        (error,) = assert_problem(say(client, prediction, **changes), 422)["errors"]
        assert error["field"] == field
        assert bound is None or error["bound"] == bound
    assert kept() == []


def test_a_project_may_refuse_a_truth_by_the_model_that_serves(web, log_url):
    def check(model, truth):
        raise unprocessable([FieldError(field="truth.price", message=f"not {model([truth.price])}")])

    models, settings = FakeHolder(), DemoSettings(prediction_log=log_url, subject_key="key")
    with serving(create_app(settings, models, web, check_truth=check)) as client:
        prediction = predicted(client)
        (error,) = assert_problem(say(client, prediction), 422)["errors"]
        assert (error["field"], error["message"]) == ("truth.price", "not [500.0]")
        models.missing = "none is loaded"  # nothing to check it by
        assert say(client, prediction).status_code == 202


def test_an_old_prediction_that_is_not_kept_is_unknown_at_once(client):
    problem = assert_problem(say(client, old := new_id(now=time.time() - 60)), 404)
    assert old in problem["detail"]


def test_a_new_one_is_unknown_after_some_seconds(client, impatient):
    start = time.monotonic()
    assert_problem(say(client, new_id()), 404)
    assert 0.3 < time.monotonic() - start < 5


def test_the_prediction_of_another_model_is_unknown(client, log_url):
    old = new_id(now=time.time() - 60)
    with closing(connect(log_url)) as store:
        store.insert([LoggedPrediction(old, 1.0, "other", "1", "/", "", 2, 1.0, "{}", "{}")])
    assert_problem(say(client, old), 404)


@pytest.mark.long
def test_feedback_has_places_of_its_own(logging_service, impatient, monkeypatch):
    monkeypatch.setattr(feedback_module, "GRACE_SECONDS", 1.5)
    answers = []
    with logging_service(max_concurrent_requests=2) as client:
        threads = [
            threading.Thread(target=lambda: answers.append(say(client, new_id())))  # anybody can invent ids
            for _ in range(FEEDBACK_AT_ONCE + 4)
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        assert client.post("/v1/prices", json={"houses": [house()]}).is_success
        for thread in threads:
            thread.join()
        assert say(client, predicted(client)).status_code == 202
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {404, 503}
    assert statuses.count(404) >= FEEDBACK_AT_ONCE
    assert {answer.headers.get("retry-after") for answer in answers if answer.status_code == 503} == {"1"}


def test_feedback_is_short(client):
    assert "256000 bytes" in assert_problem(say(client, new_id(), padding="x" * 256_000), 413)["detail"]


def test_without_a_log_feedback_is_refused(logging_service):
    with logging_service(prediction_log="off") as client:
        problem = assert_problem(say(client, new_id()), 503)
    assert problem["detail"] == "This service keeps no predictions, so it can keep no feedback."


@pytest.mark.long
def test_a_log_that_cannot_be_reached_and_one_that_hangs_are_503(logging_service, tmp_path, monkeypatch):
    with logging_service(prediction_log=f"sqlite:///{tmp_path}/index.html") as client:
        response = say(client, predicted(client))
        assert "cannot be reached" in assert_problem(response, 503)["detail"]
        assert response.headers["retry-after"] == "10"
    monkeypatch.setattr(feedback_module, "ANSWER_SECONDS", 0.3)
    with logging_service() as client:
        say(client, predicted(client))
        monkeypatch.setattr("portfolio_shared.operations.store.Store.items_of", lambda *_, **__: time.sleep(1.0))
        assert "cannot be reached" in assert_problem(say(client, predicted(client)), 503)["detail"]
