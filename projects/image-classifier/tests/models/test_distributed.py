"""One process and two end with the same weights; a process that is killed ends the others, and the training goes on."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor

from image_classifier.config import Compute, FineTuneSettings, ModelSettings, TrainConfig
from image_classifier.data.load import SAMPLE, Dataset, Split
from image_classifier.models import finetune
from image_classifier.models.checkpoint import load_checkpoint, save_checkpoint
from image_classifier.models.distributed import ALONE, joined
from image_classifier.models.job import Order
from image_classifier.models.predictor import Predictor
from image_classifier.train import learn
from processes import free_port

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


MOMENT = re.compile(r"optimizer\.\d+\.exp_avg(_sq)?")
"""What Adam has seen of the gradients."""


def gap(weights: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Return the largest difference of two sets of weights; Adam's moments are not among them."""
    assert weights.keys() == expected.keys()
    return max(float((weights[name] - expected[name]).abs().max()) for name in expected if not MOMENT.fullmatch(name))


@pytest.mark.long
def test_two_processes_end_with_the_weights_of_one(
    sample: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In double precision within 1e-10, so nothing but rounding differs; in single precision within its rounding.

    How much that is depends on the processor: 1.4e-7 to 1.1e-6 of a tensor's norm, with three of its instruction sets.
    This process is the first of the two, with the variables that torchrun would set: it has loaded torch already.
    """
    within = {"float32": 1e-5, "float64": 1e-10}

    def cases(folder: str) -> list[dict[str, str]]:
        (tmp_path / folder).mkdir()
        order = order_of(sample).to_json()
        return [
            {"order": order, "dtype": dtype, "output": str(tmp_path / folder / f"{dtype}.safetensors")}
            for dtype in within
        ]

    told, together = tmp_path / "cases.json", cases("two")
    told.write_text(json.dumps(together), encoding="utf-8")
    variables = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    for name, value in {**variables, "RANK": 0, "LOCAL_RANK": 0}.items():
        monkeypatch.setenv(name, str(value))
    environment = os.environ | {"RANK": "1", "LOCAL_RANK": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(MEMBER), str(told)]
    said = tmp_path / "second.log"
    with said.open("wb") as log, subprocess.Popen(command, env=environment, stderr=log) as second:
        try:
            fine_tune = runpy.run_path(str(MEMBER))["fine_tune"]
            for case in cases("one"):
                fine_tune(case)
            with joined() as team:
                for case in together:
                    fine_tune(case, team)
            second.wait(60)
        finally:
            second.kill()
            sys.stderr.write(said.read_text(encoding="utf-8"))  # pytest shows it where this fails
    assert second.returncode == 0
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


def forget(checkpoint: Path) -> None:
    """Write a checkpoint without the moments of Adam."""
    tensors, facts = load_checkpoint(checkpoint)
    moments = {name: torch.zeros_like(tensor) for name, tensor in tensors.items() if MOMENT.fullmatch(name)}
    save_checkpoint(checkpoint, tensors | moments, facts)


class FineTunedError(Exception):
    """A training has come to its export, and needs to go no further."""


def until_here(*_: object) -> NoReturn:
    raise FineTunedError


def ordered_by(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> Order:
    """Fine-tune in this process alone, and return what was ordered."""
    orders: list[Order] = []

    def noted(*arguments: Any) -> Order:
        orders.append(Order(*arguments))
        return orders[-1]

    monkeypatch.setattr(finetune, "Order", noted)
    monkeypatch.setattr(finetune, "trunk_like", until_here)
    with pytest.raises(FineTunedError):
        learn(config, Console(quiet=True))
    return orders[0]


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
    for copy in ("resumed by one", "without moments"):
        shutil.copytree(config.work / "checkpoints", tmp_path / copy / "checkpoints")
    forget(tmp_path / "without moments" / "checkpoints" / checkpoint.name)
    shutil.copytree(config.work, tmp_path / "one", ignore=shutil.ignore_patterns("checkpoints"))  # the features alone

    again = torchrun("--no-python", Path(sys.executable).with_name("image-classifier"), *train)
    assert again.returncode == 0, again.stderr
    for once in ("Going on from", "epoch 1/2", "epoch 2/2", "2 processes share each batch", "Bundle: "):
        assert again.stdout.count(once) == 1, again.stdout
    assert Predictor.load(config.output).labels == tuple(sorted(path.name for path in Path(config.data).iterdir()))

    order = ordered_by(config.model_copy(update={"work": tmp_path / "one"}), monkeypatch)
    for copy in ("resumed by one", "without moments"):
        compute = order.compute.model_copy(update={"work": tmp_path / copy})
        finetune.fine_tune(*replace(order, compute=compute).build(ALONE))

    expected, _ = load_checkpoint(tmp_path / "one" / "checkpoints" / checkpoint.name)
    for copy in ("work", "resumed by one"):
        weights, facts = load_checkpoint(tmp_path / copy / "checkpoints" / checkpoint.name)
        assert [epoch["number"] for epoch in facts["history"]] == [1, 2]
        # A step moves a weight by 3e-4; where a gradient is nearly zero, Adam makes a little of that of rounding.
        assert gap(weights, expected) < 1e-4, copy
        for name in filter(MOMENT.fullmatch, expected):
            assert (weights[name] - expected[name]).norm() <= 0.05 * expected[name].norm(), (copy, name)
    forgetful, _ = load_checkpoint(tmp_path / "without moments" / "checkpoints" / checkpoint.name)
    assert gap(forgetful, expected) > 1e-3
