"""A pretrained trunk is torchvision's own network, in both modes; weights that do not fit are refused by name."""

from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import ResNet18_Weights, get_model
from torchvision.models._api import WeightsEnum

from image_classifier.data.images import Preprocessing
from image_classifier.models import backbones
from image_classifier.models.backbones import WeightsError, build_backbone, imagenet_at_hand, only_crop

CACHED = "resnet18-f37072fd.pth"  # torchvision's name of the file

Saved = Callable[[str], tuple[nn.Module, Path]]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """Return a function: name -> torchvision's model with random weights and used batch norm, and its state dict."""
    known: dict[str, tuple[nn.Module, Path]] = {}

    def save(name: str) -> tuple[nn.Module, Path]:
        if name not in known:
            torch.manual_seed(0)
            model = get_model(name, weights=None)
            with torch.no_grad():
                model.train()(torch.randn(4, 3, 64, 64) * 2 + 1)
            path = tmp_path_factory.mktemp("weights") / f"{name}.pth"
            torch.save(model.state_dict(), path)
            known[name] = model.eval(), path
        return known[name]

    return save


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty caches and no network; return the folder of the data cache."""
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(backbones, "reachable", lambda urls: False)
    return tmp_path / "data"


def pictures(side: int = 64) -> torch.Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1)) * 1.5


def head_of(model: nn.Module) -> nn.Module:
    return next(getattr(model, name) for name in ("fc", "classifier", "head") if hasattr(model, name))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "densenet121"])
def test_a_pretrained_trunk_is_torchvisions_own_in_both_modes(name: str, saved: Saved) -> None:
    model, path = saved(name)
    backbone = build_backbone(name, str(path), crop=64)
    assert backbone.pretrained
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


def test_random_weights_keep_a_batch_norm_that_learns() -> None:
    trunk = build_backbone("resnet18", "none", crop=64).trunk
    before = {key: tensor.clone() for key, tensor in trunk.state_dict().items() if "running_mean" in key}
    with torch.no_grad():
        trunk.train()(pictures())
    after = trunk.state_dict()
    assert len(before) == 20
    assert not any(torch.equal(after[key], tensor) for key, tensor in before.items())


def test_random_weights_are_those_of_the_seed_and_no_others() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        backbone = build_backbone("squeezenet1_1", "none", crop=64)
        assert (backbone.pretrained, backbone.digest) == (False, "random")
        return torch.cat([parameter.flatten() for parameter in backbone.trunk.parameters()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_a_transformer_of_windows_gives_a_grid(saved: Saved) -> None:
    model, path = saved("swin_t")
    backbone = build_backbone("swin_t", str(path), crop=64)
    with torch.no_grad():
        grid = backbone.trunk.eval()(pictures())
        logits, expected = model.head(grid.mean((2, 3))), model(pictures())
    assert grid.shape == (2, 768, 2, 2)
    assert backbone.preprocessing.interpolation == "bicubic"
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_transformer_of_patches_gives_its_patches_in_their_places() -> None:
    torch.manual_seed(0)
    trunk = build_backbone("vit_b_16", "none").trunk.eval()
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
    found = []
    for file in (path, tmp_path / "features.pth"):
        backbone = build_backbone("squeezenet1_1", str(file), crop=64)
        assert backbone.channels == 512
        found.append(backbone)
    with torch.no_grad():
        expected = model.features(pictures())
        for backbone in found:
            torch.testing.assert_close(backbone.trunk.train()(pictures()), expected, rtol=1e-4, atol=1e-5)
    assert found[0].digest == found[1].digest


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


def test_a_side_that_a_network_does_not_take_is_refused() -> None:
    with pytest.raises(ValueError, match=r"crop=160: vit_b_16 takes pictures of 224 x 224 pixels only"):
        build_backbone("vit_b_16", "none", crop=160)
    with pytest.raises(ValueError, match=r"crop=8: squeezenet1_1 takes no pictures of this side"):
        build_backbone("squeezenet1_1", "none", crop=8)
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


def test_the_small_network_has_no_weights_to_load() -> None:
    backbone = build_backbone("small_cnn", "none")
    assert (backbone.preprocessing, backbone.channels) == (Preprocessing(64, 64), 96)
    assert backbone.trunk(pictures()).shape == (2, 96, 4, 4)
    with pytest.raises(WeightsError, match="small_cnn has no weights to load, and weights='imagenet'"):
        build_backbone("small_cnn", "imagenet")


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    for call in (lambda: build_backbone("resnet19", "none"), lambda: imagenet_at_hand("resnet19")):
        with pytest.raises(ValueError, match=r"backbone='resnet19': expected small_cnn or .*resnet18"):
            call()


# Weights


def test_the_digest_is_that_of_the_weights(saved: Saved, tmp_path: Path) -> None:
    model, path = saved("squeezenet1_1")
    digest = build_backbone("squeezenet1_1", str(path), crop=64).digest
    assert build_backbone("squeezenet1_1", str(path), crop=96).digest == digest
    state = model.state_dict()
    changed = state["features.0.bias"].clone()
    changed[0] += 1e-3
    torch.save({**state, "features.0.bias": changed}, tmp_path / "other.pth")
    assert build_backbone("squeezenet1_1", str(tmp_path / "other.pth"), crop=64).digest != digest


def test_a_file_of_safetensors_is_read_and_a_head_for_other_classes_is_left(saved: Saved, tmp_path: Path) -> None:
    model, path = saved("resnet18")
    state = {**model.state_dict(), "fc.weight": torch.zeros(7, 512), "fc.bias": torch.zeros(7)}
    save_file(state, tmp_path / "mine.safetensors")
    found = [build_backbone("resnet18", str(file), crop=64) for file in (path, tmp_path / "mine.safetensors")]
    assert found[0].digest == found[1].digest


def test_the_weights_of_another_model_are_refused(saved: Saved, tmp_path: Path) -> None:
    model, path = saved("resnet18")
    with pytest.raises(WeightsError, match=r"resnet18\.pth.*tensors are missing, features\..*another model"):
        build_backbone("mobilenet_v2", str(path), crop=64)
    state = model.state_dict()
    wrong = {
        "more": ({**state, "layer5.weight": torch.zeros(1)}, r"layer5\.weight is no tensor of resnet18"),
        "shape": ({**state, "layer4.1.conv2.weight": torch.zeros(512, 512, 1, 1)}, r"another model.*layer4\.1\.conv2"),
        "fewer": ({key: state[key] for key in state if key != "layer1.0.conv1.weight"}, r"1 of resnet18's tensors"),
        "none": ({}, r"tensors are missing"),
    }
    for name, (contents, said) in wrong.items():
        torch.save(contents, tmp_path / f"{name}.pth")
        with pytest.raises(WeightsError, match=f"(?s){name}.*{said}"):
            build_backbone("resnet18", str(tmp_path / f"{name}.pth"), crop=64)


class Code:
    """What a pickle may hold: something to run while it is read."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self.target,)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"conv1.weight": Code(tmp_path / "ran")}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match=r"evil\.pth is no state dict.*a pickle may run code") as refused:
        build_backbone("resnet18", str(tmp_path / "evil.pth"), crop=64)
    assert not (tmp_path / "ran").exists()
    assert "weights_only" not in str(refused.value)  # torch's advice is to run it
    torch.load(tmp_path / "evil.pth", weights_only=False)
    assert (tmp_path / "ran").exists()  # it was the real thing


def test_what_is_no_state_dict_is_refused_by_name(saved: Saved, tmp_path: Path) -> None:
    model, path = saved("resnet18")
    (tmp_path / "half.pth").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (tmp_path / "text.pth").write_text("not weights")
    (tmp_path / "text.safetensors").write_text("not weights")
    (tmp_path / "empty.pth").touch()
    torch.save({"epoch": 3, "state_dict": model.state_dict()}, tmp_path / "checkpoint.pth")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    for file in sorted(tmp_path.iterdir()):
        with pytest.raises(WeightsError, match=f"{file.name} is no state dict"):
            build_backbone("resnet18", str(file), crop=64)
    for missing in (tmp_path / "missing.pth", tmp_path):
        with pytest.raises(WeightsError, match=r"expected imagenet, none, or the path of a state dict that exists"):
            build_backbone("resnet18", str(missing), crop=64)


# The network


def test_without_network_and_cache_the_ways_on_are_named(offline: Path) -> None:
    with pytest.raises(WeightsError, match="Three ways on") as refused:
        build_backbone("resnet18", "imagenet", crop=64)
    said = str(refused.value)
    for way in ("connect to the network", str(offline / "weights"), "path of a state dict", "none for random"):
        assert way in said
    assert f"https://download.pytorch.org/models/{CACHED}" in said
    assert not imagenet_at_hand("resnet18")


@pytest.mark.parametrize("place", ["data/weights", "torch/hub/checkpoints"])
def test_a_file_in_a_cache_needs_no_network(
    place: str, saved: Saved, offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(_: object) -> bool:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(backbones, "reachable", asked)
    folder = offline.parent / place
    folder.mkdir(parents=True)
    path = saved("resnet18")[1]
    (folder / CACHED).write_bytes(path.read_bytes())
    assert imagenet_at_hand("resnet18")
    found, expected = (build_backbone("resnet18", weights, crop=64) for weights in ("imagenet", str(path)))
    assert (found.digest, found.pretrained) == (expected.digest, True)
    (folder / CACHED).write_bytes(b"cut off")
    with pytest.raises(WeightsError, match=f"{CACHED} is no state dict"):
        build_backbone("resnet18", "imagenet", crop=64)


@pytest.mark.parametrize("error", [URLError("refused"), OSError("disk full"), RuntimeError("invalid hash value")])
def test_a_download_that_fails_is_no_random_start(
    error: Exception, offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fail(weights: WeightsEnum, *, model_dir: str, check_hash: bool, **_: object) -> None:
        asked.append((weights, model_dir, check_hash))
        raise error

    monkeypatch.setattr(backbones, "reachable", lambda urls: True)
    monkeypatch.setattr(WeightsEnum, "get_state_dict", fail)
    assert imagenet_at_hand("resnet18")
    with pytest.raises(WeightsError, match=rf"{CACHED} could not be downloaded into .*{error.args[0]}"):
        build_backbone("resnet18", "imagenet", crop=64)
    assert asked == [(ResNet18_Weights.IMAGENET1K_V1, str(offline / "weights"), True)]
