"""Make the trunk that ships: torchvision's MobileNetV2 up to its features, exported, with weights of 8 bits.

python -m image_classifier.models.shrink_trunk STATE_DICT [TARGET]; it needs torch.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from image_classifier.models.backbones import build_backbone
from image_classifier.models.network import Classifier, export_trunk
from image_classifier.models.trunk import MOBILENET

TRUNK = "classifier.trunk.network."


def shrink(weights: Path, target: Path = MOBILENET.path) -> None:
    """Export the features of a state dict of MobileNetV2 and write them with weights of 8 bits.

    Each output channel of a convolution has a scale of its own, its largest weight over 127; biases stay floats.
    Height and width of the pictures are left open.
    """
    backbone = build_backbone("mobilenet_v2", str(weights))
    pictures = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    model = onnx.load_from_string(export_trunk(Classifier(backbone, 1), list(pictures)))
    graph = model.graph
    for i, dim in enumerate(graph.input[0].type.tensor_type.shape.dim):
        if i in (1, 2):
            dim.dim_param = "height" if i == 1 else "width"
    for dim in graph.output[0].type.tensor_type.shape.dim[2:]:
        dim.Clear()
    for node in graph.node:
        node.input[:] = [name.removeprefix(TRUNK) for name in node.input]
    tensors = list(graph.initializer)
    del graph.initializer[:]
    for tensor in tensors:
        name, array = tensor.name.removeprefix(TRUNK), numpy_helper.to_array(tensor)
        if array.ndim < 4 or not name.startswith("features."):
            graph.initializer.append(numpy_helper.from_array(array, name))
            continue
        scales = np.abs(array).reshape(len(array), -1).max(axis=1) / np.float32(127)
        integers = np.rint(array / scales[:, None, None, None]).astype(np.int8)
        names = [f"{name}_integers", f"{name}_scales"]
        graph.initializer.extend(map(numpy_helper.from_array, (integers, scales), names))
        graph.node.insert(0, helper.make_node("DequantizeLinear", names, [name], name=f"{name}_dequantized", axis=0))
    onnx.checker.check_model(model, full_check=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, target)


if __name__ == "__main__":
    shrink(*map(Path, sys.argv[1:]))
