"""Weights of pretrained backbones: torchvision's, those that ship, or of a file; read without pickle's code."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models
from torchvision.models import get_model_weights, list_models

from image_classifier.config import SHIPPED
from image_classifier.models.trunk import shipped_weights
from portfolio_shared.data.download import data_directory, reachable

HEADS = ("classifier", "fc", "head", "heads", "AuxLogits", "aux1", "aux2")
"""First parts of the names of what is not used: torchvision's own classifiers."""


class WeightsError(RuntimeError):
    """Weights that cannot be had or do not fit; the message says what to do."""


def check_name(name: str) -> None:
    """Refuse a name that is none of torchvision's classification models."""
    names = list_models(module=models)
    if name not in names:
        raise ValueError(f"backbone={name!r}: expected one of torchvision's: {', '.join(names)}")


def imagenet_at_hand(name: str) -> bool:
    """Return whether torchvision's weights are in a cache, or their host answers within seconds."""
    check_name(name)
    url = get_model_weights(name).DEFAULT.url
    return _cached(url) is not None or reachable([url])


def check_at_hand(name: str) -> None:
    """Raise WeightsError if torchvision's weights are in no cache and their host does not answer."""
    if not imagenet_at_hand(name):
        raise WeightsError(
            f"the weights of {name} are not in the cache and {get_model_weights(name).DEFAULT.url} does not answer. "
            f"Three ways on: connect to the network; put that file into {data_directory() / 'weights'}; or set "
            "--weights (IMAGE_CLASSIFIER_TRAIN_WEIGHTS) to the path of a state dict, or to "
            f"{SHIPPED} for those of mobilenet_v2 that ship"
        )


def load_weights(model: nn.Module, name: str, weights: str) -> None:
    """Give a model of torchvision its weights, all but the classifier's: ``imagenet``, ``shipped`` or a state dict's.

    Raises
    ------
    WeightsError
        If the weights cannot be had or do not fit the model.
    """
    if weights == SHIPPED:
        state = _shipped(model)
    else:
        state = _imagenet(name) if weights == "imagenet" else _from_file(Path(weights))
    # A head may be there or not, and for any number of classes: it is not used. In place: torch's own dict knows more.
    for key in [key for key in state if key.split(".")[0] in HEADS]:
        del state[key]
    try:
        result = model.load_state_dict(state, strict=False)
    except RuntimeError as error:  # another shape
        raise WeightsError(f"{weights}: these are the weights of another model than {name}: {error}") from error
    if missing := {key for key in result.missing_keys if key.split(".")[0] not in HEADS}:
        names = f"{len(missing)} of {name}'s tensors are missing, {min(missing)} among them"
        raise WeightsError(f"{weights}: {names}: these are the weights of another model")
    if result.unexpected_keys:
        raise WeightsError(f"{weights}: {result.unexpected_keys[0]} is no tensor of {name}: these are another model's")


def _shipped(model: nn.Module) -> dict[str, Tensor]:
    """Return the state of a new model whose convolutions have the weights that ship.

    They have a bias, which in torchvision's model is that of the batch norm after them; a new one changes nothing else.
    """
    state: dict[str, Tensor] = dict(model.state_dict())
    for name, array in shipped_weights().items():
        place, number, kind = name.rsplit(".", 2)
        state[name if kind == "weight" else f"{place}.{int(number) + 1}.bias"] = torch.from_numpy(array.copy())
    return state


def _imagenet(name: str) -> dict[str, Tensor]:
    weights = get_model_weights(name).DEFAULT
    cached = _cached(weights.url)
    if cached is not None:
        return _from_file(cached)
    check_at_hand(name)
    folder = data_directory() / "weights"
    try:
        state: dict[str, Tensor] = weights.get_state_dict(
            model_dir=str(folder), check_hash=True, weights_only=True, map_location="cpu"
        )
    except (OSError, RuntimeError) as error:  # the network, the disk, or another hash than the name says
        raise WeightsError(f"{weights.url} could not be downloaded into {folder}: {error}") from error
    return state


def _cached(url: str) -> Path | None:
    file = url.rsplit("/", 1)[-1]
    for folder in (data_directory() / "weights", Path(torch.hub.get_dir()) / "checkpoints"):
        if (folder / file).is_file():
            return folder / file
    return None


def _from_file(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError(
            f"weights={str(path)!r}: expected imagenet, {SHIPPED}, or the path of a state dict that exists"
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # pickle raises anything
        # What torch says goes on about how to run a pickle's code after all.
        reason = "it is damaged, or holds more than tensors, which is not read because a pickle may run code"
        raise WeightsError(f"{path} is no state dict: {reason}. Save model.state_dict() alone") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path} is no state dict: expected a mapping from names to tensors")
    return state
