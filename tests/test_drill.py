"""The drill's story: its parts without servers, and all of it with houses."""

import os
import re
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

import drill
import drill_steps
from compose_stack import ROOT, CheckError
from drill_errors import errors_of
from drill_forget import forget
from drill_pictures import CUTS, alone, timeline
from drill_place import Place, Said, container_command, json_in, settings
from drill_scenario import Call
from drill_steps import Story, alarmed, quiet
from drill_traffic import Clients, Seen, client_of, meanwhile, require_swap
from portfolio_shared.evaluation.sections import read_section
from portfolio_shared.operations.retrain import PASSED, REFUSED
from portfolio_shared.operations.store import Feedback, LoggedPrediction, connect
from portfolio_shared.serving.prediction_log import hashed_subject
from project_table import Project, projects

CLAIM = re.compile(r"^ok +[\d.]+ s  ([^:]+): ", re.MULTILINE)
HOUSES = next(project for project in projects() if project.name == "housing")
CALLS = [Call("/v1/predictions", b"{}", "application/json", f"client {i}", drifted=False, item=i) for i in range(5)]


def clients(answer: Any) -> Clients:
    return Clients(httpx.Client(transport=httpx.MockTransport(answer), base_url="http://there"))


def answered(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/v1/feedback":
        return httpx.Response(202)
    subject = request.headers["X-Subject"]
    return httpx.Response(200, json={"id": subject, "model": {"version": "1"}})


def test_every_client_asks_and_says_what_came_true_under_its_name() -> None:
    said: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        said.extend([request] if request.url.path == "/v1/feedback" else [])
        return answered(request)

    asking = clients(answer)
    answers = asking.ask(CALLS)
    assert [each["id"] for each in answers] == [call.subject for call in CALLS]
    known = asking.tell(CALLS, answers, lambda call, _answer, _index: {"is": call.item} if call.item else None)
    assert (known, len(said)) == (4, 4)
    assert all(request.headers["X-Subject"].encode() in request.content for request in said)


@pytest.mark.parametrize("key", ["", "s3cret"])
def test_a_key_goes_along_where_the_stack_asks_for_one(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("PORTFOLIO_API_KEY", key)
    assert client_of("http://there").headers.get("X-API-Key", "") == key


@pytest.mark.parametrize("path", ["/v1/predictions", "/v1/feedback"])
def test_a_request_that_fails_is_named_with_its_answer(path: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(503, text="too busy") if request.url.path == path else answered(request)

    asking = clients(answer)
    with pytest.raises(CheckError, match=r"5.*503 too busy"):
        asking.tell(CALLS, asking.ask(CALLS), lambda *_: {"is": 1})


@pytest.mark.parametrize(
    ("versions", "failed", "said"),
    [
        (["1", "2"], ["500 no"], "1 failed.*500 no"),
        (["1", "1"], [], "of 1 and then of 2, found {'1'}"),
        (["2"], [], "of 1 and then of 2, found {'2'}"),
        (["1", "2", "1", "2"], [], "found them mixed"),
        (["1", "2", "3"], [], "found them mixed"),
    ],
)
def test_a_swap_is_one_step_without_a_failure(versions: list[str], failed: list[str], said: str) -> None:
    with pytest.raises(CheckError, match=said):
        require_swap(Seen(versions, failed), "1", "2")
    assert require_swap(Seen(["1", "1", "2"]), "1", "2") == "3 requests meanwhile, none failed"


def test_clients_go_on_asking_until_the_end_of_the_block_and_note_what_failed() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.headers["X-Subject"] == "client 3":
            raise httpx.ReadError("gone")
        return httpx.Response(429) if request.headers["X-Subject"] == "client 4" else answered(request)

    with meanwhile(clients(answer), CALLS) as seen:
        deadline = time.monotonic() + 10
        while len(seen.failed) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert seen.versions[:3] == ["1"] * 3
    assert seen.failed[:2] == ["ReadError('gone')", "429 "]


def test_an_alarm_names_what_differs_most_and_what_is_worse() -> None:
    columns = [{"name": name} for name in "abcde"]
    measures = [{"name": "x", "p": 0.001, "level": 0.005}, {"name": "y", "p": None, "level": 0.005}]
    findings = {"drift": {"columns": columns}, "performance": {"measures": measures}, "alarms": {}}
    assert alarmed(findings) == ([], [])
    assert alarmed(findings | {"alarms": {"drift": "", "performance": ""}}) == (["a", "b", "c"], measures[:1])


@pytest.mark.parametrize("outcome", ["promoted", "refused"])
def test_nothing_is_promoted_where_only_the_gate_is_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    aliases = {"champion": "1"}

    def run(_place: Place, _program: str, *arguments: str, accept: Any) -> Said:
        if outcome == "promoted" and "--promote" in arguments:
            aliases["champion"] = "2"
        assert accept == [PASSED, REFUSED]
        return Said(0, f"\nRegistered housing version 2, {outcome}")

    model = httpx.Response(200, json={"version": "1"})  # the service has not looked at the registry since
    scenario: Any = SimpleNamespace(data=lambda _folder: "sample", flags=())
    story = Story(place(tmp_path), scenario, clients(lambda _request: model), drifts=False, champion="1")
    monkeypatch.setattr(Place, "run", run)
    monkeypatch.setattr(Place, "lessons", lambda *_: {"learned": 100, "held back": 30, "said again later": 1})
    monkeypatch.setattr(drill_steps, "version_of", lambda _story, alias: aliases.get(alias, ""))
    monkeypatch.setattr(drill_steps, "read_errors", lambda _story: None)
    if outcome == "promoted":
        with pytest.raises(CheckError, match="champion of the registry: expected 1, not 2"):
            quiet(story)
    else:
        assert "of 131 truths 100 are used and 30 held back. Registered housing version 2, refused" in quiet(story)


def test_the_timeline_tells_versions_apart_and_covers_no_label_with_another() -> None:
    values = {"1": 0.2, "2": 0.1}
    points = [(float(i), "2" if 300 <= i < 400 else "1", values["2" if 300 <= i < 400 else "1"]) for i in range(500)]
    marks = [(100.0, CUTS[0]), (200.0, "alarm"), (200.5, "retrained"), (300.0, CUTS[1]), (400.0, CUTS[2])]
    drawn = timeline(points, marks, label="error < 1", new="2")
    root = ET.fromstring(alone(drawn))  # noqa: S314 - ours
    texts = [
        (text.text, float(text.attrib["x"]), text.attrib["y"]) for text in root.iter() if text.tag.endswith("text")
    ]
    assert [text for text, *_ in texts if text.startswith("v")] == ["v1: 0.2", "v1: 0.2", "v2: 0.1", "v1: 0.2"]
    assert "error < 1, mean of 25 answers" in [text for text, *_ in texts]
    places = {text: (x, y) for text, x, y in texts}
    assert places["alarm"][0] == pytest.approx(places["retrained"][0], abs=2)
    assert places["alarm"][1] != places["retrained"][1]
    dots = [circle.attrib["class"] for circle in root.iter() if circle.tag.endswith("circle")]
    assert (dots.count("dot new"), len(dots)) == (4, 20)


def test_a_story_without_a_change_is_one_phase() -> None:
    drawn = timeline([(float(i), "1", 0.5) for i in range(30)], [], label="error", new="")
    assert re.findall(r">(v[^<]+)<", drawn) == ["v1: 0.5"]


def test_what_truths_showed_is_read_from_the_log_in_the_order_of_the_answers(tmp_path: Path) -> None:
    from housing.serving.observe import WATCH

    log = f"sqlite:///{tmp_path / 'log.db'}"
    store = connect(log)
    for i, at in enumerate((30.0, 10.0)):
        response = '{"predictions": [{"price": 100000}]}'
        store.insert([LoggedPrediction(f"{i}", at, WATCH.model, f"{i}", "/", "", 1, 1.0, "{}", response)])
        store.add_feedback(Feedback(f"{i}", 0, 40.0, "", f'{{"price": {100000 * (i + 1)}}}'))
    store.close()
    found = errors_of(WATCH, log)
    assert (found["label"], found["better"]) == ("absolute log error", "lower")
    assert found["points"] == [(10.0, "1", pytest.approx(0.693, abs=0.001)), (30.0, "0", 0.0)]


@pytest.mark.parametrize(
    ("alias", "command"), [("champion", ("rollback",)), ("challenger", ("promote", "--none")), ("", ())]
)
def test_a_stack_that_is_not_the_drills_gets_back_its_log_and_its_champion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alias: str, command: tuple[str, ...]
) -> None:
    log, ran = f"sqlite:///{tmp_path / 'log.db'}", []
    asked = CALLS[:2]
    scenario: Any = SimpleNamespace(requests=lambda *_: asked)
    story = Story(place(tmp_path), scenario, clients(answered), drifts=True, champion="1", challenger="2")
    subjects = [*(call.subject for call in story.calls(2, drifted=True)), asked[0].subject]
    store = connect(log)
    for i, subject in enumerate(subjects):
        hashed = hashed_subject(subject.encode(), "key")
        store.insert([LoggedPrediction(f"{i}", 1.0, "housing", "1", "/", hashed, 1, 1.0, "{}", "{}")])
        store.add_feedback(Feedback(f"{i}", 0, 2.0, hashed, "{}"))
    monkeypatch.setattr(Place, "run", lambda _place, *arguments: ran.append(arguments))
    monkeypatch.setattr("drill_forget.WRITE_SECONDS", 0.0)
    monkeypatch.setattr(Place, "forget", lambda _place, people: forget(sorted(people), "key", log))
    monkeypatch.setattr(drill, "version_of", lambda _place, asked: "2" if asked == alias else "1")
    with pytest.raises(CheckError, match="a step fails"), drill.restored(story):
        raise CheckError("a step fails")
    kept = [prediction.id for prediction, _ in store.feedback("housing", since=0.0, until=9.0)]
    store.close()
    assert (kept, ran) == (["2"], [("project", *command)] if command else [])


def test_no_setting_of_ours_is_one_of_the_drill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOUSING_PREDICTION_LOG", "HOUSING_TRAIN_FOLDS", "PORTFOLIO_START_PAGE", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "ours")
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", "/data")
    made = settings(HOUSES, "shadow", tmp_path, mlflow="http://127.0.0.1:1", port=2)
    assert "ours" not in made.values()
    assert made["PORTFOLIO_DATA_DIR"] == "/data"
    assert made["PORTFOLIO_PREDICTION_LOG"] == f"sqlite:///{tmp_path}/predictions.db"
    assert {made[f"HOUSING_{name}"] for name in ("ROLLOUT", "PORT", "TRACKING_URI")} == {
        *("shadow", "2", "http://127.0.0.1:1")
    }
    assert len(made["HOUSING_SUBJECT_KEY"]) == 32


def place(tmp_path: Path) -> Place:
    def command(program: str, arguments: Any) -> list[str]:
        return [{"python": sys.executable, "cat": "cat"}[program], *arguments]

    return Place(HOUSES, "", "", tmp_path, tmp_path, command, os.environ, None)


def test_a_command_that_ends_otherwise_than_expected_is_named_with_what_it_wrote(tmp_path: Path) -> None:
    here = place(tmp_path)
    with pytest.raises(CheckError, match=r"(?s)python -c .*: expected exit status 0 or 2, not 1.*too bad"):
        here.run("python", "-c", "raise SystemExit('too bad')", accept=(0, 2))
    (tmp_path / "found.json").write_text('{"a": 1}')
    assert here.read_json(Path("found.json")) == json_in('Container x Running\n{"a": 1}\nmore') == {"a": 1}


def test_containers_that_have_the_log_read_it_and_those_that_train_train() -> None:
    command = container_command(HOUSES)
    run = ["docker", "compose", "run", "--rm", "--no-deps", "--no-TTY"]
    assert command("project", ["monitor", "--window", "9s"]) == [*run, "housing-monitor", "monitor", "--window", "9s"]
    assert command("python", ["-c", "1"]) == [*run, "--entrypoint", "python", "housing-monitor", "-c", "1"]
    assert command("project", ["retrain"]) == [*run, "housing-retrain", "retrain"]


def test_a_project_without_a_scenario_is_refused_with_those_that_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drill, "scenario_file", lambda project: Path(__file__ if project == HOUSES else "nowhere"))
    assert drill.project_of("housing") == HOUSES
    with pytest.raises(CheckError, match=r"PROJECT=horses: expected one of housing$"):
        drill.project_of("horses")


@pytest.mark.parametrize("project", [project for project in projects() if drill.scenario_file(project).exists()])
def test_the_runbook_shows_the_story_as_it_is_told(project: Project) -> None:
    told = read_section(ROOT / "docs/operations.md", f"drill-{project.name}")
    assert told, f"make drift-demo PROJECT={project.name} FLAGS=--docs"
    assert CLAIM.findall(told) == [claim for claim, _ in (*drill.BEFORE, *drill.CHANGE)]
    assert (ROOT / f"docs/drill_{project.package}.svg").stat().st_size < 20_000
