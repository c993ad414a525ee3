"""Backbones: torchvision's by name, with its weights and their transforms, or a small network for tiny pictures."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse
from torch.fx.passes.shape_prop import ShapeProp
from torchvision import models
from torchvision.models import get_model, get_model_weights, list_models
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names
from torchvision.transforms import InterpolationMode

from image_classifier.images import Interpolation, Preprocessing
from portfolio_shared.data.download import data_directory, reachable

SMALL = "small_cnn"
HALF = (0.5, 0.5, 0.5)

INTERPOLATIONS: dict[InterpolationMode, Interpolation] = {
    InterpolationMode.NEAREST: "nearest",
    InterpolationMode.BILINEAR: "bilinear",
    InterpolationMode.BICUBIC: "bicubic",
}


class WeightsError(RuntimeError):
    """Weights that cannot be had or do not fit; the message says what to do."""


@dataclass(frozen=True)
class Backbone:
    """A network that turns pictures into a grid of features, and what it expects of the pictures.

    Attributes
    ----------
    trunk
        Float [n, 3, crop, crop], normalised -> [n, channels, height, width].
    pretrained
        Whether its weights were learned from other pictures. Its batch norm is then part of the convolutions before
        it: the same function as batch norm in evaluation mode, and it stays so while the weights are tuned.
    digest
        SHA-256 of name and weights, which features that are kept on disk belong to.
    """

    name: str
    trunk: nn.Module
    channels: int
    preprocessing: Preprocessing
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    pretrained: bool
    digest: str


def build_backbone(name: str, weights: str, *, crop: int | None = None) -> Backbone:
    """Build a backbone.

    Parameters
    ----------
    name
        Of a torchvision classification model, or ``small_cnn``.
    weights
        ``imagenet``: torchvision's default weights, downloaded by torchvision into the data cache if they are not
        there or in its own cache. ``none``: random. Anything else: path of a state dict, read without pickle's code.
    crop
        Side of the pictures in pixels; None for that of the weights' own transforms.

    Raises
    ------
    WeightsError
        If the weights cannot be had or do not fit the model.
    ValueError
        If there is no such model.
    """
    if name == SMALL:
        if weights != "none":
            raise WeightsError(f"{SMALL} has no weights to load, and weights={weights!r}: set weights to none")
        side = crop or 64
        trunk = _small_cnn()
        how = Preprocessing(side, side)
        return Backbone(name, trunk, 96, how, HALF, HALF, pretrained=False, digest="random")
    _check_name(name)
    transforms = get_model_weights(name).DEFAULT.transforms()
    preprocessing = _preprocessing(transforms, crop)
    model = _without_download(name)
    if weights != "none":
        _load(model, name, weights)
    model.eval()
    trunk, channels = _cut(model, preprocessing.crop, frozen=weights != "none")
    mean, std = tuple(transforms.mean), tuple(transforms.std)
    digest = _digest(name, model) if weights != "none" else "random"
    return Backbone(name, trunk, channels, preprocessing, mean, std, weights != "none", digest)


def imagenet_at_hand(name: str) -> bool:
    """Return whether torchvision's weights are in a cache, or their host answers within seconds."""
    _check_name(name)
    url = get_model_weights(name).DEFAULT.url
    return _cached(url) is not None or reachable([url])


def _check_name(name: str) -> None:
    known = list_models(module=models)
    if name not in known:
        raise ValueError(f"backbone={name!r}: expected {SMALL} or one of torchvision's: {', '.join(known)}")


def _without_download(name: str) -> nn.Module:
    # These two initialise slowly unless told otherwise, and warn.
    extra: dict[str, Any] = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
    model: nn.Module = get_model(name, weights=None, **extra)
    return model


def _load(model: nn.Module, name: str, weights: str) -> None:
    state = _imagenet(name) if weights == "imagenet" else _from_file(Path(weights))
    found = model.load_state_dict(state, strict=False)
    head = {key for key in model.state_dict() if key.split(".")[0] in _HEADS}
    if missing := set(found.missing_keys) - head:
        said = f"{weights}: {len(missing)} of {name}'s tensors are missing, {min(missing)} among them"
        raise WeightsError(f"{said}: these are the weights of another model")
    if found.unexpected_keys:
        raise WeightsError(f"{weights}: {found.unexpected_keys[0]} is no tensor of {name}: these are another model's")


_HEADS = ("classifier", "fc", "head", "heads", "AuxLogits", "aux1", "aux2")
"""First parts of the names of what is not used: torchvision's own classifiers."""


def _imagenet(name: str) -> dict[str, Tensor]:
    weights = get_model_weights(name).DEFAULT
    cached = _cached(weights.url)
    if cached is None and not reachable([weights.url]):
        raise WeightsError(
            f"the weights of {name} are not in the cache and {weights.url} does not answer. Three ways on: connect to "
            f"the network; put that file into {data_directory() / 'weights'}; or set weights to the path of a state "
            "dict, or to none for random weights, which need many more pictures"
        )
    folder = cached.parent if cached else data_directory() / "weights"
    state: dict[str, Tensor] = weights.get_state_dict(
        model_dir=str(folder), check_hash=True, weights_only=True, map_location="cpu"
    )
    return state


def _cached(url: str) -> Path | None:
    file = url.rsplit("/", 1)[-1]
    for folder in (data_directory() / "weights", Path(torch.hub.get_dir()) / "checkpoints"):
        if (folder / file).is_file():
            return folder / file
    return None


def _from_file(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError(f"weights={str(path)!r}: expected imagenet, none, or the path of a state dict that exists")
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # pickle raises anything
        raise WeightsError(f"{path} is no state dict of tensors alone: {error}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path} is no state dict: expected a mapping from names to tensors")
    return state


def _preprocessing(transforms: Any, crop: int | None) -> Preprocessing:
    """Return the transforms of the weights; another crop keeps the ratio of resize and crop."""
    own, resize = transforms.crop_size[0], transforms.resize_size[0]
    side = crop or own
    return Preprocessing(round(resize * side / own), side, INTERPOLATIONS[transforms.interpolation])


def _cut(model: nn.Module, crop: int, *, frozen: bool) -> tuple[nn.Module, int]:
    """Return the model up to its last grid of features, and how many features a place of the grid has."""
    last = get_graph_node_names(model)[1][-1]
    whole = create_feature_extractor(model, [last]).eval()
    graph = fx.GraphModule(whole, getattr(whole, "eval_graph", whole.graph))
    with torch.inference_mode():
        ShapeProp(graph).propagate(torch.zeros(1, 3, crop, crop))
    shapes = {node.name: tuple(meta.shape) for node in graph.graph.nodes if (meta := _tensor(node)) is not None}
    grids = [name for name, shape in shapes.items() if len(shape) == 4 and shape[1] > 3 and min(shape[2:]) > 1]
    tokens = [name for name, shape in shapes.items() if len(shape) == 3 and shape[0] == 1 and _is_square(shape[1] - 1)]
    name = tokens[-1] if tokens else grids[-1]
    channels = shapes[name][2] if tokens else shapes[name][1]
    arrange = _to_grid if tokens else _as_it_is
    cut = _until(graph, name)
    return _Trunk(fuse(cut, no_trace=True) if frozen else cut, arrange), channels


def _tensor(node: fx.Node) -> Any:
    meta = node.meta.get("tensor_meta")
    return meta if hasattr(meta, "shape") else None


def _is_square(number: int) -> bool:
    return number > 1 and int(number**0.5) ** 2 == number


def _until(graph: fx.GraphModule, name: str) -> fx.GraphModule:
    """Return the graph cut after a node."""
    kept = next(node for node in graph.graph.nodes if node.name == name)
    output = next(node for node in graph.graph.nodes if node.op == "output")
    output.args = (kept,)
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    graph.recompile()
    return graph


class _Trunk(nn.Module):
    def __init__(self, network: nn.Module, arrange: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.network = network
        self.arrange = arrange

    def forward(self, pictures: Tensor) -> Tensor:
        return self.arrange(self.network(pictures))


def _as_it_is(grid: Tensor) -> Tensor:
    return grid


def _to_grid(tokens: Tensor) -> Tensor:
    """Return the tokens of a vision transformer [n, 1 + side x side, c], without the first, as [n, c, side, side]."""
    side = int((tokens.shape[1] - 1) ** 0.5)
    return tokens[:, 1:].transpose(1, 2).reshape(tokens.shape[0], -1, side, side)


def _small_cnn() -> nn.Module:
    """Four convolutions, each followed by batch norm and a halving."""

    def block(n_in: int, n_out: int) -> list[nn.Module]:
        return [
            nn.Conv2d(n_in, n_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        ]

    return nn.Sequential(*block(3, 24), *block(24, 48), *block(48, 96), *block(96, 96))


def _digest(name: str, model: nn.Module) -> str:
    found = hashlib.sha256(name.encode())
    for key, tensor in sorted(model.state_dict().items()):
        if key.split(".")[0] not in _HEADS:
            found.update(key.encode())
            found.update(tensor.detach().contiguous().numpy().tobytes())
    return found.hexdigest()
