"""A retraining: what it reads, what it is told, and how it ends."""

import io
import json
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from portfolio_shared.config import TrainSettings, command_settings
from portfolio_shared.operations import retrain as module
from portfolio_shared.operations.commands import retrain_command
from portfolio_shared.operations.database import StoreError
from portfolio_shared.operations.retrain import PASSED, REFUSED, TAKEN, TOO_LITTLE, Plan, retrain
from portfolio_shared.operations.store import Feedback, LoggedPrediction, connect
from portfolio_shared.serving.settings import ServiceSettings
from portfolio_shared.terminal import run_command
from portfolio_shared.tracking.registry import GateDecision
from portfolio_shared.tracking.turns import TakenError
from portfolio_shared.training import Result

PROJECT = SimpleNamespace(name="toy")


class Options(TrainSettings):
    """Train."""

    model_config = command_settings("TOY_TRAIN_")
    tracking_uri: str = "http://here:1"
    output: Path = Path("bundle")


OPTIONS = Options()


class Service(ServiceSettings):
    model_config = ServiceSettings.model_config | command_settings("TOY_")
    port: int = 1
    model_name: str = "toy"


@dataclass
class Training:
    """Stands for the training; keeps what it was given, and the gate decides as it is told."""

    outcome: str = "waiting"
    given: list = field(default_factory=list)

    def __call__(self, project, config, console, **options):
        self.given.append(options)
        return Result(config.output, None, GateDecision(self.outcome, "because"))


@pytest.fixture
def training(monkeypatch):
    training = Training()
    monkeypatch.setattr(module, "run", training)
    monkeypatch.setattr(module, "only_one", lambda *_, **__: nullcontext())
    return training


@pytest.fixture
def tell(tmp_path):
    """Give feedback to a log: names of clients and weights, of a thing each."""

    def tell(told, url=f"sqlite:///{tmp_path}/log.db"):
        with closing(connect(url)) as store:
            for i, (client, weight) in enumerate(told):
                store.insert([LoggedPrediction(f"p{i}", i, "toy", "1", "/v1/toys", "", 1, 1.0, f"[{i}]", "[1.0]")])
                assert store.add_feedback(Feedback(f"p{i}", 0, float(i + 1), client, json.dumps({"weight": weight})))
        return url

    return tell


@pytest.fixture
def retrained(watch, tmp_path):
    """Retrain with a log; return the exit code and what was said."""

    def retrained(log, config=OPTIONS, **changes):
        plan = Plan(watch, log, "schedule", may_promote=False, anyway=False, state=tmp_path / "state")
        said = io.StringIO()
        code = retrain(PROJECT, config, replace(plan, **changes), Console(file=said, width=200, markup=False))
        return code, said.getvalue()

    return retrained


def honest(n):
    return [(f"client {i}", 1.0) for i in range(n)]


@pytest.mark.parametrize("outcome", ["promoted", "waiting", "refused"])
@pytest.mark.parametrize("may_promote", [True, False])
def test_the_gate_decides_how_it_ends(training, tell, retrained, outcome, *, may_promote):
    training.outcome = outcome
    code, _ = retrained(tell(honest(40)), may_promote=may_promote)
    assert code == (REFUSED if outcome == "refused" else PASSED)
    (given,) = training.given
    assert (given["why"], given["may_promote"]) == ("schedule", may_promote)


@pytest.mark.long
def test_it_learns_from_the_log_of_a_service_whatever_holds_it(training, tell, retrained, store_url):
    code, said = retrained(tell(honest(40), store_url))
    (given,) = training.given
    lessons = given["lessons"]
    assert code == PASSED
    assert len(lessons.learned) + len(lessons.held_back) == 40
    assert "What became of 40 truths" in said
    assert "WARNING" not in said


@pytest.mark.parametrize("anyway", [False, True])
def test_too_little_feedback_is_a_line_and_no_training(training, tell, retrained, *, anyway):
    code, said = retrained(tell(honest(29)), anyway=anyway)
    assert code == (PASSED if anyway else TOO_LITTLE)
    assert len(training.given) == anyway
    assert ("toy: 29 truths are believed, fewer than 30: wait for more, or --anyway" in said) != anyway


def test_without_names_of_clients_there_is_always_too_little_which_is_said(training, tell, retrained):
    code, said = retrained(tell([("", 1.0)] * 1000))
    assert code == TOO_LITTLE
    assert "20 truths are believed, fewer than 30; without a subject key all who give feedback count as one" in said
    assert "more than one client may say" in said
    assert not training.given


def test_no_feedback_at_all_is_too_little(training, tell, retrained):
    assert retrained(tell([])) == (
        TOO_LITTLE,
        "toy: 0 truths are believed, fewer than 30: wait for more, or --anyway\n",
    )


@pytest.mark.parametrize(("false", "warned"), [(20, True), (10, False)])
def test_false_feedback_is_seen_by_a_person(training, tell, retrained, false, *, warned):
    _, said = retrained(tell([*honest(100 - false), *[(f"liar {i}", 5000.0) for i in range(false)]]))
    assert f"doubted: too heavy │ {false:6} │ {false:4}%".replace(" ", "") in said.replace(" ", "")
    assert (f"toy: WARNING: {false} of 100 truths ({false}%) are not believed" in said) is warned
    assert training.given[0]["lessons"].counts["doubted: too heavy"] == false


def test_while_another_one_runs_there_is_a_line_and_nothing_is_read(training, retrained, monkeypatch):
    @contextmanager
    def taken(name, folder, *, tracking_uri):
        assert (name, folder.name, tracking_uri) == ("toy", "state", "http://here:1")
        raise TakenError("another retraining of toy runs")
        yield

    monkeypatch.setattr(module, "only_one", taken)
    assert retrained("sqlite:///none.db") == (TAKEN, "toy: another retraining of toy runs\n")
    assert not training.given


@pytest.mark.usefixtures("training")
def test_what_is_not_there_is_named(retrained, tmp_path):
    with pytest.raises(StoreError, match="there is no prediction log at"):
        retrained(f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(ValueError, match="name the MLflow server by --tracking-uri"):
        retrained("sqlite:///none.db", Options(tracking_uri=""))


@pytest.fixture
def command(watch, monkeypatch, tmp_path):
    """Run the command of a project whose modules are stand-ins; return the plan and the settings of each retraining."""
    calls = []
    package = {"toy.train": SimpleNamespace(PROJECT=PROJECT), "toy.serving.observe": SimpleNamespace(WATCH=watch)}
    monkeypatch.setattr("portfolio_shared.operations.commands.import_module", package.__getitem__)
    monkeypatch.setattr(module, "retrain", lambda *call: calls.append(call) or REFUSED)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        commands = {"retrain": retrain_command("toy", "toy", Options, Service)}
        with pytest.raises(SystemExit) as ended:
            run_command("toy", commands, ["retrain", *arguments])
        return ended.value.code, calls

    return run


def test_flags_and_variables_are_the_plan(command, monkeypatch):
    code, calls = command("--why", "drift", "--seed", "3", "--prediction-log", "sqlite:///elsewhere.db")
    monkeypatch.setenv("TOY_TRAIN_PROMOTE", "true")
    monkeypatch.setenv("TOY_PREDICTION_LOG", "postgresql://db/log")
    command("--anyway")
    (project, config, plan), (_, _, other) = calls
    assert (code, project) == (REFUSED, PROJECT)
    assert (config.seed, config.output) == (3, Path(".state/retrain/toy/bundle"))
    assert (plan.log, plan.why, plan.may_promote, plan.anyway) == ("sqlite:///elsewhere.db", "drift", False, False)
    assert (other.log, other.why, other.may_promote, other.anyway) == ("postgresql://db/log", "hand", True, True)


def test_what_python_and_docker_end_with_is_no_model_that_was_refused():
    assert 1 not in {PASSED, TOO_LITTLE, TAKEN, REFUSED}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--prediction-log", "off"], "the service keeps no predictions"),
        (["--if-missing", "True"], "if_missing: Input should be False"),
        (["--why", "boredom"], "why: Input should be"),
    ],
)
def test_an_error_has_an_exit_code_of_its_own(command, capsys, arguments, problem):
    assert command(*arguments) == (3, [])
    assert problem in capsys.readouterr().err
