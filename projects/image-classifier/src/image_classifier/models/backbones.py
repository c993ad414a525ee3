"""Backbones: torchvision's by name, with their pretrained weights and the transforms of these."""

import hashlib
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import get_model, get_model_weights
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from image_classifier.data.preprocessing import Preprocessing
from image_classifier.models.weights import HEADS, check_name, load_weights


@dataclass(frozen=True)
class Backbone:
    """A pretrained network that turns pictures into a grid of features, and what it expects of the pictures.

    Attributes
    ----------
    trunk
        Float [n, 3, crop, crop], normalized -> [n, channels, height, width]. Its batch norm is part of the convolutions
        before it: the same function as batch norm in evaluation mode, and what it adds stays as it is while the weights
        are tuned.
    digest
        SHA-256 of name and weights, which a checkpoint belongs to.
    """

    name: str
    trunk: nn.Module
    channels: int
    preprocessing: Preprocessing
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    digest: str


def build_backbone(name: str, weights: str, *, crop: int | None = None) -> Backbone:
    """Build a backbone.

    Parameters
    ----------
    name
        Of a torchvision classification model.
    weights
        ``imagenet``: torchvision's default weights, downloaded by torchvision into the data cache if they are not
        there or in its own cache. ``shipped``: those of the trunk that ships. Anything else: path of a state dict, read
        without pickle's code.
    crop
        Side of the pictures in pixels; None for that of the weights' own transforms.

    Raises
    ------
    WeightsError
        If the weights cannot be had or do not fit the model.
    ValueError
        If there is no such model, or it does not take pictures of this side.
    """
    check_name(name)
    transforms = get_model_weights(name).DEFAULT.transforms()
    preprocessing = _preprocessing(transforms, crop)
    if (only := only_crop(name)) is not None and preprocessing.crop != only:
        raise ValueError(f"crop={crop}: {name} takes pictures of {only} x {only} pixels only")
    model = _without_download(name)
    load_weights(model, name, weights)
    model.eval()
    trunk, channels = _cut(model, _own_crop(transforms))
    side = preprocessing.crop
    try:
        with torch.inference_mode():
            trunk(torch.zeros(1, 3, side, side))
    except RuntimeError as error:
        raise ValueError(f"crop={side}: {name} takes no pictures of this side ({error})") from error
    mean, std = tuple(transforms.mean), tuple(transforms.std)
    return Backbone(name, trunk, channels, preprocessing, mean, std, _digest(name, model))


def only_crop(name: str) -> int | None:
    """Return the one side of pictures that a backbone takes, or None if it takes others too."""
    # Their positions are learned, or their windows laid out, for one grid.
    return _own_crop(get_model_weights(name).DEFAULT.transforms()) if name.startswith(("vit_", "maxvit_")) else None


def _without_download(name: str) -> nn.Module:
    """Return the model with random weights, built as torchvision builds it for its own weights."""
    extra: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        # Their weights came from elsewhere, and expect pictures of another scale; random ones are slow to draw.
        extra = {"transform_input": True, "init_weights": False}
    if name.startswith("vit_"):
        extra = {"image_size": only_crop(name)}
    model: nn.Module = get_model(name, weights=None, **extra)
    return model


def _preprocessing(transforms: Any, crop: int | None) -> Preprocessing:
    """Return the transforms of the weights; another crop keeps the ratio of resize and crop."""
    own, resize = _own_crop(transforms), transforms.resize_size[0]
    side = crop or own
    return Preprocessing(round(resize * side / own), side, transforms.interpolation.value)


def _own_crop(transforms: Any) -> int:
    return int(transforms.crop_size[0])


def _cut(model: nn.Module, own_crop: int) -> tuple[nn.Module, int]:
    """Return the model up to its last grid of features, and how many features a place of the grid has.

    The grid is found at the model's own side: of a small picture, the last grid may be a single place.
    """
    last = get_graph_node_names(model, suppress_diff_warning=True)[1][-1]
    whole = create_feature_extractor(model, [last], suppress_diff_warning=True).eval()
    graph = fx.GraphModule(whole, getattr(whole, "eval_graph", whole.graph))
    with torch.inference_mode():
        ShapeProp(graph).propagate(torch.zeros(1, 3, own_crop, own_crop))
    nodes = list(takewhile(lambda node: str(node.target).split(".")[0] not in HEADS, graph.graph.nodes))
    metas = {node.name: node.meta.get("tensor_meta") for node in nodes}
    shapes = {name: tuple(meta.shape) for name, meta in metas.items() if hasattr(meta, "shape")}
    grids = [name for name, shape in shapes.items() if len(shape) == 4 and shape[1] > 3 and min(shape[2:]) > 1]
    tokens = [name for name, shape in shapes.items() if len(shape) == 3 and shape[0] == 1 and _is_square(shape[1] - 1)]
    name = tokens[-1] if tokens else grids[-1]
    channels = shapes[name][2] if tokens else shapes[name][1]
    cut: nn.Module = fuse(_until(graph, name), no_trace=True)
    _fold_inside(cut)
    return _Trunk(cut, tokens=bool(tokens)), channels


def _fold_inside(network: nn.Module) -> None:
    """Fold batch norm into the convolution before it, inside of modules that the graph takes as a whole."""
    for module in network.modules():
        children = list(module.named_children()) if isinstance(module, nn.Sequential) else []
        for (name, first), (other, second) in pairwise(children):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(first, second))
                setattr(module, other, nn.Identity())


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
    def __init__(self, network: nn.Module, *, tokens: bool) -> None:
        super().__init__()
        self.network = network
        self.tokens = tokens

    def train(self, mode: bool = True) -> "_Trunk":  # noqa: FBT001, FBT002 (torch's signature)
        """Set the mode; batch norm that no convolution could take in stays in evaluation mode."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 (1d, 2d and 3d)
                module.eval()
        return self

    def forward(self, pictures: Tensor) -> Tensor:
        grid: Tensor = self.network(pictures)
        if not self.tokens:
            return grid
        # A vision transformer's [n, 1 + side x side, c], the first left out: [n, c, side, side].
        side = int((grid.shape[1] - 1) ** 0.5)
        return grid[:, 1:].transpose(1, 2).reshape(grid.shape[0], -1, side, side)


def _digest(name: str, model: nn.Module) -> str:
    digest = hashlib.sha256(name.encode())
    for key, tensor in sorted(model.state_dict().items()):
        if key.split(".")[0] not in HEADS:
            digest.update(key.encode())
            digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()
