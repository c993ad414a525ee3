"""The classifier in torch: normalisation, trunk, pooling, one linear layer; and the form of it that is exported."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from image_classifier.config import ModelSettings
from image_classifier.data.photos import Photo
from image_classifier.data.preprocessing import Preprocessing
from image_classifier.models.backbones import Backbone, build_backbone
from image_classifier.models.batches import fixed_batches


class Classifier(nn.Module):
    """From pictures, uint8 [n, 3, h, w], to logits.

    One linear layer follows the mean over the grid, so the logit of a class is the mean of its class-activation map
    plus the bias (Zhou et al. 2016): the map shows exactly what the logit is made of.
    """

    def __init__(self, backbone: Backbone, n_classes: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        # They belong to the backbone and not to what is learned: no part of the state.
        self.register_buffer("shift", torch.tensor(backbone.mean).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(backbone.std).reshape(1, 3, 1, 1), persistent=False)
        self.trunk = backbone.trunk
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(backbone.channels, n_classes)

    def grid(self, pictures: Tensor) -> Tensor:
        """Normalise as the backbone expects, and return its grid of features [n, channels, h, w]."""
        scaled = (pictures.float() / 255.0 - self.get_buffer("shift")) / self.get_buffer("scale")
        features: Tensor = self.trunk(scaled.contiguous(memory_format=torch.channels_last))
        return features

    def embed(self, pictures: Tensor) -> Tensor:
        """Return pooled features [n, channels]."""
        return self.grid(pictures).mean((2, 3))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return logits [n, n_classes]."""
        return torch.as_tensor(self.head(self.dropout(self.embed(pictures))))

    def frozen_state(self) -> dict[str, Tensor]:
        """Return a copy of the weights, on the CPU."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self.state_dict().items()}


def build_classifier(settings: ModelSettings, n_classes: int) -> tuple[Classifier, Backbone]:
    """Build the network that the settings name, its head with random weights, and the backbone that it stands on."""
    backbone = build_backbone(settings.backbone, settings.weights, crop=settings.crop)
    return Classifier(backbone, n_classes, dropout=settings.tuning.dropout), backbone


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


class Exportable(nn.Module):
    """What the service runs: bytes in, calibrated probabilities, features and class-activation maps out."""

    def __init__(self, classifier: Classifier, temperature: float) -> None:
        super().__init__()
        self.classifier = classifier
        self.temperature = temperature

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return probabilities [n, n_classes], embedding [n, channels], maps [n, n_classes, h, w] of pictures."""
        grid, head = self.classifier.grid(pictures.permute(0, 3, 1, 2)), self.classifier.head
        embedding = grid.mean((2, 3))
        logits = head(embedding)
        maps = nn.functional.conv2d(grid, head.weight[:, :, None, None])
        return torch.softmax(logits / self.temperature, dim=1), embedding, maps
