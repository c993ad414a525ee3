"""The classifier in torch: trunk, pooling, one linear layer; and the form of it that is exported."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from image_classifier.models.backbones import Backbone


class Classifier(nn.Module):
    """From normalised pictures to logits.

    One linear layer follows the mean over the grid, so the logit of a class is the mean of its class-activation map
    plus the bias (Zhou et al. 2016): the map shows exactly what the logit is made of.
    """

    def __init__(self, backbone: Backbone, n_classes: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.trunk = backbone.trunk
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(backbone.channels, n_classes)

    def embed(self, pictures: Tensor) -> Tensor:
        """Return pooled features [n, channels] of float pictures [n, 3, h, w]."""
        return torch.as_tensor(self.trunk(pictures)).mean((2, 3))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return logits [n, n_classes] of float pictures [n, 3, h, w]."""
        return torch.as_tensor(self.head(self.dropout(self.embed(pictures))))


class Normalize(nn.Module):
    """Bytes [n, 3, h, w] -> floats with the mean and standard deviation that the backbone expects."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor(mean).reshape(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(std).reshape(1, 3, 1, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the pictures in the terms of the backbone."""
        scaled = (pictures.float() / 255.0 - self.get_buffer("shift")) / self.get_buffer("scale")
        return scaled.contiguous(memory_format=torch.channels_last)


class Exportable(nn.Module):
    """What the service runs: bytes in, calibrated probabilities, features and class-activation maps out."""

    def __init__(self, classifier: Classifier, normalize: Normalize, temperature: float) -> None:
        super().__init__()
        self.trunk = classifier.trunk
        self.head = classifier.head
        self.normalize = normalize
        self.temperature = temperature

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return probabilities [n, n_classes], embedding [n, channels], maps [n, n_classes, h, w].

        Parameters
        ----------
        pictures
            uint8 [n, crop, crop, 3], as they come from `image_classifier.data.images.to_pixels`.
        """
        grid = self.trunk(self.normalize(pictures.permute(0, 3, 1, 2)))
        embedding = grid.mean((2, 3))
        logits = self.head(embedding)
        maps = nn.functional.conv2d(grid, self.head.weight[:, :, None, None])
        return torch.softmax(logits / self.temperature, dim=1), embedding, maps
