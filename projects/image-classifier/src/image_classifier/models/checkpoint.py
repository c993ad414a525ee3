"""Training that was killed goes on: one file of tensors and one line of JSON, replaced atomically."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import JsonValue
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

FACTS = "facts"


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used; the message says what to do."""


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, JsonValue]) -> None:
    """Replace the checkpoint; at any moment there is a whole one, the old or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    save_file(plain, partial, metadata={FACTS: json.dumps(facts)})
    partial.replace(path)


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Return tensors and facts, or None if there is no checkpoint.

    Raises
    ------
    CheckpointError
        If the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})[FACTS])
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 (it is no mapping)
    except (SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): delete it to train from the beginning") from error
