"""A bundle as an MLflow model "from code": a Python file, the bundle's files, and a signature. Nothing is pickled."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed_version
from pathlib import Path

import pandas as pd

from portfolio_shared.tracking.client import quiet_mlflow


def save_pyfunc(
    folder: Path,
    bundle_dir: Path,
    adapter: Path,
    example: pd.DataFrame,
    *,
    requirements: Sequence[str] = (),
    code_paths: Sequence[Path] = (),
    model_id: str | None = None,
    run_id: str | None = None,
) -> None:
    """Write an MLflow model into a new folder without any server; see `Run.log_bundle` for the parameters.

    Raises
    ------
    ValueError
        If the adapter cannot predict the example, so that the model would have no signature.
    """
    with quiet_mlflow(), tempfile.TemporaryDirectory() as scratch:
        import mlflow.pyfunc
        from mlflow.models import Model

        # MLflow stores an artifact under the name of its folder, and services look for artifacts/bundle.
        named = shutil.copytree(bundle_dir, Path(scratch) / "bundle")
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=str(adapter),
            artifacts={"bundle": str(named)},
            input_example=example,
            pip_requirements=[f"{name}=={installed_version(name)}" for name in requirements],
            code_paths=[str(path) for path in code_paths] or None,
            mlflow_model=Model(model_id=model_id, run_id=run_id),
        )
        if Model.load(str(folder)).signature is None:
            raise ValueError(f"{adapter} cannot predict the input example; the log of MLflow above says why")
        # What a training starts from ships in these folders of a project's package: no model needs it.
        for name in ("data/sample", "models/pretrained"):
            for ships in [*(folder / "code").glob(f"*/{name}")]:
                shutil.rmtree(ships)


def example_frame(example: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """Return example rows as the table from which MLflow can infer a signature that admits missing values.

    Raises
    ------
    ValueError
        If there are no rows, or a column has no value in any of them.

    Examples
    --------
    >>> example_frame([{"rooms": 4, "kind": "house"}, {"rooms": 3}]).dtypes["rooms"]
    dtype('float64')
    """
    frame = pd.DataFrame.from_records(list(example))
    if frame.empty:
        raise ValueError("the input example is empty: give at least one row")
    if without := [column for column in frame.columns if frame[column].isna().all()]:
        raise ValueError(f"the input example has no value in {without}: their type cannot be known")
    integers = [column for column in frame.columns if pd.api.types.is_integer_dtype(frame[column])]
    return frame.astype(dict.fromkeys(integers, "float64"))
