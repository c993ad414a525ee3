"""A pretrained trunk is torchvision's own network, in both modes."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import get_model
from torchvision.models._api import WeightsEnum

from image_classifier.data.preprocessing import Preprocessing
from image_classifier.models.backbones import build_backbone, only_crop
from image_classifier.models.weights import imagenet_at_hand

Saved = Callable[[str], tuple[nn.Module, Path]]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """Return a function: name -> torchvision's model with random weights and used batch norm, and its state dict."""
    models: dict[str, tuple[nn.Module, Path]] = {}

    def save(name: str) -> tuple[nn.Module, Path]:
        if name not in models:
            torch.manual_seed(0)
            model = get_model(name, weights=None)
            with torch.no_grad():
                model.train()(torch.randn(4, 3, 64, 64) * 2 + 1)
            path = tmp_path_factory.mktemp("weights") / f"{name}.pth"
            torch.save(model.state_dict(), path)
            models[name] = model.eval(), path
        return models[name]

    return save


def pictures(side: int = 64) -> torch.Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1)) * 1.5


def head_of(model: nn.Module) -> nn.Module:
    return next(getattr(model, name) for name in ("fc", "classifier", "head") if hasattr(model, name))


@pytest.mark.long
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "densenet121"])
def test_a_pretrained_trunk_is_torchvisions_own_in_both_modes(name: str, saved: Saved) -> None:
    model, path = saved(name)
    backbone = build_backbone(name, str(path), crop=64)
    before = {key: tensor.clone() for key, tensor in backbone.trunk.state_dict().items()}
    with torch.no_grad():
        in_training = backbone.trunk.train()(pictures())
        in_evaluation = backbone.trunk.eval()(pictures())
        logits = head_of(model)(in_evaluation.mean((2, 3)))
        expected = model(pictures())
    assert in_training.shape == (2, backbone.channels, 2, 2)
    torch.testing.assert_close(in_training, in_evaluation, rtol=0, atol=0)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
    for key, tensor in backbone.trunk.state_dict().items():  # no statistic moved while it was in training mode
        torch.testing.assert_close(tensor, before[key], rtol=0, atol=0)


@pytest.mark.long
def test_a_transformer_of_windows_gives_a_grid(saved: Saved) -> None:
    model, path = saved("swin_t")
    backbone = build_backbone("swin_t", str(path), crop=64)
    with torch.no_grad():
        grid = backbone.trunk.eval()(pictures())
        logits, expected = model.head(grid.mean((2, 3))), model(pictures())
    assert grid.shape == (2, 768, 2, 2)
    assert backbone.preprocessing.interpolation == "bicubic"
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.long
@pytest.mark.slow
def test_a_transformer_of_patches_gives_its_patches_in_their_places(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(get_model("vit_b_16", weights=None).state_dict(), tmp_path / "w.pth")
    trunk = build_backbone("vit_b_16", str(tmp_path / "w.pth")).trunk.eval()
    blank = torch.zeros(1, 3, 224, 224)
    marked = blank.clone()
    marked[:, :, 16 * 3 : 16 * 4, 16 * 9 : 16 * 10] = 3.0  # the patch in row 3, column 9
    with torch.inference_mode():
        change = (trunk(marked) - trunk(blank)).abs().sum(1)[0]
    assert change.shape == (14, 14)
    assert divmod(int(change.argmax()), 14) == (3, 9)


def test_what_torchvision_calls_a_classifier_is_no_part_of_the_trunk(saved: Saved, tmp_path: Path) -> None:
    """SqueezeNet's is a convolution with a grid of its own: a file without it would leave it random."""
    model, path = saved("squeezenet1_1")
    state = {key: tensor for key, tensor in model.state_dict().items() if key.startswith("features.")}
    torch.save(state, tmp_path / "features.pth")
    built = []
    for file in (path, tmp_path / "features.pth"):
        backbone = build_backbone("squeezenet1_1", str(file), crop=64)
        assert backbone.channels == 512
        built.append(backbone)
    with torch.no_grad():
        expected = model.features(pictures())
        for backbone in built:
            torch.testing.assert_close(backbone.trunk.train()(pictures()), expected, rtol=1e-4, atol=1e-5)
    assert built[0].digest == built[1].digest


@pytest.mark.long
def test_models_whose_weights_expect_another_scale_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """GoogLeNet's weights come with a change of scale inside the network; a path must not lose it."""
    model = get_model("googlenet", weights=None, init_weights=False)
    torch.save(model.state_dict(), tmp_path / "w.pth")
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *_, **__: model.state_dict())
    official = get_model("googlenet", weights="DEFAULT").eval()
    backbone = build_backbone("googlenet", str(tmp_path / "w.pth"), crop=64)
    with torch.no_grad():
        logits, expected = official.fc(backbone.trunk(pictures()).mean((2, 3))), official(pictures())
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


def test_a_small_picture_does_not_shorten_the_network(saved: Saved) -> None:
    """At 32 pixels the last grid is one place; the one before it is that of another network."""
    model, path = saved("resnet18")
    backbone = build_backbone("resnet18", str(path), crop=32)
    with torch.no_grad():
        grid, expected = backbone.trunk(pictures(32)), model(pictures(32))
        assert grid.shape == (2, 512, 1, 1)
        torch.testing.assert_close(model.fc(grid.mean((2, 3))), expected, rtol=1e-4, atol=1e-5)


def test_a_side_that_a_network_does_not_take_is_refused(saved: Saved) -> None:
    with pytest.raises(ValueError, match=r"crop=160: vit_b_16 takes pictures of 224 x 224 pixels only"):
        build_backbone("vit_b_16", "not.pth", crop=160)
    with pytest.raises(ValueError, match=r"crop=8: squeezenet1_1 takes no pictures of this side"):
        build_backbone("squeezenet1_1", str(saved("squeezenet1_1")[1]), crop=8)
    assert {name: only_crop(name) for name in ("vit_h_14", "maxvit_t", "resnet18", "swin_t")} == {
        "vit_h_14": 518,
        "maxvit_t": 224,
        "resnet18": None,
        "swin_t": None,
    }


def test_pictures_are_prepared_as_the_weights_say(saved: Saved) -> None:
    path = str(saved("resnet18")[1])
    whole = build_backbone("resnet18", path)
    assert whole.preprocessing == Preprocessing(256, 224, "bilinear")
    assert (whole.mean, whole.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert build_backbone("resnet18", path, crop=112).preprocessing == Preprocessing(128, 112, "bilinear")


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    for call in (lambda: build_backbone("resnet19", "imagenet"), lambda: imagenet_at_hand("resnet19")):
        with pytest.raises(ValueError, match=r"backbone='resnet19': expected one of .*resnet18"):
            call()
