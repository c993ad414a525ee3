"""What the demo's scripts read of each model: arrays as 32-bit floats in one file, rules and texts as JSON."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class DemoError(Exception):
    """The demo cannot be built; the message says what to do."""


def write_pictures(bundle: Path, target: Path) -> bool:
    """Write the graph, the arrays of its novelty, its rules, and who made the photographs."""
    from image_classifier.data.images import ImageLimits
    from image_classifier.data.load import SAMPLE
    from image_classifier.models import neighbors, novelty
    from image_classifier.models.predictor import GRAPH, NOVELTY, Predictor
    from image_classifier.serving.schemas import UNFAMILIAR, gradient

    rules = Predictor.load(bundle).rules
    shape = rules.preprocessing
    if shape.interpolation != "bilinear" or shape.resize < shape.crop:
        raise DemoError(f"the demo resizes bilinearly to no less than the crop, and the model asks for {shape}")
    with np.load(bundle / NOVELTY, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files if stored[name].ndim}
        numbers: dict[str, Any] = {name: float(stored[name]) for name in stored.files if not stored[name].ndim}
    numbers |= {"nearest": neighbors.NEAREST, "of_its_kind": neighbors.OF_ITS_KIND, "within": novelty.WITHIN}
    texts = {"unfamiliar": UNFAMILIAR, "min_side": ImageLimits().min_side, "colors": gradient().tolist()}
    write_json(target / "model" / "rules.json", {**asdict(rules), "novelty": numbers, **texts})
    write_arrays(target / "model", arrays)
    shutil.copy(bundle / GRAPH, target / "model")
    shutil.copy(SAMPLE.path.parent / "credits.csv", target)
    return True


def write_films(bundle: Path, target: Path) -> bool:
    """Write the factors, the films, and how a history is weighed."""
    from recommender.models import chance, top_k
    from recommender.models.predictor import CATALOGUE_FILE, CHANCE_FILE, FACTORS_FILE, WEIGHTS_FILE

    with np.load(bundle / FACTORS_FILE, allow_pickle=False) as stored:
        if "alpha" in stored:
            raise DemoError(f"{bundle} solves for each history, which the demo does not")
        write_arrays(target / "model", dict(stored))
    stated = {"listed": chance.LISTED, "n_next": chance.NEXT, "least_score": chance.LEAST_SCORE}
    rules = {"weights": read_json(bundle / WEIGHTS_FILE), "chance": read_json(bundle / CHANCE_FILE), "n_reasons": 3}
    write_json(target / "model" / "rules.json", {**rules, **stated, "candidates": top_k.CANDIDATES})
    shutil.copy(bundle / CATALOGUE_FILE, target / "model")
    return False


MODELS: dict[str, Callable[[Path, Path], bool]] = {"image-classifier": write_pictures, "recommender": write_films}
"""By the project: (bundle, folder of its page) -> whether the page needs onnxruntime-web."""


def write_arrays(folder: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays.bin, one array after the other, and arrays.json: name -> shape and where it begins, in bytes."""
    table: dict[str, dict[str, Any]] = {}
    parts: list[bytes] = []
    offset = 0
    for name, array in arrays.items():
        part = np.ascontiguousarray(array, dtype="<f4").tobytes()
        table[name] = {"shape": array.shape, "offset": offset}
        parts.append(part)
        offset += len(part)
    (folder / "arrays.bin").write_bytes(b"".join(parts))
    write_json(folder / "arrays.json", table)


def read_json(path: Path) -> Any:
    """Return what a file of JSON holds."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write a file of JSON."""
    path.write_text(json.dumps(content), encoding="utf-8")
