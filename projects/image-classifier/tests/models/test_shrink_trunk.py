"""The trunk that ships is made by its script, and is the network that it was made from but for the rounding."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torchvision.models import get_model

from image_classifier.data.load import Dataset
from image_classifier.data.photos import pixels_of
from image_classifier.data.preprocessing import Preprocessing
from image_classifier.models import trunk as module
from image_classifier.models.backbones import build_backbone
from image_classifier.models.network import Classifier
from image_classifier.models.shrink_trunk import shrink
from image_classifier.models.trunk import MOBILENET, features_of, shipped_trunk


@pytest.fixture(scope="module")
def remade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trunk, made again from the weights that ship: they are multiples of their scales already."""
    folder = tmp_path_factory.mktemp("trunk")
    backbone = build_backbone("mobilenet_v2", "shipped", crop=64)
    state = get_model("mobilenet_v2", weights=None).state_dict()
    for name, array in module.shipped_weights().items():
        place, number, kind = name.rsplit(".", 2)
        state[name if kind == "weight" else f"{place}.{int(number) + 1}.bias"] = torch.from_numpy(array.copy())
    torch.save(state, folder / "state.pth")
    assert backbone.digest == build_backbone("mobilenet_v2", str(folder / "state.pth"), crop=64).digest
    shrink(folder / "state.pth", folder / "made" / "trunk.onnx")
    return folder / "made" / "trunk.onnx"


@pytest.mark.long
def test_the_script_makes_what_ships_of_its_own_weights(remade: Path) -> None:
    ours, theirs = (onnx.load(path).graph for path in (remade, MOBILENET.path))
    assert [node.op_type for node in ours.node] == [node.op_type for node in theirs.node]
    made = {tensor.name: numpy_helper.to_array(tensor) for tensor in ours.initializer}
    for tensor in theirs.initializer:
        shipped = numpy_helper.to_array(tensor)
        assert made[tensor.name].dtype == shipped.dtype
        np.testing.assert_allclose(made[tensor.name], shipped, rtol=1e-4, err_msg=tensor.name)


def test_each_output_channel_uses_the_whole_range_of_its_integers() -> None:
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(MOBILENET.path).graph.initializer}
    integers = {name: array for name, array in arrays.items() if name.endswith("_integers")}
    assert len(integers) == 52
    for name, array in integers.items():
        assert array.dtype == np.int8
        assert (np.abs(array.reshape(len(array), -1).astype(int)).max(axis=1) == 127).all(), name


def test_torch_with_the_shipped_weights_computes_the_shipped_features(sample: Dataset) -> None:
    trunk, network = shipped_trunk(Preprocessing(64, 64)), Classifier(build_backbone("mobilenet_v2", "shipped"), 1)
    photos = sample.photos[::40]
    pixels = np.stack([pixels_of(photo, trunk.preprocessing) for photo in photos])
    with torch.inference_mode():
        theirs = network.eval().grid(torch.from_numpy(pixels).permute(0, 3, 1, 2)).mean((2, 3))
    ours = features_of(photos, trunk).rows
    np.testing.assert_allclose(ours, theirs, atol=2e-3)
    assert ours.std() > 0.1
