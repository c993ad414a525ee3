"""One process and two end with the same weights; a process that is killed ends the others, and the training goes on."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor

from image_classifier.config import Compute, FineTuneSettings, ModelSettings, TrainConfig
from image_classifier.data.load import SAMPLE, Dataset, Split
from image_classifier.models import distributed, finetune
from image_classifier.models.checkpoint import load_checkpoint
from image_classifier.models.distributed import ALONE, LostProcessError, Team, this_team
from image_classifier.models.job import Order
from image_classifier.models.predictor import Predictor
from image_classifier.train import learn

pytestmark = pytest.mark.usefixtures("one_thread")

MEMBER = Path(__file__).with_name("team_member.py")
# Nine pictures a step: two processes have four and five of them. What a step drops and smooths stays switched on.
TUNING = FineTuneSettings(epochs=2, crop=32, batch=9)
SMALL = {
    "epochs": 2,
    "crop": 64,
    "threads": 1,
    "weights": "shipped",
    "coverage": 0.8,
    "device": "cpu",
    "tracking_uri": "",
}
STEPS = 2
"""Of an epoch of the small training: two whole batches of 32 among the photographs that it learns from."""


def torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program in two processes; what waits forever fails the test."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return subprocess.run(
        [str(part) for part in command], env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def order_of(sample: Dataset) -> Order:
    photos = sample.photos[:: len(sample.photos) // 36][:36]
    split = Split(photos[:25], photos[25:], (), sample.labels)  # of 11 to validate, two processes have 5 and 6
    settings = ModelSettings(backbone="mobilenet_v2", weights="shipped", crop=32, tuning=TUNING)
    return Order(split, settings, 0, Compute(device="cpu"))


def gap(weights: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Return the largest difference of two sets of weights."""
    assert weights.keys() == expected.keys()
    return max(float((weights[name] - expected[name]).abs().max()) for name in expected)


# Alone


def test_every_row_is_somebodys() -> None:
    for size in range(1, 6):
        for count in range(12):
            parts = [np.arange(count)[Team(rank, size).rows(count)] for rank in range(size)]
            assert np.concatenate(parts).tolist() == list(range(count))
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_process_alone_asks_nobody() -> None:
    assert this_team() == ALONE
    tensor = torch.arange(3.0)
    ALONE.add([tensor])
    ALONE.share([tensor])
    ALONE.check_same([tensor], "")
    assert tensor.tolist() == [0, 1, 2]


# In a team that lives in this process


@pytest.fixture
def team(monkeypatch: pytest.MonkeyPatch) -> Team:
    """A team of two whose other process says what this one says, but for the last byte of a digest."""
    monkeypatch.setattr(distributed.dist, "all_reduce", lambda tensor: tensor.mul_(2))

    def gather(all_of_them: Sequence[Tensor], own: Tensor) -> None:
        for each in all_of_them:
            each.copy_(own)
        all_of_them[1][-1] += 1

    monkeypatch.setattr(distributed.dist, "all_gather", gather)
    return Team(0, 2, 2)


def test_sums_go_back_to_where_they_came_from(team: Team) -> None:
    grid = torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last)
    tensors = [grid.clone(memory_format=torch.preserve_format), torch.tensor(3.0)]
    team.add(tensors)
    assert torch.equal(tensors[0], 2 * grid)
    assert tensors[1].item() == 6


def test_a_process_with_another_state_is_named(team: Team) -> None:
    with pytest.raises(RuntimeError, match="process 1 of 2 has another state than process 0: all need the same files"):
        team.check_same([torch.ones(2)], "facts")


def test_an_error_of_the_network_is_a_lost_process(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Tensor) -> None:
        raise RuntimeError("[/a/pair.cc:1] Connection closed by peer [127.0.0.1]:5. This is typically caused")

    monkeypatch.setattr(distributed.dist, "all_reduce", broken)
    with pytest.raises(LostProcessError) as caught:
        team.add([torch.ones(2)])
    assert str(caught.value) == (
        "process 0 of 2 ends, because another one was killed, failed or did not answer: start the same command again, "
        "and it goes on after the last whole epoch (Connection closed by peer [127.0.0.1]:5)"
    )


# Started by torchrun


@pytest.mark.long
def test_two_processes_end_with_the_weights_of_one(sample: Dataset, tmp_path: Path) -> None:
    """In single precision within 1e-6; in double precision within its own rounding, so nothing else differs."""
    within = {"float32": 1e-6, "float64": 1e-10}

    def cases(folder: str) -> list[dict[str, str]]:
        (tmp_path / folder).mkdir()
        order = order_of(sample).to_json()
        return [
            {"order": order, "dtype": dtype, "output": str(tmp_path / folder / f"{dtype}.safetensors")}
            for dtype in within
        ]

    (tmp_path / "cases.json").write_text(json.dumps(cases("two")), encoding="utf-8")
    ended = torchrun(MEMBER, tmp_path / "cases.json")
    assert ended.returncode == 0, ended.stderr
    fine_tune = runpy.run_path(str(MEMBER))["fine_tune"]
    for case in cases("one"):
        fine_tune(case)
    for dtype, most in within.items():
        (expected, ones), (weights, twos) = (
            load_checkpoint(tmp_path / folder / f"{dtype}.safetensors") for folder in ("one", "two")
        )
        assert gap(weights, expected) < most, dtype
        np.testing.assert_allclose(twos["losses"], ones["losses"], rtol=0, atol=1e-6)


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    """A training of the whole command on a few photographs of each class."""
    for folder in SAMPLE.path.iterdir():
        (tmp_path / "flowers" / folder.name).mkdir(parents=True)
        for photo in sorted(folder.glob("*.jpg"))[:20]:
            shutil.copy(photo, tmp_path / "flowers" / folder.name)
    return TrainConfig(data=str(tmp_path / "flowers"), output=tmp_path / "bundle", work=tmp_path / "work", **SMALL)


class FineTunedError(Exception):
    """A training has come to its export, and needs to go no further."""


def until_here(*_: object) -> NoReturn:
    raise FineTunedError


@pytest.mark.long
def test_a_killed_process_ends_the_others_and_the_command_goes_on(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {**SMALL, "data": config.data, "output": config.output, "work": config.work}
    train = ["train", *(f"--{name.replace('_', '-')}={value}" for name, value in given.items())]

    killed = torchrun(MEMBER, f"1:{STEPS + 1}", *train)
    assert killed.returncode == 1
    said = [line for line in killed.stderr.splitlines() if re.search(r"process \d of 2", line)]
    assert len(said) == 1, killed.stderr
    assert re.search("image-classifier.*: process 0 of 2 ends, because another one was killed, failed or did", said[0])
    assert not config.output.exists()
    (checkpoint,) = (config.work / "checkpoints").iterdir()
    assert [epoch["number"] for epoch in load_checkpoint(checkpoint)[1]["history"]] == [1]
    shutil.copytree(config.work, tmp_path / "resumed by one")
    shutil.copytree(config.work, tmp_path / "one", ignore=shutil.ignore_patterns("checkpoints"))  # the features alone

    again = torchrun("--no-python", Path(sys.executable).with_name("image-classifier"), *train)
    assert again.returncode == 0, again.stderr
    for once in ("Going on from", "epoch 1/2", "epoch 2/2", "2 processes share each batch", "Bundle: "):
        assert again.stdout.count(once) == 1, again.stdout
    assert Predictor.load(config.output).labels == tuple(sorted(path.name for path in Path(config.data).iterdir()))

    monkeypatch.setattr(finetune, "trunk_like", until_here)
    for work in ("one", "resumed by one"):
        with pytest.raises(FineTunedError):
            learn(config.model_copy(update={"work": tmp_path / work}), Console(quiet=True))
    expected, _ = load_checkpoint(tmp_path / "one" / "checkpoints" / checkpoint.name)
    for work in ("work", "resumed by one"):
        weights, facts = load_checkpoint(tmp_path / work / "checkpoints" / checkpoint.name)
        assert [epoch["number"] for epoch in facts["history"]] == [1, 2]
        # A step moves a weight by 3e-4; where a gradient is nearly zero, Adam makes a little of that of rounding.
        assert gap(weights, expected) < 1e-5, work
