"""What every training leaves in MLflow: a run that the manifest describes, and a version that has passed the gate."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from portfolio_shared.bundle import Manifest
from portfolio_shared.evaluation.uncertainty import PairedComparison
from portfolio_shared.tracking.gate import pass_gate
from portfolio_shared.tracking.registry import register
from portfolio_shared.tracking.runs import LoggedModel, Run, tracked_run

P = TypeVar("P")


@contextmanager
def training_run(manifest: Manifest, *, tracking_uri: str) -> Iterator[Run]:
    """Open the run of a training; its name, parameters, tags and data are those of the manifest.

    The manifest's `config` names the chosen candidate under `chosen`.
    """
    data = manifest.data
    with tracked_run(
        tracking_uri=tracking_uri,
        experiment=manifest.project,
        run_name=f"{manifest.config['chosen']} on {data.source} data",
        params=manifest.config,
        tags={"git_commit": manifest.git_commit, "data_source": data.source},
    ) as run:
        run.log_dataset(data.name, data.sha256, data.rows, data.source)
        yield run


def register_and_gate(
    run: Run,
    logged: LoggedModel,
    manifest: Manifest,
    *,
    name: str,
    load: Callable[[Path], P],
    compare: Callable[[P], PairedComparison],
) -> str:
    """Register a logged bundle, let it pass the gate, and return the line that says what became of it.

    Parameters
    ----------
    manifest
        Of the bundle.
    name
        Of the registered model.
    load, compare
        As in `pass_gate`.
    """
    version = register(run, logged, name=name, manifest=manifest)
    decision = pass_gate(
        version,
        load,
        compare,
        test_split_sha256=manifest.data.test_split_sha256,
        tracking_uri=run.tracking_uri,
    )
    alias = "champion" if decision.promote else "challenger"
    return f"Registered {version.name} version {version.version} as {alias}: {decision.reason}"
