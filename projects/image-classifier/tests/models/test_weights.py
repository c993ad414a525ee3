"""Weights of torchvision, of a cache or of a file; those that do not fit are refused by name, and no pickle is run."""

from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import ResNet18_Weights, get_model
from torchvision.models._api import WeightsEnum

from image_classifier.models import weights as module
from image_classifier.models.backbones import build_backbone
from image_classifier.models.weights import WeightsError, imagenet_at_hand

CACHED = "resnet18-f37072fd.pth"  # torchvision's name of the file


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    """Return torchvision's model with random weights, and the path of its state dict."""
    torch.manual_seed(0)
    model = get_model("resnet18", weights=None)
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(model.state_dict(), path)
    return model.eval(), path


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty caches and no network; return the folder of the data cache."""
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(module, "reachable", lambda urls: False)
    return tmp_path / "data"


@pytest.mark.long
def test_the_digest_is_that_of_the_weights(resnet: tuple[nn.Module, Path], tmp_path: Path) -> None:
    model, path = resnet
    digest = build_backbone("resnet18", str(path), crop=64).digest
    assert build_backbone("resnet18", str(path), crop=96).digest == digest
    state = model.state_dict()
    changed = state["conv1.weight"].clone()
    changed[0, 0, 0, 0] += 1e-3
    torch.save({**state, "conv1.weight": changed}, tmp_path / "other.pth")
    assert build_backbone("resnet18", str(tmp_path / "other.pth"), crop=64).digest != digest


def test_a_file_of_safetensors_is_read_and_a_head_for_other_classes_is_left(
    resnet: tuple[nn.Module, Path], tmp_path: Path
) -> None:
    model, path = resnet
    state = {**model.state_dict(), "fc.weight": torch.zeros(7, 512), "fc.bias": torch.zeros(7)}
    save_file(state, tmp_path / "mine.safetensors")
    built = [build_backbone("resnet18", str(file), crop=64) for file in (path, tmp_path / "mine.safetensors")]
    assert built[0].digest == built[1].digest


@pytest.mark.long
def test_the_weights_of_another_model_are_refused(resnet: tuple[nn.Module, Path], tmp_path: Path) -> None:
    model, path = resnet
    with pytest.raises(WeightsError, match=r"resnet18\.pth.*tensors are missing, features\..*another model"):
        build_backbone("mobilenet_v2", str(path), crop=64)
    state = model.state_dict()
    wrong = {
        "more": ({**state, "layer5.weight": torch.zeros(1)}, r"layer5\.weight is no tensor of resnet18"),
        "shape": ({**state, "layer4.1.conv2.weight": torch.zeros(512, 512, 1, 1)}, r"another model.*layer4\.1\.conv2"),
        "fewer": ({key: state[key] for key in state if key != "layer1.0.conv1.weight"}, r"1 of resnet18's tensors"),
        "none": ({}, r"tensors are missing"),
    }
    for name, (contents, reason) in wrong.items():
        torch.save(contents, tmp_path / f"{name}.pth")
        with pytest.raises(WeightsError, match=f"(?s){name}.*{reason}"):
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


@pytest.mark.long
def test_what_is_no_state_dict_is_refused_by_name(resnet: tuple[nn.Module, Path], tmp_path: Path) -> None:
    model, path = resnet
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
        with pytest.raises(WeightsError, match=r"expected imagenet, shipped, or the path of a state dict that exists"):
            build_backbone("resnet18", str(missing), crop=64)


# The network


def test_without_network_and_cache_the_ways_on_are_named(offline: Path) -> None:
    with pytest.raises(WeightsError, match="Three ways on") as refused:
        build_backbone("resnet18", "imagenet", crop=64)
    message = str(refused.value)
    for way in (
        "connect to the network",
        str(offline / "weights"),
        "path of a state dict",
        "shipped for those of mobilenet_v2",
    ):
        assert way in message
    assert f"https://download.pytorch.org/models/{CACHED}" in message
    assert not imagenet_at_hand("resnet18")


@pytest.mark.long
@pytest.mark.parametrize("place", ["data/weights", "torch/hub/checkpoints"])
def test_a_file_in_a_cache_needs_no_network(
    place: str, resnet: tuple[nn.Module, Path], offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(_: object) -> bool:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(module, "reachable", asked)
    folder = offline.parent / place
    folder.mkdir(parents=True)
    path = resnet[1]
    (folder / CACHED).write_bytes(path.read_bytes())
    assert imagenet_at_hand("resnet18")
    backbone, expected = (build_backbone("resnet18", weights, crop=64) for weights in ("imagenet", str(path)))
    assert backbone.digest == expected.digest
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

    monkeypatch.setattr(module, "reachable", lambda urls: True)
    monkeypatch.setattr(WeightsEnum, "get_state_dict", fail)
    assert imagenet_at_hand("resnet18")
    with pytest.raises(WeightsError, match=rf"{CACHED} could not be downloaded into .*{error.args[0]}"):
        build_backbone("resnet18", "imagenet", crop=64)
    assert asked == [(ResNet18_Weights.IMAGENET1K_V1, str(offline / "weights"), True)]
