"""Two models in each project's service, under requests that never stop: who gets whose answer while models come and go.

One story, which services live through at the same time: one gives a share of the subjects the challenger's answers, one
asks the challenger for the log alone, and one of films gives lists of both models.
"""

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, field
from itertools import count
from typing import Any, get_args

import httpx
import pytest
from registry_actors import Door, Registry, Service, answers_alone, ask
from scipy.stats import binom
from small_models import SmallModel

from mlflow_server import local_port, running_server
from portfolio_shared.operations.store import connect
from portfolio_shared.serving.registry_client import RegistryClient
from portfolio_shared.tracking.client import tracking_client
from portfolio_shared.tracking.registry import CHALLENGER, mark_challenger, promote, rollback
from processes import free_port

pytestmark = [pytest.mark.slow, pytest.mark.long]

SHARE = 0.3
SUBJECTS = [f"person{i}@example.org" for i in range(120)]

CLIENTS = 2
"""Of each service: as many as it has threads. With more it refuses one where the machine stands still, as it should."""

Eventually = Callable[[Callable[[], object], str], None]
Versions = dict[str, set[str]]  # of each subject


@pytest.fixture(scope="module")
def registry(small: SmallModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry of its own: version 1 is the champion, a poor model; version 2, a good one, has been rolled back."""
    state = tmp_path_factory.mktemp("mlflow")
    with running_server(state=state, port=free_port()) as server:
        door = Door(local_port(server.uri))
        made = Registry(door, small, state / "artifacts", tmp_path_factory.mktemp("trained") / "bundle")
        made.train(small.poor)
        made.train(small.trained)
        assert rollback(made.name, tracking_uri=made.uri).version == "1"
        yield made
        door.shut()


@pytest.fixture(scope="module")
def expected(small: SmallModel, serving: Any, eventually: Eventually, tmp_path_factory: Any) -> dict[str, str]:
    return answers_alone(small, serving, eventually, tmp_path_factory.mktemp("poor"))


def modes_of(small: SmallModel) -> list[str]:
    """Return what a service can do with a challenger."""
    offered = get_args(small.module("config").ServeSettings.model_fields["rollout"].annotation)
    return [mode for mode in offered if mode != "off"]


@dataclass
class Requests:
    """Asks for one subject after the other, `CLIENTS` at a time; keeps every answer and every failure."""

    service: Service
    small: SmallModel
    answers: list[tuple[str, str, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    numbers: Iterator[int] = field(default_factory=count)

    def run(self) -> None:
        with httpx.Client(base_url=self.service.client.base_url, trust_env=False, timeout=30) as client:
            while not self.stop.wait(0.01):
                subject = SUBJECTS[next(self.numbers) % len(SUBJECTS)]
                client.headers["x-subject"] = subject
                try:
                    self.answers.append((subject, *ask(client, self.small)))
                except (httpx.HTTPError, ValueError, LookupError) as error:
                    self.failures.append(repr(error))

    def versions(self, eventually: Eventually) -> Versions:
        """Return which versions answer each subject in a round that begins now."""
        begin = len(self.answers) + 8  # those under way began before, and they end in any order
        end = begin + len(SUBJECTS) + 8
        eventually(lambda: len(self.answers) >= end or self.failures, "a round of all subjects")
        found = defaultdict(set)
        for subject, version, _ in self.answers[begin:end]:
            found[subject].add(version)
        return found


@dataclass
class Story:
    """Both services by what they do with the challenger, and what they answered at each step."""

    registry: Registry
    requests: dict[str, Requests]
    eventually: Eventually
    log: str
    steps: dict[str, dict[str, Versions]] = field(default_factory=dict)

    def step(self, name: str, *, champion: str, challenger: str | None) -> None:
        """Wait until both services know the models, and note a round of answers of each."""
        for mode, requests in self.requests.items():
            service = requests.service
            service.follows_to(champion)
            known = {"mode": mode, "challenger": challenger, "stepped_back": None}
            self.eventually(lambda: service.client.get("/v1/model").json()["rollout"] == known, f"{name}: {known}")  # noqa: B023 - called at once
        self.steps[name] = {mode: requests.versions(self.eventually) for mode, requests in self.requests.items()}


@pytest.fixture(scope="module")
def story(
    registry: Registry,
    running_service: Callable[..., AbstractContextManager[Service]],
    tmp_path_factory: pytest.TempPathFactory,
    eventually: Eventually,
) -> Iterator[Story]:
    place = tmp_path_factory.mktemp("services")
    log = f"sqlite:///{place}/log.db"
    common = {"tracking_uri": registry.uri, "model_poll_seconds": 0.1, "prediction_log": log, "canary_share": SHARE}
    requests: dict[str, Requests] = {}
    with ExitStack() as stack:
        for mode in modes_of(registry.small):
            own = {"model_cache": place / mode / "models", "rollout": mode, "subject_key": "key"}
            service = stack.enter_context(running_service(registry.name, place / mode, **common, **own))
            requests[mode] = Requests(service, registry.small)
        executor = stack.enter_context(ThreadPoolExecutor(CLIENTS * len(requests)))
        for each in requests.values():
            stack.callback(each.stop.set)
            each.service.follows_to("1")
        running: list[Future[None]] = [executor.submit(each.run) for each in requests.values() for _ in range(CLIENTS)]
        told = Story(registry, requests, eventually, log)
        tell(told)
        yield told
        for each in requests.values():
            each.stop.set()
        for thread in running:
            thread.result()


def tell(story: Story) -> None:
    """Let a challenger come, go, come again, be promoted, and be rolled back."""
    name, uri = story.registry.name, story.registry.uri
    with RegistryClient(uri) as client:
        second = client.version(name, "2")
    story.step("alone", champion="1", challenger=None)
    mark_challenger(second, "by hand", tracking_uri=uri)
    story.step("beside", champion="1", challenger="2")
    with tracking_client(uri) as client:
        client.delete_registered_model_alias(name, CHALLENGER)
    story.step("alone again", champion="1", challenger=None)
    mark_challenger(second, "by hand", tracking_uri=uri)
    story.step("beside again", champion="1", challenger="2")
    promote(second, "by hand", tracking_uri=uri)
    story.step("promoted", champion="2", challenger=None)
    assert rollback(name, tracking_uri=uri).version == "1"
    story.step("rolled back", champion="1", challenger=None)


def test_a_share_of_the_subjects_gets_the_challenger_and_each_the_same_every_time(story: Story) -> None:
    first, again = story.steps["beside"]["canary"], story.steps["beside again"]["canary"]
    assert set(first) == set(SUBJECTS)
    assert all(len(versions) == 1 for versions in first.values())
    low, high = binom.interval(0.9999, len(first), SHARE)
    assert low <= sum(versions == {"2"} for versions in first.values()) <= high
    assert again == first


def test_only_a_canary_answers_beside_the_champion(story: Story) -> None:
    for mode in story.requests:
        beside = {"1", "2"} if mode == "canary" else {"1"}
        answered = {step: set().union(*modes[mode].values()) for step, modes in story.steps.items()}
        assert answered == {
            "alone": {"1"},
            "beside": beside,
            "alone again": {"1"},
            "beside again": beside,
            "promoted": {"2"},
            "rolled back": {"1"},
        }, mode


def test_no_request_fails_and_each_answer_is_that_of_the_version_it_names(
    story: Story, expected: dict[str, str]
) -> None:
    for mode, requests in story.requests.items():
        assert requests.failures == [], mode
        answers = {each[1:]: json.loads(each[2]).get("interleaved_with") for each in requests.answers}
        of_both = {(version, other) for (version, _), other in answers.items() if other}
        assert of_both == ({("1", "2")} if mode == "interleave" else set()), mode
        assert {each for each, other in answers.items() if not other} == set(expected.items()), mode


def test_a_shadow_answers_in_the_log(story: Story, eventually: Eventually) -> None:
    def pairs() -> set[tuple[str, str]]:
        with closing(connect(story.log)) as store:
            return set(
                store.execute(
                    "SELECT DISTINCT p.version, s.version FROM shadows s JOIN predictions p ON p.id = s.prediction"
                )
            )

    eventually(lambda: pairs() == {("1", "2")}, "the challenger's answers are in the log, beside the champion's")
