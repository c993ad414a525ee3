"""A canary: who gets the challenger's answer, what takes it out of service, and that no request fails for any of it."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import count

import httpx
import pytest
from demo_service import eventually, house
from scipy.stats import binom
from two_models import SHARE, SUBJECTS, ask, chosen, request, rollout

EXPECTED = {"7": 12_000.0, "8": 24_000.0}  # of the house: each version can be told by its answer


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


@pytest.mark.long
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
