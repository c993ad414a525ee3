"""There is always a whole checkpoint; a damaged one is refused by name."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from image_classifier.models import checkpoint
from image_classifier.models.checkpoint import CheckpointError, load_checkpoint, save_checkpoint

FACTS = {"job": "abc", "history": [{"number": 1, "loss": 0.1 + 0.2}]}


def tensors() -> dict[str, torch.Tensor]:
    shared = torch.randn(4, 3, 5, 5)
    return {
        "floats": shared,
        "the same again": shared,
        "last": shared.clone().to(memory_format=torch.channels_last),
        "turned": torch.arange(6).reshape(2, 3).T,
        "one": torch.tensor(7),
        "step": torch.tensor(3.0),
        "half": torch.randn(3).half(),
        "flags": torch.tensor([True, False]),
        "learned": torch.randn(2, requires_grad=True),
    }


def test_what_is_saved_is_read_back_to_the_last_bit(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.safetensors"
    saved = tensors()
    save_checkpoint(path, saved, FACTS)
    loaded = load_checkpoint(path)
    assert loaded is not None
    assert loaded[1] == FACTS
    assert set(loaded[0]) == set(saved)
    for name, tensor in saved.items():
        assert loaded[0][name].dtype == tensor.dtype
        assert torch.equal(loaded[0][name], tensor.detach())
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_no_file_is_no_checkpoint(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "a.safetensors") is None


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_a_file_that_was_cut_is_refused_by_name(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, tensors(), FACTS)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"a\.safetensors cannot be read \(.+\): delete it"):
        load_checkpoint(path)


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("not a checkpoint, but long enough for a header")
    save_file({"a": torch.zeros(1)}, tmp_path / "facts.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "json.safetensors", metadata={"facts": "{"})
    for name in ("text", "facts", "json"):
        with pytest.raises(CheckpointError, match=rf"{name}\.safetensors cannot be read"):
            load_checkpoint(tmp_path / f"{name}.safetensors")


def test_a_kill_while_it_is_written_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, {"a": torch.ones(3)}, FACTS)

    def killed(plain: dict[str, torch.Tensor], file: Path, metadata: dict[str, str]) -> None:
        file.write_bytes(b"the first half")
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save_file", killed)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, {"a": torch.zeros(3)}, FACTS)
    monkeypatch.undo()
    loaded = load_checkpoint(path)
    assert loaded is not None
    assert loaded[0]["a"].tolist() == [1, 1, 1]
    save_checkpoint(path, {"a": torch.zeros(3)}, FACTS)  # what was left lying does not hinder
    assert load_checkpoint(path)[0]["a"].tolist() == [0, 0, 0]
