"""One training as an MLflow run: parameters, metrics with intervals, data, figures and the bundle as a model."""

import json
import logging
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from portfolio_shared.addresses import without_secrets
from portfolio_shared.bundle import Manifest, bundle_digest, read_manifest
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.signatures import read_signature
from portfolio_shared.tracking.client import TrackingUnavailable, tracking_client
from portfolio_shared.tracking.pyfunc_model import example_frame, save_pyfunc

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

logger = logging.getLogger(__name__)

_BATCH = 100  # parameters in one request, a limit of MLflow
_TAG_CHARACTERS = 5000  # of a tag's value, a limit of MLflow


class RunLog(Protocol):
    """Where a training logs while it runs: a `Run` on a server, or `UNTRACKED`."""

    def log_metrics(self, metrics: Mapping[str, Interval | float], *, step: int = 0) -> None:
        """Log metrics; an `Interval` becomes three: ``name``, ``name_low`` and ``name_high``.

        Parameters
        ----------
        step
            Number of the epoch, for a metric that is logged more than once.

        Raises
        ------
        ValueError
            If a value is not finite.
        """

    def child(self, name: str, params: Mapping[str, object], metrics: Mapping[str, Interval | float]) -> None:
        """Log a finished run below this one, such as a candidate or a trial; what is no string is stored as JSON."""


class _Untracked:
    def log_metrics(self, *_: object, **__: object) -> None: ...

    def child(self, *_: object) -> None: ...


UNTRACKED: RunLog = _Untracked()
"""For a training without a server: what it logs goes nowhere."""


@dataclass(frozen=True)
class TolerantLog:
    """Logs to a run while a training learns, and goes on without where the server is away.

    What has been learned is worth more than a line in its log: the bundle is still written, and what must be logged
    with it fails then, loudly.
    """

    run: RunLog
    warn: Callable[[str], None]

    def log_metrics(self, metrics: Mapping[str, Interval | float], *, step: int = 0) -> None:
        """Log metrics, as `RunLog` says."""
        self._try(lambda: self.run.log_metrics(metrics, step=step))

    def child(self, name: str, params: Mapping[str, object], metrics: Mapping[str, Interval | float]) -> None:
        """Log a finished run below this one, as `RunLog` says."""
        self._try(lambda: self.run.child(name, params, metrics))

    def _try(self, log: Callable[[], None]) -> None:
        from mlflow.exceptions import MlflowException

        try:
            log()
        except (TrackingUnavailable, MlflowException) as error:
            self.warn(without_secrets(f"Not logged, the training goes on: {error}"))


@dataclass(frozen=True)
class LoggedModel:
    """A bundle that was logged as an MLflow model, whose own commands call it ``models:/<model_id>``."""

    model_id: str
    bundle_sha256: str
    signature: str = ""  # of that, where the bundle has one


@dataclass(frozen=True)
class Run:
    """A run in progress on the server at `tracking_uri`."""

    tracking_uri: str
    experiment_id: str
    run_id: str

    def log_manifest(self, manifest: Manifest) -> None:
        """Name the run after the model that was chosen, and log the manifest's parameters and data.

        The manifest's `config` names the chosen candidate under `chosen`. Of the data are logged their hash, the rows
        of each split, and where they come from.
        """
        data = manifest.data
        with tracking_client(self.tracking_uri) as client:
            from mlflow.entities import Dataset, DatasetInput, InputTag

            client.set_tag(self.run_id, "mlflow.runName", f"{manifest.config['chosen']} on {data.source} data")
            client.set_tag(self.run_id, "data_source", data.source)
            _log_params(client, self.run_id, manifest.config)
            dataset = Dataset(
                name=data.name,
                digest=data.sha256[:36],  # MLflow's limit; the whole hash is in the profile
                source_type="portfolio",
                source=json.dumps({"source": data.source}),
                profile=json.dumps({"sha256": data.sha256, "rows": data.rows}),
            )
            tags = [InputTag("mlflow.data.context", "training")]
            client.log_inputs(self.run_id, datasets=[DatasetInput(dataset, tags)])

    def log_metrics(self, metrics: Mapping[str, Interval | float], *, step: int = 0) -> None:
        """Log metrics, as `RunLog` says."""
        with tracking_client(self.tracking_uri) as client:
            client.log_batch(self.run_id, metrics=_to_metrics(metrics, step))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Say something of the run in words."""
        with tracking_client(self.tracking_uri) as client:
            for name, value in tags.items():
                client.set_tag(self.run_id, name, value)

    def log_folder(self, path: Path) -> None:
        """Upload the files of a folder, such as figures, as a folder of that name below the run."""
        with tracking_client(self.tracking_uri) as client:
            client.log_artifacts(self.run_id, str(path), path.name)

    def child(self, name: str, params: Mapping[str, object], metrics: Mapping[str, Interval | float]) -> None:
        """Log a finished run below this one, as `RunLog` says."""
        measured = _to_metrics(metrics, 0)  # first: what cannot be logged leaves no run behind
        with tracking_client(self.tracking_uri) as client:
            tags = {"mlflow.parentRunId": self.run_id}
            child_id = client.create_run(self.experiment_id, run_name=name, tags=tags).info.run_id
            _log_params(client, child_id, params)
            client.log_batch(child_id, metrics=measured)
            client.set_terminated(child_id)

    def log_bundle(
        self,
        bundle_dir: Path,
        *,
        adapter: Path,
        input_example: Sequence[Mapping[str, object]],
        requirements: Sequence[str] = (),
        code_paths: Sequence[Path] = (),
    ) -> LoggedModel:
        """Log a bundle as an MLflow model that `mlflow models serve` and `mlflow.pyfunc.load_model` can run.

        Parameters
        ----------
        bundle_dir
            A complete bundle; it is verified first.
        adapter
            A Python file that defines an `mlflow.pyfunc.PythonModel` and hands an instance to
            `mlflow.models.set_model`. It is stored as code and finds the bundle at ``context.artifacts["bundle"]``,
            so that nothing is pickled.
        input_example
            Rows to predict. Their columns become the signature of the model: integers become doubles, because MLflow
            refuses missing values in integer columns, and a column with a missing value in any row is optional.
        requirements
            Names of the installed distributions that the adapter needs; their versions are pinned to those of now.
        code_paths
            Packages to store with the model, so that it also runs where this repository is not installed.

        Raises
        ------
        BundleError
            If the bundle is incomplete or damaged.
        ValueError
            If the adapter cannot predict the example.
        """
        manifest = read_manifest(bundle_dir)
        digest = bundle_digest(bundle_dir)
        frame = example_frame(input_example)
        with tracking_client(self.tracking_uri) as client, tempfile.TemporaryDirectory() as scratch:
            from mlflow.entities import LoggedModelOutput

            model = client.create_logged_model(
                self.experiment_id, name=manifest.project, source_run_id=self.run_id, tags={"bundle_sha256": digest}
            )
            try:
                folder = Path(scratch) / "model"
                ids = {"model_id": model.model_id, "run_id": self.run_id}
                save_pyfunc(folder, bundle_dir, adapter, frame, requirements=requirements, code_paths=code_paths, **ids)
                client.log_model_artifacts(model.model_id, str(folder))
            except BaseException:
                client.finalize_logged_model(model.model_id, "FAILED")
                raise
            client.finalize_logged_model(model.model_id, "READY")
            client.log_outputs(self.run_id, [LoggedModelOutput(model.model_id, step=0)])
        return LoggedModel(model.model_id, digest, read_signature(bundle_dir))


@contextmanager
def tracked_run(
    tracking_uri: str, *, experiment: str, run_name: str, tags: dict[str, str] | None = None
) -> Iterator[Run]:
    """Track what happens in a ``with`` block as one run, which ends as FINISHED.

    After an exception it ends as FAILED, with the exception in its tag `failure`. The experiment is made if missing.

    Raises
    ------
    TrackingUnavailable
        If no MLflow server answers at `tracking_uri`.
    """
    with tracking_client(tracking_uri) as client:
        experiment_id = _experiment_id(client, experiment)
        run_id = str(client.create_run(experiment_id, run_name=run_name, tags=tags).info.run_id)
    try:
        yield Run(tracking_uri=tracking_uri, experiment_id=experiment_id, run_id=run_id)
    except BaseException as error:
        try:
            with tracking_client(tracking_uri) as client:
                failure = without_secrets(f"{type(error).__name__}: {error}")
                client.set_tag(run_id, "failure", failure[:_TAG_CHARACTERS])
                client.set_terminated(run_id, "FAILED")
        except Exception:  # the training's own error must reach the caller, not this one
            logger.exception("run %s could not be marked as failed", run_id)
        raise
    with tracking_client(tracking_uri) as client:
        client.set_terminated(run_id)


def _experiment_id(client: "MlflowClient", name: str) -> str:
    from mlflow.exceptions import MlflowException

    if (experiment := client.get_experiment_by_name(name)) is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:
            # Another training made it in between; if that is not it, the reason is worth seeing.
            if (experiment := client.get_experiment_by_name(name)) is None:
                raise
    if experiment.lifecycle_stage != "active":
        raise ValueError(f"the experiment {name!r} was deleted in MLflow: restore it or choose another name")
    return str(experiment.experiment_id)


def _log_params(client: "MlflowClient", run_id: str, params: Mapping[str, object]) -> None:
    from mlflow.entities import Param

    logged = [
        Param(name, value if isinstance(value, str) else json.dumps(value, default=str))
        for name, value in params.items()
    ]
    for start in range(0, len(logged), _BATCH):
        client.log_batch(run_id, params=logged[start : start + _BATCH])


def _to_metrics(metrics: Mapping[str, Interval | float], step: int) -> list["Metric"]:
    from mlflow.entities import Metric

    flat: dict[str, Any] = {}
    for name, value in metrics.items():
        if isinstance(value, Interval):
            flat |= {name: value.estimate, f"{name}_low": value.low, f"{name}_high": value.high}
        else:
            flat[name] = value
    if bad := {name: value for name, value in flat.items() if not math.isfinite(value)}:
        raise ValueError(f"metrics must be finite numbers, found {bad}")
    now = int(time.time() * 1000)
    return [Metric(name, float(value), now, step=step) for name, value in flat.items()]
