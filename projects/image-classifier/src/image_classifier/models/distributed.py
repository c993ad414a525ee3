"""Processes that train one network together: who is who, and what they tell each other.

`torchrun` starts them. The first runs the command; the others wait for what it hands out (`helpers.py`). Plain
torch.distributed does it in one sum a step; docs/distributed.md says why no DistributedDataParallel.
"""

import hashlib
import os
import re
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

PATIENCE = timedelta(minutes=5)
"""How long a process waits for another in the middle of a training; one that was killed is noticed at once."""


class LostProcessError(RuntimeError):
    """Another process of this training has ended, or does not answer; the message says what to do."""


@dataclass(frozen=True)
class Team:
    """The processes of a training, seen from one of them; one alone is a team too.

    Attributes
    ----------
    rank
        Number of this process; 0 leads.
    size, local
        How many there are, and how many of them on this machine.
    place
        Number of this process among those of its machine.
    """

    rank: int = 0
    size: int = 1
    local: int = 1
    place: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process reads checkpoints, writes and reports."""
        return self.rank == 0

    def __str__(self) -> str:
        return f"process {self.rank} of {self.size}"

    def rows(self, count: int) -> slice:
        """Return which of so many rows are this process's; parts differ by one row at most.

        >>> [Team(rank, 3).rows(8) for rank in range(3)]
        [slice(0, 2, None), slice(2, 5, None), slice(5, 8, None)]
        """
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over the processes: the same bits in all of them.

        Raises
        ------
        LostProcessError
            If another process has ended, or does not answer for `PATIENCE`; `share` and `check_same` too.
        """
        if self.size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with self._hearing():
            dist.all_reduce(flat)
        for tensor, part in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by that of the first process."""
        for tensor in tensors if self.size > 1 else ():
            whole = tensor.contiguous()
            with self._hearing():
                dist.broadcast(whole, src=0)
            tensor.copy_(whole)

    def check_same(self, tensors: Iterable[Tensor], facts: str) -> None:
        """Raise RuntimeError in every process if one has other bits or other facts than the first."""
        if self.size == 1:
            return
        digest = hashlib.sha256(facts.encode())
        for tensor in tensors:
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        own = torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8)
        all_of_them = [torch.empty_like(own) for _ in range(self.size)]
        with self._hearing():
            dist.all_gather(all_of_them, own)
        others = [str(rank) for rank, each in enumerate(all_of_them) if not torch.equal(each, all_of_them[0])]
        if others:
            end_in_peace()
            raise RuntimeError(
                f"process {', '.join(others)} of {self.size} has another state than process 0: all need the same "
                "files, the same versions, and processors of one kind"
            )

    def farewell(self) -> str:
        """Return what a process says that ends because another one did."""
        return (
            f"{self} ends, because another one was killed, failed or did not answer: "
            "start the same command again, and it goes on after the last whole epoch"
        )

    @contextmanager
    def _hearing(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            end_in_peace()
            # Of gloo's "[.../pair.cc:561] Connection closed by peer. This is typically ...": what happened.
            reason = re.sub(r"^\[[^\]]*\] ", "", str(error)).split(". ")[0]
            raise LostProcessError(f"{self.farewell()} ({reason})") from error


ALONE = Team()


def end_in_peace() -> None:
    """Let torchrun's SIGTERM come to nothing: this process ends already, says why, and marks its run as failed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def this_team() -> Team:
    """Return the team that this process has joined, or one of itself alone."""
    if not (dist.is_available() and dist.is_initialized()):
        return ALONE
    local, place = (int(os.environ[name]) for name in ("LOCAL_WORLD_SIZE", "LOCAL_RANK"))
    return Team(dist.get_rank(), dist.get_world_size(), local, place)


@contextmanager
def joined() -> Iterator[Team]:
    """Join the processes that torchrun has started with this one, and leave them at the end.

    Tensors on the CPU go through gloo, those on a GPU through nccl.
    """
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    try:
        yield this_team()
    finally:
        dist.destroy_process_group()


END = "end"
PIECE = 1 << 20
"""Characters of a value, of at most four bytes each: the store closes the connection on one of more than 8 MiB."""


def hand_out(text: str | None) -> None:
    """Tell the other processes of the team what to help with; None: nothing more."""
    board = _board()
    if text is None:
        board.set(END, "")
        return
    number = board.add("count", 1) - 1
    pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
    for i, piece in enumerate(pieces):
        board.set(f"{number}/{i}", piece)
    board.set(str(number), str(len(pieces)))  # last: whoever sees it finds the pieces


def handed_out(*, every: float = 0.1) -> Iterator[str]:
    """Yield what the first process hands out, until there is nothing more.

    It may take its time before, so nothing limits the waiting but the end of a process, which torchrun passes on as
    SIGTERM: Python answers signals between two looks, but not in the middle of a collective call.
    """
    board, number = _board(), 0
    while True:
        if board.check([str(number)]):
            count = int(board.get(str(number)))
            yield "".join(board.get(f"{number}/{i}").decode() for i in range(count))
            number += 1
        elif board.check([END]):
            return
        else:
            time.sleep(every)


def _board() -> Store:
    """Return our part of the key-value store of torchrun's agent; a restarted team has a new one."""
    store, _, _ = next(rendezvous("env://"))
    return PrefixStore(f"image-classifier/{os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
