"""What names a fine-tuning, what its result depends on, and what other processes are told of it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from image_classifier.config import Compute, FineTuneSettings, ModelSettings
from image_classifier.data.load import Dataset, Split
from image_classifier.data.looks import Look
from image_classifier.data.preprocessing import Preprocessing
from image_classifier.models.backbones import Backbone
from image_classifier.models.distributed import Team
from image_classifier.models.job import Job, Order, pick_device

HALF = (0.5, 0.5, 0.5)


@pytest.fixture
def job(sample: Dataset) -> Job:
    photos = sample.photos[:20]
    backbone = Backbone("tiny", nn.Identity(), 3, Preprocessing(32, 32), HALF, HALF, digest="abc")
    split = Split(photos[:12], photos[12:16], photos[16:], sample.labels)
    return Job(split, backbone, FineTuneSettings(), 0, Compute(device="cpu"))


def test_the_digest_depends_on_everything_that_the_result_depends_on(job: Job) -> None:
    split, backbone, settings = job.split, job.backbone, job.settings
    first, last = split.train[0], split.validation[-1]
    splits = [
        replace(split, train=split.train[1:]),
        replace(split, train=(replace(first, label=first.label + 1), *split.train[1:])),
        replace(split, train=(replace(first, key="other bytes"), *split.train[1:])),
        replace(split, validation=split.validation[:-1]),
        replace(split, train=(*split.train, last), validation=split.validation[:-1]),
    ]
    backbones = [
        replace(backbone, digest="other weights"),
        replace(backbone, name="other"),
        replace(backbone, preprocessing=Preprocessing(40, 32)),
    ]
    changes = ({"epochs": 3}, {"augmentation": "basic"})
    jobs = [
        job,
        replace(job, seed=1),
        *(replace(job, settings=settings.model_copy(update=change)) for change in changes),
        *(replace(job, backbone=other) for other in backbones),
        *(replace(job, split=other) for other in splits),
    ]
    assert len({each.digest for each in jobs}) == len(jobs)


def test_the_digest_depends_on_no_place_and_no_help(job: Job) -> None:
    """Where the pictures lie, the test split, and how many processes help do not change the result."""
    elsewhere = tuple(replace(photo, path=Path("elsewhere")) for photo in job.split.train)
    moved = replace(job, split=replace(job.split, train=elsewhere, test=()), compute=Compute(workers=3))
    assert moved.digest == job.digest


def test_the_checkpoint_is_named_by_the_digest(job: Job, tmp_path: Path) -> None:
    assert job.checkpoint is None
    kept = replace(job, compute=Compute(work=tmp_path))
    assert kept.checkpoint == tmp_path / "checkpoints" / f"{job.digest[:16]}.safetensors"


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pick_device("cpu") == torch.device("cpu")
    for wrong in ("cuda:99", "gpu", ""):
        with pytest.raises(ValueError, match=rf"device='{wrong}': expected auto, cpu or one that torch can use here"):
            pick_device(wrong)
    for present, expected in ((None, "cpu"), (torch.device("cuda"), "cuda")):
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda device=present, **_: device)
        assert pick_device("auto") == torch.device(expected)


@pytest.mark.parametrize(("threads", "local", "each"), [(1, 1, 1), (2, 1, 2), (2, 2, 1), (8, 3, 2), (1, 4, 1)])
def test_processes_of_a_machine_share_its_threads(threads: int, local: int, each: int, job: Job) -> None:
    shared = replace(job, compute=Compute(device="cpu", threads=threads), team=Team(0, 4, local))
    assert shared.threads == each


@pytest.mark.parametrize(
    ("device", "precision", "expected"),
    [
        ("cpu", "auto", None),
        ("cuda", "auto", torch.float16),
        ("cuda", "float32", None),
        ("cuda", "bfloat16", torch.bfloat16),
        ("cpu", "bfloat16", torch.bfloat16),
    ],
)
def test_precision(device: str, precision: str, expected: torch.dtype | None, job: Job) -> None:
    asked = replace(job, compute=Compute(precision=precision))
    asked.__dict__["device"] = torch.device(device)  # where it is kept: this machine may have no such device
    assert asked.low_precision == expected


def test_an_order_says_everything_but_the_test_split(sample: Dataset) -> None:
    photos = (replace(sample.photos[0], look=Look(0.5, blur=1.5)), *sample.photos[1:12])
    split = Split(photos[:6], photos[6:9], photos[9:], sample.labels, today=photos[:2])
    settings = ModelSettings(backbone="mobilenet_v2", weights="shipped", tuning=FineTuneSettings(rate=1 / 3))
    order = Order(split, settings, 7, Compute(work=Path("here"), threads=3))
    assert Order.from_json(order.to_json()) == replace(order, split=replace(split, test=(), today=()))


def test_every_process_builds_the_same_network(sample: Dataset) -> None:
    split = Split(sample.photos[:6], sample.photos[6:9], (), sample.labels)
    order = Order(split, ModelSettings(backbone="mobilenet_v2", weights="shipped", crop=32), 7, Compute())
    (first, job), (second, other) = (order.build(team) for team in (Team(0, 2, 2), Team(1, 2, 2)))
    assert job.digest == other.digest
    assert other.team.rank == 1
    for name, tensor in first.state_dict().items():
        assert torch.equal(second.state_dict()[name], tensor), name
