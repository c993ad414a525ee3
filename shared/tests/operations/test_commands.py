"""compare and promote, as a person or a schedule runs them."""

import json
from contextlib import closing

import numpy as np
import pytest
from pydantic_settings import SettingsConfigDict

from portfolio_shared.config import TrainSettings, command_settings
from portfolio_shared.operations.commands import compare_command, promote_command
from portfolio_shared.operations.store import Feedback, Shadow, connect
from portfolio_shared.serving.registry_client import RegistryClient
from portfolio_shared.serving.settings import ServiceSettings
from portfolio_shared.terminal import run_command
from portfolio_shared.tracking.client import tracking_client
from portfolio_shared.tracking.registry import CHALLENGER, CHAMPION, rollback
from portfolio_shared.tracking.runs import tracked_run


class Service(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="TOY_")
    port: int = 1
    model_name: str = "toy"


class Train(TrainSettings):
    model_config = command_settings("TOY_TRAIN_")


@pytest.fixture
def compared(toy, monkeypatch, tmp_path, capsys):
    """Arguments -> exit status, what was printed, and the record."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOY_PREDICTION_LOG", toy.url)
    monkeypatch.setattr("portfolio_shared.operations.commands.import_module", lambda name: {"toy": toy}[name])
    command = compare_command("toys", "toy:watch", Service)

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            run_command("toys", {"compare": command}, ["compare", *arguments])
        record = tmp_path / ".state/compare/toys/comparison.json"
        found = json.loads(record.read_text("utf-8")) if record.exists() else {}
        printed = capsys.readouterr()
        return ended.value.code, printed.out + printed.err, found

    return run


def answered(toy, best, *, n=120):
    """Log what both models answered to n clients, whose truths lie around `best`: 1 is the champion's answer."""
    ids = toy.predicted(toy.things(n, seed=1), version="3")
    truths = np.random.default_rng(0).normal(best, 0.2, n)
    with closing(connect(toy.url)) as store:
        store.insert_shadows(Shadow(name, "4", toy.now, 1.0, "[1.2]") for name in ids)
        for name, truth in zip(ids, truths.tolist(), strict=True):
            store.add_feedback(Feedback(name, 0, toy.now, name, json.dumps({"weight": truth})))


BOTH = ("--champion", "3", "--challenger", "4")


@pytest.mark.parametrize(("best", "status", "decision"), [(1.3, 0, "promote"), (0.9, 1, "keep"), (1.1, 2, "go on")])
def test_the_exit_status_is_the_decision(toy, compared, best, status, decision):
    answered(toy, best)
    code, printed, record = compared(*BOTH)
    assert (code, record["decision"], record["n"]) == (status, decision, 120)
    assert f"toys: {record['summary']}" in printed
    assert ".state/compare/toys/report.html" in printed
    assert ("`toys promote --none` takes the challenger out" in printed) is (decision == "keep")


def test_what_is_worth_a_change_and_the_level_are_flags(toy, compared):
    answered(toy, 1.1, n=200)
    assert compared(*BOTH, "--worthwhile", "0.1")[0] == 1
    assert compared(*BOTH, "--alpha", "0.01")[2]["alpha"] == 0.01


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no answer from http://127.0.0.1:1"),
        ((*BOTH, "--prediction-log", "sqlite:///nowhere.db"), "there is no prediction log at nowhere.db"),
        ((*BOTH, "--alpha", "0"), "alpha: Input should be greater than 0"),
        (("--champoin", "3"), "--help lists the flags"),
    ],
)
def test_every_error_has_a_status_of_its_own(monkeypatch, compared, arguments, said):
    monkeypatch.setenv("TOY_TRACKING_URI", "http://127.0.0.1:1")
    code, printed, _ = compared(*arguments)
    assert code == 3
    assert said in printed


@pytest.mark.parametrize("missing", [CHAMPION, CHALLENGER])
def test_an_alias_that_is_not_there_is_named(monkeypatch, compared, missing):
    monkeypatch.setattr(RegistryClient, "alias", lambda self, name, alias: None)
    given = {CHAMPION: BOTH[2:], CHALLENGER: BOTH[:2]}[missing]
    code, printed, _ = compared(*given)
    assert code == 3
    assert f"toy has no {missing} in the registry: name its version by --{missing}, or train one" in printed


@pytest.fixture
def registered(mlflow_server, request):
    """Two versions with a digest and one without; the first is the champion, the second the challenger."""
    name = request.node.name
    with (
        tracked_run(mlflow_server, experiment="promote", run_name="a") as run,
        tracking_client(mlflow_server) as client,
    ):
        client.create_registered_model(name)
        for tags in ({"bundle_sha256": "c" * 64, "data_source": "full"},) * 2 + ({},):
            client.create_model_version(name, f"runs:/{run.run_id}/model", run_id=run.run_id, tags=tags)
        client.set_registered_model_alias(name, CHAMPION, "1")
        client.set_registered_model_alias(name, CHALLENGER, "2")
    return name


def aliases(name, uri):
    with tracking_client(uri) as client:
        return {alias: str(version) for alias, version in client.get_registered_model(name).aliases.items()}


@pytest.mark.long
def test_a_person_takes_the_challenger_out(registered, mlflow_server, capsys):
    def run(*arguments):
        commands = {"promote": promote_command(registered, Train)}
        run_command("toys", commands, ["promote", "--tracking-uri", mlflow_server, "--none", *arguments])
        return capsys.readouterr().out.strip()

    with pytest.raises(SystemExit, match="--none takes the challenger out, and promotes no version"):
        run("3")
    assert run() == f"{registered}: version 2 waits as challenger no more"
    assert aliases(registered, mlflow_server) == {CHAMPION: "1"}
    with tracking_client(mlflow_server) as client:
        assert client.get_model_version(registered, "2").tags["gate"] == "taken out by hand"
    with pytest.raises(SystemExit, match="has no challenger"):
        run()


@pytest.mark.long
def test_a_person_promotes_and_may_go_back(registered, mlflow_server, capsys):
    def run(*arguments):
        commands = {"promote": promote_command(registered, Train)}
        run_command("toys", commands, ["promote", "--tracking-uri", mlflow_server, *arguments])
        return capsys.readouterr().out.strip()

    back = f"`{registered} rollback` goes back"
    assert run() == f"{registered}: version 2 is champion instead of version 1; {back}"
    assert aliases(registered, mlflow_server) == {CHAMPION: "2"}
    with tracking_client(mlflow_server) as client:
        assert client.get_model_version(registered, "2").tags["gate"] == "by hand"
    assert run("2") == f"{registered}: version 2 is champion already"
    for arguments, said in [((), "has no challenger"), (("3",), "has no tag bundle_sha256"), (("9",), "no version 9")]:
        with pytest.raises(SystemExit, match=said):
            run(*arguments)
    assert aliases(registered, mlflow_server) == {CHAMPION: "2"}
    assert rollback(registered, tracking_uri=mlflow_server).version == "1"
