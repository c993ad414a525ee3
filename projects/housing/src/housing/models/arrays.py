"""Fitted parameters as npz files: arrays and numbers alone, so that nothing in a file can run code."""

from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def save_arrays(path: Path, parameters: Any) -> None:
    """Write a dataclass of arrays and numbers."""
    np.savez_compressed(path, **{field.name: getattr(parameters, field.name) for field in fields(parameters)})


def load_arrays(path: Path, kind: type[T]) -> T:
    """Read what `save_arrays` wrote: a dataclass of type `kind`."""
    with np.load(path, allow_pickle=False) as arrays:
        names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
        if set(arrays) != set(names):
            raise ValueError(f"{path}: expected {', '.join(names)}, found {', '.join(arrays)}: train again")
        return kind(**{name: array if array.ndim else float(array) for name, array in arrays.items()})
