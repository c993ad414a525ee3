"""The classifier in torch: normalization, trunk, pooling, one linear layer; and its trunk as an ONNX graph."""

import io
from collections.abc import Sequence

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from image_classifier.config import ModelSettings
from image_classifier.data.photos import Photo, pixels_of, spread
from image_classifier.data.preprocessing import Pixels, Preprocessing
from image_classifier.models.backbones import Backbone, build_backbone, only_crop
from image_classifier.models.batches import fixed_batches
from image_classifier.models.predictor import session
from image_classifier.models.probe import Head
from image_classifier.models.trunk import Trunk, whole

TOLERANCE = 1e-4
N_PARITY = 16
"""Pictures that an export is compared with torch on."""


class ParityError(RuntimeError):
    """The exported graph does not compute what torch computes."""


class Classifier(nn.Module):
    """From pictures, uint8 [n, 3, h, w], to logits."""

    def __init__(self, backbone: Backbone, n_classes: int) -> None:
        super().__init__()
        # They belong to the backbone and not to what is learned: no part of the state.
        self.register_buffer("shift", torch.tensor(backbone.mean).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(backbone.std).reshape(1, 3, 1, 1), persistent=False)
        self.trunk = backbone.trunk
        self.head = nn.Linear(backbone.channels, n_classes)

    def grid(self, pictures: Tensor) -> Tensor:
        """Normalize as the backbone expects, and return its grid of features [n, channels, h, w]."""
        scaled = (pictures.float() / 255.0 - self.get_buffer("shift")) / self.get_buffer("scale")
        features: Tensor = self.trunk(scaled.contiguous(memory_format=torch.channels_last))
        return features

    def forward(self, pictures: Tensor, kept: Tensor | None = None) -> Tensor:
        """Return logits [n, n_classes].

        Parameters
        ----------
        kept
            Factors [n, channels] of the features: dropout, which is drawn by who trains.
        """
        features = self.grid(pictures).mean((2, 3))
        return torch.as_tensor(self.head(features if kept is None else features * kept))

    @torch.no_grad()
    def start_from(self, head: Head) -> None:
        """Give the last layer the weights of a fitted head.

        Fine-tuning starts from there, where the features are still good: Kumar et al. 2022, "Fine-tuning can distort
        pretrained features and underperform out-of-distribution".
        """
        self.head.weight.copy_(torch.from_numpy(head.weight))
        self.head.bias.copy_(torch.from_numpy(head.bias))

    def as_head(self) -> Head:
        """Return the last layer."""
        weight, bias = (tensor.detach().cpu().double().numpy() for tensor in (self.head.weight, self.head.bias))
        return Head(weight, bias)


def pretrained_trunk(settings: ModelSettings, photos: Sequence[Photo]) -> Trunk:
    """Export a pretrained backbone for pictures as the probe sees them."""
    backbone = build_backbone(settings.backbone, settings.weights, crop=settings.crop)
    preprocessing = backbone.preprocessing
    if only_crop(backbone.name) is None:
        preprocessing = whole(preprocessing.crop, settings.crop, photos, preprocessing.interpolation)
    return trunk_like(Classifier(backbone, 1), preprocessing, photos)


def trunk_like(classifier: Classifier, preprocessing: Preprocessing, photos: Sequence[Photo]) -> Trunk:
    """Export the trunk of a classifier, compared with torch on some of these photographs."""
    pictures = [pixels_of(photo, preprocessing) for photo in spread(photos, N_PARITY)]
    return Trunk(export_trunk(classifier, pictures), preprocessing)


def logits_of(
    classifier: Classifier, photos: Sequence[Photo], preprocessing: Preprocessing, *, workers: int = 0
) -> NDArray[np.float64]:
    """Return the logits [n, n_classes] of photographs, prepared as in the service."""
    device = next(classifier.parameters()).device
    classifier.eval()
    with torch.inference_mode():
        parts = [
            classifier(pictures.to(device)).float().cpu().numpy()
            for pictures, _ in fixed_batches(photos, preprocessing, workers=workers)
        ]
    return np.concatenate(parts).astype(np.float64)


class _Exportable(nn.Module):
    """Bytes in, the grid of features out."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, pictures: Tensor) -> Tensor:
        return self.classifier.grid(pictures.permute(0, 3, 1, 2))


def export_trunk(classifier: Classifier, pictures: Sequence[Pixels]) -> bytes:
    """Export a classifier up to its grid of features, and compare with torch on these pictures.

    Parameters
    ----------
    pictures
        Each uint8 [crop, crop, 3]; at least two.

    Raises
    ------
    ParityError
        If a feature differs by more than 1e-4 of the largest.
    """
    stacked = np.stack(pictures)
    model = _Exportable(classifier.cpu()).eval()
    with torch.inference_mode():
        program = torch.onnx.export(
            model,
            (torch.from_numpy(stacked[:2]),),
            dynamo=True,
            input_names=["pictures"],
            output_names=["grid"],
            dynamic_shapes={"pictures": {0: torch.export.Dim("n", min=1, max=1024)}},
            verbose=False,
        )
        graph = _to_bytes(program)
        theirs = model(torch.from_numpy(stacked)).numpy()
    (ours,) = session(graph).run(["grid"], {"pictures": stacked})
    gap = float(np.abs(ours - theirs).max() / max(1.0, np.abs(theirs).max()))
    if not gap <= TOLERANCE:
        raise ParityError(f"ONNX Runtime's features differ from torch's by {gap:.2g}, above {TOLERANCE:g}")
    return graph


def _to_bytes(program: torch.onnx.ONNXProgram | None) -> bytes:
    if program is None:
        raise ParityError("torch.onnx.export returned nothing")
    buffer = io.BytesIO()
    onnx.save_model(program.model_proto, buffer)
    model = onnx.load_from_string(buffer.getvalue())
    graph = model.graph
    del graph.value_info[:]
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]  # such as the file and line of this machine that it comes from
    return bytes(model.SerializeToString())
