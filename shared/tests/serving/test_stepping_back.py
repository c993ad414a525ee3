"""A challenger that does harm: what takes it out of service, after how many failures, and whom it has kept waiting."""

import asyncio
import logging
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from demo_service import DemoSettings, create_app, eventually, house, serving
from two_models import SHARE, SUBJECTS, ask, chosen, higher, request, rollout

from portfolio_shared.serving.app import pools_of
from portfolio_shared.serving.rollout import Rollout


def broken(areas: list[float]) -> list[float]:
    raise RuntimeError("a bug")


def mute(areas: list[float]) -> list[float]:
    return [0.0 for _ in areas]  # which the demo calls an abstention


@pytest.mark.long
@pytest.mark.parametrize(("predictor", "guard"), [(broken, "errors"), (mute, "abstention")])
def test_a_challenger_that_does_harm_steps_back(canary, challengers, caplog, predictor, guard):
    challengers.loaded = replace(challengers.loaded, predictor=predictor)

    def statuses() -> Counter[int]:
        body = {"houses": [house()]}
        return Counter(canary.post("/v1/prices", json=body, headers={"X-Subject": each}).status_code for each in people)

    people = SUBJECTS
    seen = statuses()
    assert seen[200] + seen[500] == len(people)
    assert (10 <= seen[500] < 40) == (guard == "errors")
    eventually(lambda: canary.get("/v1/model").json()["rollout"]["stepped_back"])
    state = canary.get("/v1/model").json()["rollout"]
    assert (state["challenger"], state["stepped_back"].partition(":")[0]) == ("8", guard)
    assert [record.getMessage().split(",")[0] for record in caplog.records if record.name.endswith("rollout")] == [
        "version 8 steps back"
    ]
    assert f'canary_stepped_back{{reason="{guard}"}} 1.0' in canary.get("/metrics").text
    assert statuses() == {200: len(people)}

    challengers.loaded = replace(challengers.loaded, version="9", predictor=higher)
    people = SUBJECTS[:40]
    assert {ask(canary, subject)[0] for subject in people} == {"7", "9"}
    assert canary.get("/v1/model").json()["rollout"]["stepped_back"] is None
    assert f'canary_stepped_back{{reason="{guard}"}} 0.0' in canary.get("/metrics").text


def test_a_challenger_that_hangs_keeps_nobody_waiting_but_its_own(models, challengers, web):
    released = threading.Event()
    challengers.loaded = replace(challengers.loaded, predictor=lambda _: released.wait(20))
    settings = DemoSettings(
        rollout="canary", canary_share=SHARE, subject_key="key", request_timeout_seconds=0.1, max_concurrent_requests=20
    )
    own = dict(zip(SUBJECTS, chosen(rollout(models, challengers, subject_key="key")), strict=True))
    with serving(create_app(settings, models, web, challengers=challengers)) as client:

        def status(subject: str) -> tuple[str, int]:
            body = {"houses": [house()]}
            return own[subject], client.post("/v1/prices", json=body, headers={"X-Subject": subject}).status_code

        with ThreadPoolExecutor(4) as executor:
            seen = Counter(executor.map(status, SUBJECTS))
        released.set()
        assert client.get("/v1/model").json()["rollout"]["stepped_back"].startswith("errors: ")
    assert {status for version, status in seen if version == "7"} == {200}
    assert 10 <= seen["8", 503] < 40


@pytest.mark.parametrize("before", [200, 422])
def test_a_past_without_failures_hides_no_failure(models, challengers, before):
    canary = rollout(models, challengers, canary_share=0.5)

    def answer(of_challenger: int) -> int:
        """Answer a request, and return whether it failed."""
        asked = request()
        version = canary.model_for(asked).version
        failed = version == "8" and canary.info().stepped_back is None and of_challenger > 5000
        observe = getattr(asked.state, "canary", lambda *_: None)
        observe(500 if failed else before if version == "8" else 200, {})
        seen[version] += 1
        return failed

    seen: Counter[str] = Counter()
    failures = sum(answer(seen["8"]) for _ in range(10_400))
    assert canary.info().stepped_back.startswith("errors: ")
    assert 10 <= failures <= 40


def test_what_is_answered_after_a_window_has_ended_counts_in_the_next(models, challengers):
    canary = rollout(models, challengers, canary_share=0.5)
    waiting = [request() for _ in range(200)]
    for asked in waiting:
        asked.state.version = canary.model_for(asked).version
    for _ in range(1500):
        asked = request()
        version = canary.model_for(asked).version
        asked.state.canary(200, {"predicted": (version, 1)})
    for asked in waiting:
        asked.state.canary(503 if asked.state.version == "8" else 200, {"predicted": (asked.state.version, 1)})
    assert canary.info().stepped_back.startswith("errors: ")


def hang(areas: list[float]) -> list[float]:
    time.sleep(0.02)
    return areas


@pytest.mark.parametrize("case", [(higher, None), (broken, "errors"), (hang, "errors")], ids=["good", "broken", "slow"])
def test_where_both_answer_the_challenger_has_a_short_time_and_guards(models, challengers, caplog, monkeypatch, case):
    predictor, guard = case
    monkeypatch.setattr("portfolio_shared.serving.app.INTERLEAVED_SECONDS", 0.005 if predictor is hang else 1.0)
    challengers.loaded = replace(challengers.loaded, predictor=predictor)
    settings = DemoSettings(subject_key="key").model_copy(update={"rollout": "interleave"})
    both = Rollout(settings, models, challengers)

    async def ask_all() -> Counter[tuple[float, float | None]]:
        pool, own = pools_of(settings, None)
        answers: Counter[tuple[float, float | None]] = Counter()
        for subject in SUBJECTS[:60]:
            if (challenger := both.challenger()) is None:
                break
            asked = request(subject, pool=pool, challenger_pool=own)
            first, second = await both.both(asked, (models.loaded, challenger), lambda predictor: predictor([120.0]))
            answers[first[0], second and second[0]] += 1
        await pool.close()
        await own.close()
        return answers

    answers = asyncio.run(ask_all())
    found = both.info().stepped_back
    assert (found and found.partition(":")[0]) == guard
    assert answers == ({(12_000.0, None): 20} if guard else {(12_000.0, 24_000.0): 60})
    assert [family.name for family in both.collect()] == ["canary_requests", "canary_stepped_back"]
    assert ("version 8, failed: the champion answers alone" in caplog.text) == bool(guard)


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
