"""The spine of a training: what is written, what is logged while it runs, and what becomes of it."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from pydantic_settings import SettingsConfigDict
from rich.console import Console

from portfolio_shared.bundle import bundle_digest, read_manifest
from portfolio_shared.config import TrainSettings
from portfolio_shared.data.checks import DataReport
from portfolio_shared.data.sources import Source
from portfolio_shared.evaluation.uncertainty import Interval, PairedComparison
from portfolio_shared.operations.lessons import Lesson, Lessons
from portfolio_shared.operations.store import LoggedPrediction
from portfolio_shared.operations.watch import read_reference
from portfolio_shared.results import Candidate, Trained
from portfolio_shared.serving.registry_client import champion_of
from portfolio_shared.signatures import VARIABLE, SigningKeyError, check_signature, public_keys, read_signature
from portfolio_shared.tracking import runs
from portfolio_shared.tracking.client import TrackingUnavailable, tracking_client
from portfolio_shared.tracking.registry import GateDecision
from portfolio_shared.tracking.runs import Run
from portfolio_shared.training import Project, Result, run

BETTER = PairedComparison(Interval(-0.2, -0.3, -0.1), probability_better=1.0, n=50)
SAME = PairedComparison(Interval(0.0, -0.01, 0.01), probability_better=0.5, n=50)


class ToyConfig(TrainSettings):
    model_config = SettingsConfigDict(env_prefix="TOY_TRAIN_")
    output: Path = Path("unused")


@dataclass(frozen=True)
class Data:
    source: Source
    report: DataReport


@dataclass(frozen=True)
class Weight:
    value: float

    def predict(self, inputs, /):
        return [self.value * area for area in inputs]

    def save(self, folder, /):
        import numpy as np

        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / "params.npz", weight=np.float64(self.value))


def load(folder):
    import numpy as np

    with np.load(folder / "params.npz") as arrays:
        return Weight(float(arrays["weight"]))


@dataclass(frozen=True)
class Evaluation:
    metrics: dict[str, Interval]


def learn(config, console, log, lessons):
    console.print("learning")
    if config.data == "broken":
        raise ValueError("line 7 has 3 cells")
    for epoch in range(2):
        log.log_metrics({"loss": 1.0 / (epoch + 1)}, step=epoch)
    candidate = Candidate("ridge", {"error": 0.5}, None)
    log.child(candidate.name, {"candidate": candidate.name}, candidate.metrics)
    report = DataReport(name="toy", rows_read=3)
    evaluation = Evaluation({"error": Interval(0.5, 0.4, 0.6)})
    data = Data(Source("sample", None, "because"), report)
    taught = lessons and lessons.beside(4)
    return Trained(data, None, {"ridge": candidate}, "ridge", None, Weight(2.0), evaluation, {}, lessons=taught)


def draw(evaluation, candidates, folder):
    folder.mkdir(parents=True)
    (folder / "errors.svg").write_text(f"<svg>{len(candidates)} {evaluation.metrics['error'].estimate}</svg>")


@pytest.fixture
def project(request, toy_manifest, toy_adapter):
    """A project whose model no other test registers."""
    name = request.node.name
    (toy_adapter.parent / "package" / "serving").mkdir(parents=True)
    toy_adapter.rename(toy_adapter.parent / "package" / "serving" / "mlflow_adapter.py")
    return Project(
        name=name,
        package=toy_adapter.parent / "package",
        requirements=("numpy",),
        learn=learn,
        describe=lambda config, trained: toy_manifest(project=name, config={"chosen": "ridge", "seed": config.seed}),
        example=lambda trained: [1.0, 3.5],
        load=load,
        reference=lambda config, trained: {"area": np.array([1.0, 2.0, 4.0])},
        draw=draw,
        input_example=lambda trained: [{"area": 2.0}],
        compare=lambda trained, champion: BETTER,
        recent=lambda *_: None,
        margin=0.0,
    )


def test_without_a_server_the_bundle_is_all_that_is_left(project, tmp_path):
    console = Console(record=True, width=200)
    result = run(project, ToyConfig(tracking_uri="", output=tmp_path / "bundle", seed=3), console)

    folder = tmp_path / "bundle"
    assert result == Result(folder)
    assert read_manifest(folder).config["seed"] == 3
    assert load(folder).predict([2.0]) == [4.0]
    assert read_reference(folder)["area"].tolist() == [1.0, 2.0, 4.0]
    assert "Not tracked and not registered: there is no tracking URI" in console.export_text()


def test_a_folder_that_cannot_be_written_ends_it_before_anything_is_learned(project, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"output .*bundle cannot be written: .*name another folder with --output"):
        run(project, ToyConfig(tracking_uri="", output=tmp_path / "file" / "bundle"), console := Console(record=True))
    assert "learning" not in console.export_text()


def test_with_a_key_in_the_environment_the_bundle_is_signed(project, tmp_path, monkeypatch, key):
    monkeypatch.setenv(VARIABLE, str(key[0]))
    run(project, ToyConfig(tracking_uri="", output=tmp_path / "bundle"), Console(quiet=True))
    check_signature(bundle_digest(tmp_path / "bundle"), read_signature(tmp_path / "bundle"), public_keys(key[1]))


def test_a_server_or_a_key_that_is_away_ends_it_before_anything_is_learned(project, tmp_path, unused_uri, monkeypatch):
    with pytest.raises(TrackingUnavailable):
        run(project, ToyConfig(tracking_uri=unused_uri, output=tmp_path / "bundle"), console := Console(record=True))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "missing.pem"))
    with pytest.raises(SigningKeyError, match="cannot be read"):
        run(project, ToyConfig(tracking_uri="", output=tmp_path / "bundle"), console)
    assert "learning" not in console.export_text()
    assert not (tmp_path / "bundle").exists()


@pytest.mark.slow
def test_a_training_is_a_run_with_its_epochs_candidates_data_figures_and_a_gated_version(
    project, tmp_path, mlflow_server
):
    console = Console(record=True, width=200)
    config = ToyConfig(tracking_uri=mlflow_server, output=tmp_path / "bundle", seed=3)
    run(project, config, console)

    assert f"Registered {project.name} version 1 as champion: first champion" in console.export_text()
    version = champion_of(project.name, mlflow_server)
    assert version is not None
    with tracking_client(mlflow_server) as client:
        stored = client.get_run(version.run_id)
        losses = [(metric.step, metric.value) for metric in client.get_metric_history(version.run_id, "loss")]
        query = f"tags.`mlflow.parentRunId` = '{version.run_id}'"
        (child,) = client.search_runs([stored.info.experiment_id], query)
        files = {file.path for name in ("data", "figures") for file in client.list_artifacts(version.run_id, name)}
    assert (stored.info.run_name, stored.info.status) == ("ridge on sample data", "FINISHED")
    assert stored.data.params == {"chosen": "ridge", "seed": "3"}
    assert stored.data.tags["data_source"] == "sample"
    assert stored.data.metrics | {"loss": 0.5} == stored.data.metrics
    assert {name: stored.data.metrics[name] for name in ("error", "error_low", "error_high")} == {
        "error": 0.5,
        "error_low": 0.4,
        "error_high": 0.6,
    }
    assert losses == [(0, 1.0), (1, 0.5)]
    assert (child.info.run_name, child.data.metrics) == ("ridge", {"error": 0.5})
    assert files == {"data/report.json", "figures/errors.svg"}

    run(project, config, console)
    assert f"Registered {project.name} version 2 as champion: better" in console.export_text()


def lesson(client):
    row = LoggedPrediction("p", 1.0, "toy", "1", "/v1/toys", "", 1, 1.0, "[{}]", "[1.0]")
    return Lesson(row, 0, None, client, 1.0)


LESSONS = Lessons((lesson("ann"), lesson("bob"), lesson("cem")), (lesson("dan"),), {"learned": 3, "held back": 1})


@pytest.mark.long
def test_a_retraining_is_judged_by_what_was_held_back_and_says_what_became_of_every_truth(
    project, toy_manifest, tmp_path, mlflow_server
):
    console = Console(record=True, width=200)
    config = ToyConfig(tracking_uri=mlflow_server, output=tmp_path / "bundle")
    compared = []

    def recent(trained, champion, held_back):
        compared.append((trained.lessons.counts, champion, held_back))
        return BETTER

    project = replace(project, compare=lambda trained, champion: SAME, recent=recent, margin=0.01)
    assert run(project, config, Console(quiet=True)).decision.outcome == "promoted"
    options = {"lessons": LESSONS, "why": "drift"}
    waiting = run(project, config, console, **options, may_promote=False)
    promoted = run(project, config, Console(quiet=True), **options)
    refused = run(replace(project, margin=0.009), config, console, **options)
    cats = replace(
        project, describe=lambda *_: toy_manifest(project=project.name, config={"chosen": "ridge"}, labels=("cat",))
    )
    other = run(cats, config, Console(quiet=True), **options)

    assert [each.decision.outcome for each in (waiting, promoted, refused)] == ["waiting", "promoted", "refused"]
    assert other.decision == GateDecision(
        "waiting", "the champion (version 3) cannot be compared with: it names , this cat"
    )
    counts = {"learned": 1, "held back": 1, "more than 20% of the rows": 2}
    assert compared == 3 * [(counts, Weight(2.0), LESSONS.held_back)]
    with tracking_client(mlflow_server) as client:
        version = client.get_model_version(project.name, "2")
        aliases = {alias: str(number) for alias, number in client.get_registered_model(project.name).aliases.items()}
        of_run = client.get_run(version.run_id).data.tags
        plain = client.get_model_version(project.name, "1").tags
    assert aliases == {"champion": "3", "challenger": "5"}
    for tags in (version.tags, of_run):
        assert (tags["why"], json.loads(tags["lessons"])) == ("drift", counts)
        assert json.loads(tags["settings"])["seed"] == 0
    assert version.tags["gate"].startswith("passed, and a person promotes it: better: on held-back feedback")
    assert not {"why", "lessons"} & set(plain)
    said = console.export_text()
    assert f"Registered {project.name} version 2 as challenger: passed" in said
    assert f"Registered {project.name} version 4 and refused: it may be worse than the margin allows" in said


@pytest.mark.slow
def test_a_training_that_does_not_say_what_it_learned_from_feedback_leaves_nothing(project, tmp_path, mlflow_server):
    def forget(config, console, log, lessons):
        return learn(config, console, log, None)

    config = ToyConfig(tracking_uri=mlflow_server, output=tmp_path / "bundle")
    with pytest.raises(RuntimeError, match="says which of them it used"):
        run(replace(project, learn=forget), config, Console(quiet=True), lessons=LESSONS)
    assert not (tmp_path / "bundle").exists()
    assert champion_of(project.name, mlflow_server) is None


def test_a_server_that_goes_away_while_something_is_learned_costs_no_bundle(
    project, tmp_path, mlflow_server, monkeypatch
):
    """The log of the second epoch meets a server that is away; the training goes on, and fails after the bundle."""
    console = Console(record=True, width=200)
    log_metrics = Run.log_metrics

    def break_down(run, metrics, *, step=0):
        if step == 1:
            monkeypatch.setattr(runs, "tracking_client", away)
        log_metrics(run, metrics, step=step)

    def away(uri):
        raise TrackingUnavailable(f"no MLflow server at {uri}")

    monkeypatch.setattr(Run, "log_metrics", break_down)
    with pytest.raises(TrackingUnavailable):
        run(project, ToyConfig(tracking_uri=mlflow_server, output=tmp_path / "bundle"), console, lessons=LESSONS)
    assert load(tmp_path / "bundle").predict([2.0]) == [4.0]
    assert "Not logged, the training goes on: no MLflow server at" in console.export_text()


@pytest.mark.slow
def test_a_gate_that_fails_leaves_a_failed_run_and_moves_no_alias(project, tmp_path, mlflow_server):
    config = ToyConfig(tracking_uri=mlflow_server, output=tmp_path / "bundle")
    run(project, config, Console(quiet=True))

    def compare(trained, champion):
        raise ValueError("the champion cannot read these houses")

    with pytest.raises(ValueError, match="cannot read"):
        run(replace(project, compare=compare), config, Console(quiet=True))
    with tracking_client(mlflow_server) as client:
        experiment = client.get_experiment_by_name(project.name)
        (failed,) = client.search_runs([experiment.experiment_id], "attributes.status = 'FAILED'")
    assert failed.data.tags["failure"] == "ValueError: the champion cannot read these houses"
    assert champion_of(project.name, mlflow_server).version == "1"


@pytest.mark.slow
def test_a_training_that_fails_leaves_a_failed_run_with_its_reason(project, tmp_path, mlflow_server):
    config = ToyConfig(tracking_uri=mlflow_server, output=tmp_path / "bundle", data="broken")
    with pytest.raises(ValueError, match="line 7"):
        run(project, config, Console(quiet=True))

    with tracking_client(mlflow_server) as client:
        experiment = client.get_experiment_by_name(project.name)
        (failed,) = client.search_runs([experiment.experiment_id])
    assert failed.info.status == "FAILED"
    assert failed.data.tags["failure"] == "ValueError: line 7 has 3 cells"
    assert json.loads(failed.data.tags["settings"])["data"] == "broken"
    assert "tracking_uri" not in failed.data.tags["settings"]
    assert champion_of(project.name, mlflow_server) is None
