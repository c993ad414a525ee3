"""How the served model is stored: arrays as npz, the rest as JSON; nothing in the files can run code."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import numpy as np

from housing.models.comparables import Comparables
from housing.models.encoding import Encoding
from housing.models.imputation import Typical
from housing.models.linear import LinearModel
from housing.models.predictor import Intervals, Predictor, Seen
from housing.models.trees import SymmetricTrees

T = TypeVar("T")

ARRAYS: dict[str, type] = {
    "linear": LinearModel,
    "encoding": Encoding,
    "trees": SymmetricTrees,
    "comparables": Comparables,
}
CALIBRATION = ("band_edges", "scores", "bands")


def save(predictor: Predictor, directory: Path) -> None:
    """Write the parameters: arrays as npz, the rest as JSON."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in ARRAYS:
        np.savez_compressed(directory / f"{name}.npz", **vars(getattr(predictor, name)))
    for prefix, intervals in (("", predictor.intervals), ("sparse_", predictor.sparse_intervals)):
        np.savez_compressed(directory / f"{prefix}scale.npz", **vars(intervals.scale))
        calibration = {name: getattr(intervals, name) for name in CALIBRATION}
        np.savez_compressed(directory / f"{prefix}calibration.npz", **calibration)
    rest = {
        "linear_weight": predictor.linear_weight,
        "coverage": predictor.intervals.coverage,
        "typical": asdict(predictor.typical),
        "seen": asdict(predictor.seen),
    }
    (directory / "model.json").write_text(json.dumps(rest, indent=1), encoding="utf-8")


def load(directory: Path) -> Predictor:
    """Read the parameters that `save` wrote; the caller has verified the bundle's hashes."""
    rest = json.loads((directory / "model.json").read_text(encoding="utf-8"))
    return Predictor(
        typical=Typical(**rest["typical"]),
        linear_weight=rest["linear_weight"],
        intervals=_load_intervals(directory, "", rest["coverage"]),
        sparse_intervals=_load_intervals(directory, "sparse_", rest["coverage"]),
        seen=Seen({name: tuple(ends) for name, ends in rest["seen"]["ranges"].items()}, rest["seen"]["codes"]),
        **{name: _load_arrays(directory / f"{name}.npz", kind) for name, kind in ARRAYS.items()},
    )


def _load_intervals(directory: Path, prefix: str, coverage: float) -> Intervals:
    scale = _load_arrays(directory / f"{prefix}scale.npz", SymmetricTrees)
    with np.load(directory / f"{prefix}calibration.npz", allow_pickle=False) as arrays:
        return Intervals(scale=scale, coverage=coverage, **{name: arrays[name] for name in CALIBRATION})


def _load_arrays(path: Path, kind: type[T]) -> T:
    with np.load(path, allow_pickle=False) as arrays:
        return kind(**{name: array if array.ndim else float(array) for name, array in arrays.items()})
