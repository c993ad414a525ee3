"""The spine of every training: check the server, learn, write the bundle, track the run, pass the gate.

A project gives its functions in one `Project`; nothing is inherited and nothing is looked up by name.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Generic, Literal, TypeVar

from rich.console import Console

import portfolio_shared
from portfolio_shared.addresses import without_secrets
from portfolio_shared.bundle import Manifest, read_manifest, replace_bundle
from portfolio_shared.config import TrainSettings
from portfolio_shared.evaluation.uncertainty import PairedComparison
from portfolio_shared.operations.lessons import Lesson, Lessons
from portfolio_shared.operations.watch import Columns
from portfolio_shared.results import Predictor, Trained
from portfolio_shared.serving.registry_client import RegisteredVersion
from portfolio_shared.signatures import sign, signing_key
from portfolio_shared.tracking.client import check_server
from portfolio_shared.tracking.gate import pass_gate
from portfolio_shared.tracking.git import current_commit
from portfolio_shared.tracking.registry import GateDecision, decide, decide_retrained, register
from portfolio_shared.tracking.runs import UNTRACKED, LoggedModel, Run, RunLog, TolerantLog, tracked_run

C = TypeVar("C", bound=TrainSettings)
T = TypeVar("T", bound=Trained[Any, Any, Any, Any, Any, Any])
P = TypeVar("P", bound=Predictor)


Why = Literal["schedule", "drift", "hand"]
"""What starts a retraining."""


@dataclass(frozen=True)
class Project(Generic[C, T, P]):
    """The functions of a project, in the order in which a training calls them."""

    name: str
    """Of the project, its experiment and its registered model."""
    package: Path
    """Folder of the project's package; its `serving/mlflow_adapter.py` runs the logged model."""
    requirements: tuple[str, ...]
    """Distributions that the adapter needs."""
    learn: Callable[[C, Console, RunLog, Lessons | None], T]
    """From data, and what feedback teaches, to an evaluated model; logs candidates and epochs while it runs, and writes
    no bundle. Of lessons the result has those that were used."""
    describe: Callable[[C, T], Manifest]
    """The manifest of the bundle; source and hash are those of the data, whatever feedback taught beside them."""
    example: Callable[[T], Sequence[Any]]
    """Inputs whose predictions must be the same before and after the bundle is written."""
    load: Callable[[Path], P]
    """Folder of a bundle -> predictor."""
    reference: Callable[[C, T], Columns]
    """The training inputs as columns to watch: what later requests are compared with."""
    draw: Callable[[Any, Any, Path], None]
    """(evaluation, candidates, folder): writes the figures."""
    input_example: Callable[[T], Sequence[Mapping[str, object]]]
    """Rows from which MLflow infers the signature of the logged model."""
    compare: Callable[[T, P], PairedComparison]
    """(trained, champion) -> difference on the frozen test split, this model minus the champion, without what a drift
    has moved: houses divide out the price level that was learned. So the margin does not see one that is false."""
    recent: Callable[[T, P, Sequence[Lesson]], PairedComparison | None]
    """(trained, champion, feedback that was held back) -> the same difference on that feedback; None where the log does
    not hold enough to predict again."""
    margin: float
    """How much worse on the frozen split a model may be that is better on recent feedback, in the unit of `compare`."""


@dataclass(frozen=True)
class Result:
    """What a training leaves: its bundle, and without a registry no version and no decision."""

    bundle: Path
    version: RegisteredVersion | None = None
    decision: GateDecision | None = None


def run(
    project: Project[C, T, P],
    config: C,
    console: Console | None = None,
    *,
    lessons: Lessons | None = None,
    why: Why | None = None,
    may_promote: bool = True,
) -> Result:
    """Train, evaluate, write the bundle, register it and pass the gate.

    Parameters
    ----------
    lessons
        What feedback teaches beside the data; with them the gate compares on held-back feedback as well, and what it
        cannot compare with the champion waits.
    why
        What started a retraining.
    may_promote
        Whether a model that passes the gate replaces a champion at once.

    Raises
    ------
    ValueError
        If the bundle's folder could not be written, or the environment names a key to sign with that cannot be used.
    TrackingUnavailable
        If the MLflow server does not answer before the training starts, or any more when the bundle is written.
    RegistryError
        If the champion cannot be downloaded to compare with.
    """
    console = console or Console(markup=False)
    check_output(config.output)
    signing_key()  # early: what cannot be signed is not learned
    if not config.tracking_uri:
        write(project, config, project.learn(config, console, UNTRACKED, lessons), console)
        console.print("Not tracked and not registered: there is no tracking URI")
        return Result(config.output)
    check_server(config.tracking_uri)
    tags = {"settings": without_secrets(config.model_dump_json(exclude={"tracking_uri"}))}
    tags |= {"why": why} if why else {}
    of_run = {"git_commit": current_commit(), **tags}
    with tracked_run(config.tracking_uri, experiment=project.name, run_name="training", tags=of_run) as tracked:
        trained = project.learn(config, console, TolerantLog(tracked, console.print), lessons)
        taught = lesson_tags(lessons, trained)
        manifest = write(project, config, trained, console)
        with console.status("logging to MLflow"):
            tracked.set_tags(taught)
            logged = track(project, config, trained, manifest, tracked)
        version = register(tracked, logged, name=project.name, manifest=manifest, tags=tags | taught)
        decision = pass_gate(
            version,
            project.load,
            lambda champion: judge(project, trained, champion, lessons),
            manifest=manifest,
            tracking_uri=config.tracking_uri,
            may_promote=may_promote,
            uncompared="promoted" if lessons is None else "waiting",
        )
    became = {"promoted": "as champion", "waiting": "as challenger", "refused": "and refused"}[decision.outcome]
    console.print(f"Registered {version.name} version {version.version} {became}: {decision.reason}", soft_wrap=True)
    return Result(config.output, version, decision)


def judge(project: Project[C, T, P], trained: T, champion: P, lessons: Lessons | None) -> GateDecision:
    """Compare a model with the champion: on the frozen test split, and on the feedback that it was not taught."""
    frozen = project.compare(trained, champion)
    if lessons is None:
        return decide(frozen)
    return decide_retrained(frozen, project.recent(trained, champion, lessons.held_back), margin=project.margin)


def lesson_tags(lessons: Lessons | None, trained: Trained[Any, Any, Any, Any, Any, Any]) -> dict[str, str]:
    """Return the tag that says what became of every truth; none without lessons."""
    if lessons is None:
        return {}
    if trained.lessons is None:
        raise RuntimeError("a training that is given lessons says which of them it used")
    return {"lessons": json.dumps(dict(trained.lessons.counts))}


def check_output(output: Path) -> None:
    """Raise ValueError if a bundle cannot be written there: before something is learned that would be lost."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=output.parent):
            pass
    except OSError as error:
        raise ValueError(f"output {output} cannot be written: {error}; name another folder with --output") from error


def write(project: Project[C, T, P], config: C, trained: T, console: Console) -> Manifest:
    """Replace the bundle's folder, check that what is read back predicts what was evaluated, and sign it with a key."""
    described, inputs = project.describe(config, trained), project.example(trained)
    reference = project.reference(config, trained)
    replace_bundle(config.output, described, trained.predictor, load=project.load, inputs=inputs, reference=reference)
    key = signing_key()
    if key is not None:
        sign(config.output, key)
    console.print(f"Bundle{', signed' if key is not None else ''}: {config.output}")
    return read_manifest(config.output)


def track(project: Project[C, T, P], config: C, trained: T, manifest: Manifest, tracked: Run) -> LoggedModel:
    """Log what the manifest says, the test metrics, the data report, the figures and the bundle."""
    tracked.log_manifest(manifest)
    tracked.log_metrics(trained.evaluation.metrics)
    with TemporaryDirectory() as scratch:
        data, figures = Path(scratch) / "data", Path(scratch) / "figures"
        data.mkdir()
        (data / "report.json").write_text(json.dumps(trained.data.report.as_dict(), indent=2), encoding="utf-8")
        project.draw(trained.evaluation, trained.candidates, figures)
        tracked.log_folder(data)
        tracked.log_folder(figures)
    return tracked.log_bundle(
        config.output,
        adapter=project.package / "serving" / "mlflow_adapter.py",
        input_example=project.input_example(trained),
        requirements=project.requirements,
        code_paths=[project.package, Path(portfolio_shared.__file__).parent],
    )
