"""The classifier's sums by hand, and its exported trunk: what torch says, or there is none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from PIL import Image
from torch import nn
from torchvision.transforms import v2

from image_classifier.config import ModelSettings
from image_classifier.data.load import Dataset
from image_classifier.data.photos import Photo, pixels_of
from image_classifier.data.preprocessing import Preprocessing
from image_classifier.models import network as module
from image_classifier.models.backbones import Backbone
from image_classifier.models.network import Classifier, ParityError, logits_of, pretrained_trunk, trunk_like
from image_classifier.models.predictor import session
from image_classifier.models.probe import Head
from image_classifier.models.trunk import features_of

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HOW = Preprocessing(32, 32)


def classifier(n_classes: int = 3) -> Classifier:
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.ReLU())
    return Classifier(Backbone("tiny", trunk, 8, HOW, MEAN, STD, digest="abc"), n_classes).eval()


def pictures(n: int = 4) -> torch.Tensor:
    """Return uint8 [n, 3, 32, 32]."""
    return torch.randint(0, 256, (n, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))


def test_bytes_are_normalized_as_torchvision_does() -> None:
    network = classifier()
    network.trunk = nn.Identity()
    theirs = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])
    torch.testing.assert_close(network.grid(pictures()), theirs(pictures()))
    # It is no part of what is learned, and so of no checkpoint.
    assert [name.split(".")[0] for name in classifier().state_dict()] == ["trunk"] * 2 + ["head"] * 2


def test_a_network_that_starts_from_a_head_has_its_logits() -> None:
    network, rng = classifier(), np.random.default_rng(0)
    head = Head(rng.normal(size=(3, 8)), rng.normal(size=3))
    network.start_from(head)
    with torch.inference_mode():
        features, logits = network.grid(pictures()).mean((2, 3)), network(pictures())
    np.testing.assert_allclose(logits, head.logits(features.numpy()), atol=1e-5)
    np.testing.assert_allclose(network.as_head().weight, head.weight, atol=1e-6)
    np.testing.assert_allclose(network.as_head().bias, head.bias, atol=1e-6)


def test_what_is_kept_of_the_features_are_factors_of_them() -> None:
    network, kept = classifier(), torch.zeros(4, 8)
    kept[:2] = 2.0
    with torch.inference_mode():
        features, logits = network.grid(pictures()).mean((2, 3)), network(pictures(), kept)
        torch.testing.assert_close(logits[:2], network.head(2 * features[:2]))
        assert torch.equal(logits[2:], network.head.bias.expand(2, -1))


def test_logits_are_those_of_each_picture_alone(sample: Dataset) -> None:
    """The batch has no say."""
    network, photos = classifier(5).train(), sample.photos[:8]
    together = logits_of(network, photos, HOW)
    alone = [logits_of(network, [photo], HOW)[0] for photo in photos]
    assert together.dtype == np.float64
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.long
def test_the_exported_trunk_takes_bytes_in_any_number_and_computes_what_torch_computes(sample: Dataset) -> None:
    network, photos = classifier().train(), sample.photos[::20]
    trunk = trunk_like(network, HOW, photos)
    (given,) = session(trunk.graph).get_inputs()
    assert (given.name, given.type, given.shape[1:]) == ("pictures", "tensor(uint8)", [32, 32, 3])
    stacked = np.stack([pixels_of(photo, HOW) for photo in photos])
    with torch.inference_mode():
        expected = network.grid(torch.from_numpy(stacked).permute(0, 3, 1, 2)).numpy()
    for n in (1, 2, len(photos)):
        (grid,) = session(trunk.graph).run(["grid"], {"pictures": stacked[:n]})
        np.testing.assert_allclose(grid, expected[:n], atol=1e-4)
    np.testing.assert_allclose(features_of(photos, trunk).rows, expected.mean((2, 3)), atol=1e-4)
    assert b".py" not in trunk.graph  # no path of the machine that trained


def spoilt(graph: bytes, factor: float) -> bytes:
    """Return the graph with its features multiplied."""
    model = onnx.load_from_string(graph)
    for node in model.graph.node:
        node.output[:] = ["before" if name == "grid" else name for name in node.output]
    model.graph.initializer.append(numpy_helper.from_array(np.array(factor, dtype=np.float32), "factor"))
    model.graph.node.append(helper.make_node("Mul", ["before", "factor"], ["grid"]))
    return model.SerializeToString()


@pytest.mark.long
def test_a_wrong_graph_is_refused(sample: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = trunk_like(classifier(), HOW, sample.photos).graph
    monkeypatch.setattr(module.torch.onnx, "export", lambda *_, **__: None)
    with pytest.raises(ParityError, match="returned nothing"):
        trunk_like(classifier(), HOW, sample.photos)
    monkeypatch.setattr(module, "_to_bytes", lambda _: graph)
    assert trunk_like(classifier(), HOW, sample.photos).graph == graph
    for factor in (1.01, np.nan):
        monkeypatch.setattr(module, "_to_bytes", lambda _, factor=factor: spoilt(graph, factor))
        with pytest.raises(ParityError, match="ONNX Runtime's features differ from torch's by"):
            trunk_like(classifier(), HOW, sample.photos)


@pytest.fixture
def large(sample: Dataset, tmp_path: Path) -> Photo:
    """A photograph larger than the weights' own side; those of the sample are smaller."""
    with Image.open(sample.photos[0].path) as picture:
        picture.resize((300, 300)).save(tmp_path / "large.jpg")
    return replace(sample.photos[0], path=tmp_path / "large.jpg")


@pytest.mark.parametrize(
    ("own", "crop", "only", "expected"),
    [
        (Preprocessing(232, 224, "bicubic"), None, None, Preprocessing(288, 288, "bicubic")),
        (Preprocessing(232, 224), 96, None, Preprocessing(96, 96)),
        (Preprocessing(232, 224), None, 224, Preprocessing(232, 224)),  # it takes no other side
    ],
)
def test_the_probe_sees_larger_pictures_where_the_network_takes_them(  # noqa: PLR0917
    own: Preprocessing,
    crop: int | None,
    only: int | None,
    expected: Preprocessing,
    large: Photo,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backbone = Backbone("tiny", nn.Identity(), 3, own, MEAN, STD, digest="abc")
    monkeypatch.setattr(module, "build_backbone", lambda *_, **__: backbone)
    monkeypatch.setattr(module, "only_crop", lambda _: only)
    monkeypatch.setattr(module, "trunk_like", lambda network, preprocessing, photos: preprocessing)
    assert pretrained_trunk(ModelSettings(backbone="tiny", weights="x", crop=crop), [large]) == expected
