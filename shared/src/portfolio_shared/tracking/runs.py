"""One training as an MLflow run: parameters, metrics with intervals, data, figures and the bundle as a model."""

import json
import logging
import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from portfolio_shared.bundle import Manifest, bundle_digest, read_manifest
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.tracking.client import tracking_client
from portfolio_shared.tracking.pyfunc_model import example_frame, save_pyfunc

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

logger = logging.getLogger(__name__)

_BATCH = 100  # parameters in one request, a limit of MLflow
_TAG_CHARACTERS = 5000  # of a tag's value, a limit of MLflow


class RunLog(Protocol):
    """Where a training logs while it runs: a `Run` on a server, or `UNTRACKED`."""

    def log_metrics(self, metrics: Mapping[str, Interval | float], *, step: int = 0) -> None:
        """Log metrics; an `Interval` becomes three: ``name``, ``name_low`` and ``name_high``."""

    def child(self, name: str, params: Mapping[str, object], metrics: Mapping[str, Interval | float]) -> None:
        """Log a finished run below this one, such as a candidate or a trial."""


class _Untracked:
    def log_metrics(self, metrics: Mapping[str, Interval | float], *, step: int = 0) -> None:
        del metrics, step

    def child(self, name: str, params: Mapping[str, object], metrics: Mapping[str, Interval | float]) -> None:
        del name, params, metrics


UNTRACKED: RunLog = _Untracked()
"""For a training without a server: what it logs goes nowhere."""


@dataclass(frozen=True)
class LoggedModel:
    """A bundle that was logged as an MLflow model.

    `uri` (``models:/m-...``) is what MLflow's own commands take; `bundle_sha256` identifies the bundle inside it.
    """

    uri: str
    model_id: str
    run_id: str
    bundle_sha256: str


@dataclass(frozen=True)
class Run:
    """A run in progress on the server at `tracking_uri`."""

    tracking_uri: str
    experiment_id: str
    run_id: str

    def log_manifest(self, manifest: Manifest) -> None:
        """Name the run after the model that was chosen, and log the manifest's parameters and data.

        The manifest's `config` names the chosen candidate under `chosen`.
        """
        data = manifest.data
        with tracking_client(self.tracking_uri) as client:
            client.set_tag(self.run_id, "mlflow.runName", f"{manifest.config['chosen']} on {data.source} data")
            client.set_tag(self.run_id, "data_source", data.source)
            _log_params(client, self.run_id, manifest.config)
        self.log_dataset(data.name, data.sha256, data.rows, data.source)

    def log_metrics(self, metrics: Mapping[str, Interval | float], *, step: int = 0) -> None:
        """Log metrics; an `Interval` becomes three: ``name``, ``name_low`` and ``name_high``.

        Parameters
        ----------
        step : int
            Number of the epoch, for a metric that is logged more than once.

        Raises
        ------
        ValueError
            If a value is not finite.
        """
        with tracking_client(self.tracking_uri) as client:
            client.log_batch(self.run_id, metrics=_to_metrics(metrics, step))

    def log_folder(self, path: Path, artifact_path: str) -> None:
        """Upload the files of a folder, such as figures, below `artifact_path` of the run."""
        if not path.is_dir():
            raise NotADirectoryError(f"{path} is no folder: nothing to log as {artifact_path!r}")
        with tracking_client(self.tracking_uri) as client:
            client.log_artifacts(self.run_id, str(path), artifact_path)

    def log_dataset(self, name: str, sha256: str, rows: Mapping[str, int], source: str) -> None:
        """Record which data the run used: their hash, the rows of each split, and where they come from."""
        with tracking_client(self.tracking_uri) as client:
            from mlflow.entities import Dataset, DatasetInput, InputTag

            dataset = Dataset(
                name=name,
                digest=sha256[:36],  # MLflow's limit; the whole hash is in the profile
                source_type="portfolio",
                source=json.dumps({"source": source}),
                profile=json.dumps({"sha256": sha256, "rows": dict(rows)}),
            )
            tags = [InputTag("mlflow.data.context", "training")]
            client.log_inputs(self.run_id, datasets=[DatasetInput(dataset, tags)])

    def child(self, name: str, params: Mapping[str, object], metrics: Mapping[str, Interval | float]) -> None:
        """Log a finished run below this one, such as a candidate of a search."""
        tags = {"mlflow.parentRunId": self.run_id}
        child_id = _create_run(self.tracking_uri, self.experiment_id, name, params=params, tags=tags)
        with tracking_client(self.tracking_uri) as client:
            client.log_batch(child_id, metrics=_to_metrics(metrics, 0))
            client.set_terminated(child_id)

    def log_bundle(
        self,
        bundle_dir: Path,
        *,
        adapter: Path,
        input_example: pd.DataFrame | Sequence[Mapping[str, object]],
        requirements: Sequence[str] = (),
        code_paths: Sequence[Path] = (),
    ) -> LoggedModel:
        """Log a bundle as an MLflow model that `mlflow models serve` and `mlflow.pyfunc.load_model` can run.

        Parameters
        ----------
        bundle_dir : Path
            A complete bundle; it is verified first.
        adapter : Path
            A Python file that defines an `mlflow.pyfunc.PythonModel` and hands an instance to
            `mlflow.models.set_model`. It is stored as code and finds the bundle at ``context.artifacts["bundle"]``,
            so that nothing is pickled.
        input_example : pd.DataFrame or Sequence[Mapping[str, object]]
            Rows to predict. Their columns become the signature of the model: integers become doubles, because MLflow
            refuses missing values in integer columns, and a column with a missing value in any row is optional.
        requirements : Sequence[str]
            Names of the installed distributions that the adapter needs; their versions are pinned to those of now.
        code_paths : Sequence[Path]
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
        return LoggedModel(f"models:/{model.model_id}", model.model_id, self.run_id, digest)


@contextmanager
def tracked_run(
    tracking_uri: str,
    *,
    experiment: str,
    run_name: str,
    params: Mapping[str, object] | None = None,
    tags: Mapping[str, str] | None = None,
) -> Iterator[Run]:
    """Track what happens in a ``with`` block as one run, which ends as FINISHED.

    After an exception it ends as FAILED, with the exception in its tag `failure`.

    Parameters
    ----------
    tracking_uri : str
        Address of an MLflow server.
    experiment : str
        Name of the experiment; made if missing.
    run_name : str
        Name of the run.
    params : Mapping[str, object], optional
        Parameters; what is no string is stored as JSON where it can be.
    tags : Mapping[str, str], optional
        Tags of the run.

    Raises
    ------
    TrackingUnavailable
        If no MLflow server answers at `tracking_uri`.
    """
    experiment_id = _experiment_id(tracking_uri, experiment)
    run_id = _create_run(tracking_uri, experiment_id, run_name, params=params or {}, tags=tags or {})
    run = Run(tracking_uri=tracking_uri, experiment_id=experiment_id, run_id=run_id)
    try:
        yield run
    except BaseException as error:
        try:
            with tracking_client(tracking_uri) as client:
                client.set_tag(run_id, "failure", f"{type(error).__name__}: {error}"[:_TAG_CHARACTERS])
                client.set_terminated(run_id, "FAILED")
        except Exception:  # the training's own error must reach the caller, not this one
            logger.exception("run %s could not be marked as failed", run_id)
        raise
    with tracking_client(tracking_uri) as client:
        client.set_terminated(run_id)


def _experiment_id(tracking_uri: str, name: str) -> str:
    with tracking_client(tracking_uri) as client:
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


def _create_run(
    tracking_uri: str, experiment_id: str, name: str, *, params: Mapping[str, object], tags: Mapping[str, str]
) -> str:
    with tracking_client(tracking_uri) as client:
        run_id = str(client.create_run(experiment_id, run_name=name, tags=dict(tags)).info.run_id)
        _log_params(client, run_id, params)
        return run_id


def _log_params(client: "MlflowClient", run_id: str, params: Mapping[str, object]) -> None:
    logged = _to_params(params)
    for start in range(0, len(logged), _BATCH):
        client.log_batch(run_id, params=logged[start : start + _BATCH])


def _to_params(params: Mapping[str, object]) -> list["Param"]:
    from mlflow.entities import Param

    return [Param(name, value if isinstance(value, str) else _to_text(value)) for name, value in params.items()]


def _to_text(value: object) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError):  # a path, a date, an enum
        return str(value)


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
