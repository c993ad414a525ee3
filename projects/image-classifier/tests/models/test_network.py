"""The classifier's sums by hand: normalisation, pooling, and maps that make up the logits."""

import numpy as np
import torch
from torch import nn
from torchvision.transforms import v2

from image_classifier.data.load import Dataset
from image_classifier.data.preprocessing import Preprocessing
from image_classifier.models.backbones import Backbone
from image_classifier.models.network import Classifier, Exportable, logits_of

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def classifier(n_classes: int = 3, *, dropout: float = 0.0) -> Classifier:
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.ReLU())
    backbone = Backbone("tiny", trunk, 8, Preprocessing(16, 16), MEAN, STD, pretrained=False, digest="random")
    return Classifier(backbone, n_classes, dropout=dropout).eval()


def pictures(n: int = 4) -> torch.Tensor:
    """Return uint8 [n, 16, 16, 3]."""
    return torch.randint(0, 256, (n, 16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))


def test_bytes_are_normalised_as_torchvision_does() -> None:
    network = classifier()
    network.trunk = nn.Identity()
    theirs = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])
    inside = pictures().permute(0, 3, 1, 2)
    torch.testing.assert_close(network.grid(inside), theirs(inside))
    # It is no part of what is learned, and so of no checkpoint.
    assert [name.split(".")[0] for name in classifier().state_dict()] == ["trunk"] * 2 + ["head"] * 2


def test_a_logit_is_the_mean_of_its_map_plus_the_bias() -> None:
    network = classifier()
    with torch.no_grad():
        probabilities, embedding, maps = Exportable(network, 2.5)(pictures())
        inside = pictures().permute(0, 3, 1, 2)
        logits, grid = network(inside), network.grid(inside)
    assert maps.shape == (4, 3, 4, 4)
    torch.testing.assert_close(maps.mean((2, 3)) + network.head.bias, logits)
    torch.testing.assert_close(probabilities, torch.softmax(logits / 2.5, 1))
    torch.testing.assert_close(embedding, grid.mean((2, 3)))
    # One place of a map is the head on that place's features, without the bias.
    torch.testing.assert_close(maps[1, :, 2, 3], network.head.weight @ grid[1, :, 2, 3])


def test_dropout_is_for_training_only() -> None:
    network = classifier(dropout=0.5)
    whole = pictures().permute(0, 3, 1, 2)
    with torch.inference_mode():
        assert torch.equal(network(whole), network(whole))
        network.train()
        assert not torch.equal(network(whole), network(whole))
        assert torch.equal(network.embed(whole), network.embed(whole))  # the features come before it


def test_logits_are_those_of_each_picture_alone(sample: Dataset) -> None:
    """Neither the batch nor dropout has a say."""
    network, how, photos = classifier(5, dropout=0.5).train(), Preprocessing(16, 16), sample.photos[:8]
    together = logits_of(network, photos, how)
    alone = [logits_of(network, [photo], how)[0] for photo in photos]
    assert together.dtype == np.float64
    np.testing.assert_allclose(together, alone, atol=1e-5)
