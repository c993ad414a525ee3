"""A fine-tuning is named by what its result depends on, and by nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from image_classifier.config import Compute, FineTuneSettings
from image_classifier.data.load import Dataset, Split
from image_classifier.data.preprocessing import Preprocessing
from image_classifier.models.backbones import Backbone
from image_classifier.models.job import Job, pick_device

HALF = (0.5, 0.5, 0.5)


@pytest.fixture
def job(sample: Dataset) -> Job:
    photos = sample.photos[:20]
    backbone = Backbone("tiny", nn.Identity(), 3, Preprocessing(32, 32), HALF, HALF, pretrained=True, digest="abc")
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
