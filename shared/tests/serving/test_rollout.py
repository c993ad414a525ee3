"""A canary: who gets the challenger's answer, what takes it out of service, and that no request fails for any of it."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import count

import httpx
import pytest
from demo_service import DemoSettings, FakeHolder, create_app, eventually, house, serving
from scipy.stats import binom
from starlette.requests import Request

from portfolio_shared.serving.rollout import Rollout

SHARE = 0.3
SUBJECTS = [f"person{i}" for i in range(300)]
EXPECTED = {"7": 12_000.0, "8": 24_000.0}  # of the house: each version can be told by its answer


def dearer(areas: list[float]) -> list[float]:
    return [area * 200 for area in areas]


@pytest.fixture
def challengers() -> FakeHolder:
    return FakeHolder("8", dearer)


@pytest.fixture
def canary(models, challengers, web) -> Iterator[httpx.Client]:
    settings = DemoSettings(rollout="canary", canary_share=SHARE, subject_key="key")
    with serving(create_app(settings, models, web, challengers=challengers)) as client:
        yield client


def rollout(models, challengers, **changes) -> Rollout:
    return Rollout(DemoSettings(**{"rollout": "canary", "canary_share": SHARE} | changes), models, challengers)


def request(subject: str = "", method: str = "POST") -> Request:
    return Request({"type": "http", "method": method, "state": {"subject": subject.encode()}})


def chosen(rollout: Rollout, subjects=SUBJECTS) -> list[str]:
    """Return the version that each subject gets."""
    return [rollout.model_for(request(subject)).version for subject in subjects]


def within_its_interval(found: int, of: int) -> bool:
    """Whether so many of the challenger's can be SHARE of all, which chance denies once in ten thousand times."""
    low, high = binom.interval(0.9999, of, SHARE)
    return bool(low <= found <= high)


def test_a_share_of_the_subjects_gets_the_challenger_and_each_the_same_every_time(models, challengers):
    many = [f"person{i}" for i in range(5000)]
    first = chosen(rollout(models, challengers), many)
    assert within_its_interval(first.count("8"), 5000)
    assert chosen(rollout(models, challengers), many) == first  # of another process as well
    larger = chosen(rollout(models, challengers, canary_share=0.6), many)
    assert all(new == "8" for old, new in zip(first, larger, strict=True) if old == "8")


def test_the_draw_depends_on_the_key_and_on_the_challenger(models, challengers):
    first = chosen(rollout(models, challengers))
    assert chosen(rollout(models, challengers, subject_key="key")) != first
    challengers.loaded = replace(challengers.loaded, version="9")
    assert [version == "9" for version in chosen(rollout(models, challengers))] != [each == "8" for each in first]


def test_without_a_subject_each_request_is_drawn(models, challengers):
    drawn = chosen(rollout(models, challengers), [""] * 5000)
    assert within_its_interval(drawn.count("8"), 5000)


@pytest.mark.parametrize("mode", ["off", "shadow"])
def test_only_a_canary_lets_the_challenger_answer(models, challengers, mode):
    assert set(chosen(rollout(models, challengers, rollout=mode, prediction_log="sqlite:///log.db"))) == {"7"}


def test_a_challenger_never_answers_as_the_champion_or_anything_but_predictions(models, challengers):
    canary = rollout(models, challengers)
    assert {canary.model_for(request(subject, "GET")).version for subject in SUBJECTS} == {"7"}
    assert set(chosen(canary)) == {"7", "8"}
    challengers.loaded = replace(challengers.loaded, version="7")
    assert canary.challenger() is None
    assert {canary.model_for(request(subject)).predictor for subject in SUBJECTS} == {models.loaded.predictor}


def test_the_challenger_makes_nothing_ready(canary, models, challengers):
    models.missing = "train one"
    assert canary.get("/readyz").status_code == 503
    assert canary.post("/v1/prices", json={"houses": [house()]}).status_code == 503
    models.missing, challengers.missing = "", "none yet"
    assert canary.get("/readyz").is_success
    assert canary.get("/v1/model").json()["rollout"] == {"mode": "canary", "challenger": None, "stepped_back": None}


def ask(client: httpx.Client, subject: str) -> tuple[str, float]:
    """Return which version says that it answers, and what it answers."""
    answer = client.post("/v1/prices", json={"houses": [house()]}, headers={"X-Subject": subject})
    body = answer.raise_for_status().json()
    return body["model"]["version"], body["prices"][0]


@contextmanager
def load(client: httpx.Client) -> Iterator[Callable[[], list[tuple[str, str, float]]]]:
    """Ask without a pause; what is yielded returns a round of all subjects that began after it was called."""
    answers: list[tuple[str, str, float]] = []
    stop, numbers = threading.Event(), count()

    def run() -> None:
        with httpx.Client(base_url=client.base_url, trust_env=False, timeout=30) as own:
            while not stop.is_set():
                subject = SUBJECTS[next(numbers) % len(SUBJECTS)]
                answers.append((subject, *ask(own, subject)))

    def next_round() -> list[tuple[str, str, float]]:
        settled = len(answers) + 8  # those under way began before, and they end in any order
        end = settled + len(SUBJECTS) + 8
        eventually(lambda: len(answers) >= end or any(thread.done() for thread in threads))
        return answers[settled:end]

    with ThreadPoolExecutor(4) as executor:
        threads = [executor.submit(run) for _ in range(4)]
        try:
            yield next_round
        finally:
            stop.set()
            for thread in threads:
                thread.result()  # no request failed
    assert {(version, price) for _, version, price in answers} == set(EXPECTED.items())


def test_no_request_fails_while_models_come_and_go(canary, models, challengers):
    champion, challenger = models.loaded, challengers.loaded
    challengers.missing = "no challenger"

    def versions() -> dict[str, str]:
        return {subject: version for subject, version, _ in next_round()}

    with load(canary) as next_round:
        assert set(versions().values()) == {"7"}
        challengers.missing = ""
        first = versions()
        assert within_its_interval(list(first.values()).count("8"), len(first))
        assert versions() == first
        challengers.missing = "taken back"
        assert set(versions().values()) == {"7"}
        challengers.missing = ""
        assert versions() == first
        models.loaded = challenger  # promoted
        assert set(versions().values()) == {"8"}
        models.loaded, challengers.missing = champion, "no challenger"  # rolled back
        assert set(versions().values()) == {"7"}


def broken(areas: list[float]) -> list[float]:
    raise RuntimeError("a bug")


def mute(areas: list[float]) -> list[float]:
    return [0.0 for _ in areas]  # which the demo calls an abstention


@pytest.mark.parametrize(("predictor", "guard"), [(broken, "errors"), (mute, "abstention")])
def test_a_challenger_that_does_harm_steps_back(canary, challengers, caplog, predictor, guard):
    challengers.loaded = replace(challengers.loaded, predictor=predictor)

    def statuses() -> Counter[int]:
        body = {"houses": [house()]}
        return Counter(canary.post("/v1/prices", json=body, headers={"X-Subject": each}).status_code for each in people)

    people = SUBJECTS
    seen = statuses()
    assert seen[200] + seen[500] == len(people)
    assert (seen[500] >= 10) == (guard == "errors")
    eventually(lambda: canary.get("/v1/model").json()["rollout"]["stepped_back"])
    state = canary.get("/v1/model").json()["rollout"]
    assert (state["challenger"], state["stepped_back"].partition(":")[0]) == ("8", guard)
    assert [record.getMessage().split(",")[0] for record in caplog.records if record.name.endswith("rollout")] == [
        "version 8 steps back"
    ]
    assert f'canary_stepped_back{{reason="{guard}"}} 1.0' in canary.get("/metrics").text
    assert statuses() == {200: len(people)}

    challengers.loaded = replace(challengers.loaded, version="9", predictor=dearer)
    people = SUBJECTS[:40]
    assert {ask(canary, subject)[0] for subject in people} == {"7", "9"}
    assert canary.get("/v1/model").json()["rollout"]["stepped_back"] is None
    assert f'canary_stepped_back{{reason="{guard}"}} 0.0' in canary.get("/metrics").text


def test_a_slow_challenger_steps_back(models, challengers, monkeypatch, caplog):
    caplog.set_level(logging.ERROR)
    clock = [0.0]
    monkeypatch.setattr("portfolio_shared.serving.rollout.time.perf_counter", lambda: clock[0])
    canary = rollout(models, challengers)
    for subject in SUBJECTS:
        asked = request(subject)
        version = canary.model_for(asked).version
        clock[0] += 0.03 if version == "8" else 0.01
        observe = getattr(asked.state, "canary", None)
        if observe is not None:
            observe(200, {"predicted": (version, 1)})
    assert canary.challenger() is None
    assert canary.info().stepped_back == "latency: it takes 3.00 times as long as the champion"


def test_answers_are_counted_by_who_gave_them(canary):
    got = Counter(ask(canary, subject)[0] for subject in SUBJECTS)
    arms = {"champion": got["7"], "challenger": got["8"]}
    eventually(
        lambda: all(
            f'canary_requests_total{{arm="{arm}"}} {n}.0' in canary.get("/metrics").text for arm, n in arms.items()
        )
    )


def test_a_service_without_a_canary_has_no_metrics_of_one(client):
    assert "canary" not in client.get("/metrics").text


def test_the_challenger_is_looked_for_and_watched_beside_the_champion(canary, models, challengers):
    assert (models.refreshes, challengers.refreshes) == (1, 1)
    eventually(lambda: models.watching and challengers.watching)
