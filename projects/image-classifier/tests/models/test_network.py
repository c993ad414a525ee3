"""The classifier's sums by hand: normalisation, pooling, and maps that make up the logits."""

import torch
from torch import nn
from torchvision.transforms import v2

from image_classifier.data.images import Preprocessing
from image_classifier.models.backbones import Backbone
from image_classifier.models.network import Classifier, Exportable, Normalize

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
    found = Normalize(MEAN, STD)(pictures().permute(0, 3, 1, 2))
    theirs = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])
    torch.testing.assert_close(found, theirs(pictures().permute(0, 3, 1, 2)))
    half = Normalize((0.5,) * 3, (0.25,) * 3)(torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1))
    assert half.amax((1, 2, 3)).tolist() == [-2.0, 2.0]


def test_a_logit_is_the_mean_of_its_map_plus_the_bias() -> None:
    network, normalize = classifier(), Normalize(MEAN, STD)
    with torch.no_grad():
        probabilities, embedding, maps = Exportable(network, normalize, 2.5)(pictures())
        inside = normalize(pictures().permute(0, 3, 1, 2))
        logits, grid = network(inside), network.trunk(inside)
    assert maps.shape == (4, 3, 4, 4)
    torch.testing.assert_close(maps.mean((2, 3)) + network.head.bias, logits)
    torch.testing.assert_close(probabilities, torch.softmax(logits / 2.5, 1))
    torch.testing.assert_close(embedding, grid.mean((2, 3)))
    # One place of a map is the head on that place's features, without the bias.
    torch.testing.assert_close(maps[1, :, 2, 3], network.head.weight @ grid[1, :, 2, 3])


def test_the_temperature_changes_confidence_and_nothing_else() -> None:
    network, normalize = classifier(), Normalize(MEAN, STD)
    with torch.inference_mode():
        sharp, cool = (Exportable(network, normalize, temperature)(pictures()) for temperature in (1.0, 4.0))
    assert (cool[0].amax(1) < sharp[0].amax(1)).all()
    assert torch.equal(cool[0].argmax(1), sharp[0].argmax(1))
    torch.testing.assert_close(cool[1:], sharp[1:], rtol=0, atol=0)


def test_dropout_is_for_training_only() -> None:
    network = classifier(dropout=0.5)
    floats = Normalize(MEAN, STD)(pictures().permute(0, 3, 1, 2))
    with torch.inference_mode():
        assert torch.equal(network(floats), network(floats))
        network.train()
        assert not torch.equal(network(floats), network(floats))
        assert torch.equal(network.embed(floats), network.embed(floats))  # the features come before it
