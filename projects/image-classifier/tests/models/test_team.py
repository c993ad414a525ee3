"""What processes that train together say to each other, seen from one of them: others are played or left out."""

import signal
from collections.abc import Iterator, Sequence
from typing import NoReturn

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributed import TCPStore

from image_classifier.config import Compute, FineTuneSettings, ModelSettings
from image_classifier.data.load import Dataset, Split
from image_classifier.models import distributed, job
from image_classifier.models.distributed import ALONE, LostProcessError, Team, hand_out, handed_out, joined, this_team
from image_classifier.models.job import Job, Order

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
def team(monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    """A team of two whose other process says what this one says, but for the last byte of a digest."""
    monkeypatch.setattr(distributed.dist, "all_reduce", lambda tensor: tensor.mul_(2))

    def gather(all_of_them: Sequence[Tensor], own: Tensor) -> None:
        for each in all_of_them:
            each.copy_(own)
        all_of_them[1][-1] += 1

    monkeypatch.setattr(distributed.dist, "all_gather", gather)
    before = signal.getsignal(signal.SIGTERM)
    yield Team(0, 2, 2)
    signal.signal(signal.SIGTERM, before)


def test_sums_go_back_to_where_they_came_from(team: Team) -> None:
    grid = torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last)
    tensors = [grid.clone(memory_format=torch.preserve_format), torch.tensor(3.0)]
    team.add(tensors)
    assert torch.equal(tensors[0], 2 * grid)
    assert tensors[1].item() == 6


def test_a_process_with_another_state_is_named(team: Team) -> None:
    with pytest.raises(RuntimeError, match="process 1 of 2 has another state than process 0: all need the same files"):
        team.check_same([torch.ones(2)], "facts")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


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
    # Torchrun's comes while the run is marked as failed, and must not end that.
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


def test_an_order_may_be_longer_than_a_value_of_the_store(sample: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # as torchrun starts one
    monkeypatch.setattr(distributed, "_board", lambda: store)
    settings = ModelSettings(backbone="mobilenet_v2", weights="shipped")
    many = Order(Split(sample.photos * 60, (), (), sample.labels), settings, 0, Compute()).to_json()
    told = ["short", many, "\N{MUSICAL SYMBOL G CLEF}" * 3 * 2**20]  # of four bytes
    assert min(len(text.encode()) for text in told[1:]) > 8 * 2**20
    for text in (*told, None):
        hand_out(text)
    assert list(handed_out()) == told


def test_a_process_joins_where_it_has_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of two that train on the CPU of a machine with one GPU."""

    def refused(place: int) -> NoReturn:
        raise RuntimeError(f"CUDA error: invalid device ordinal {place}")

    backends: list[str] = []
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", refused)
    monkeypatch.setattr(distributed.dist, "init_process_group", lambda backend, **_: backends.append(backend))
    monkeypatch.setattr(distributed.dist, "destroy_process_group", lambda: None)
    with joined():
        pass
    assert backends == ["cpu:gloo,cuda:nccl"]


def test_a_process_trains_on_the_gpu_of_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "pick_device", torch.device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    def device(setting: str, team: Team) -> str:
        return str(Job(Split((), (), (), ()), None, FineTuneSettings(), 0, Compute(device=setting), team).device)

    assert device("cuda", Team(3, 4, 2, 1)) == "cuda:1"
    assert device("cuda", ALONE) == "cuda"
    assert device("cpu", Team(2, 3, 3, 2)) == "cpu"
    with pytest.raises(ValueError, match="3 processes need a GPU each, and there are 2: ask for device=cpu"):
        device("cuda", Team(2, 3, 3, 2))
