"""What a project tells the drill: requests before and after a change of the world, and what came true of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Call:
    """One request that predicts one thing, on behalf of somebody.

    Attributes
    ----------
    path
        Of the route, with its query, such as `/v1/predictions`.
    subject
        Who asks and who gives the feedback: the header `X-Subject`.
    drifted
        Whether it comes after the change.
    item
        What the truth needs to know of it; it is not sent.
    """

    path: str
    body: bytes
    content_type: str
    subject: str
    drifted: bool
    item: Any


@dataclass(frozen=True)
class Scenario:
    """A change of the world that a model has to notice and to learn; `drill_PROJECT.py` has one as `SCENARIO`.

    Attributes
    ----------
    drift
        What changes, in words.
    column
        Column or measure that the alarm has to name; of several, with commas between, one is enough.
    requests
        (folder of the champion's bundle, n, whether after the change, seed) -> n requests that differ from each other
        and, by the seed, from those of other steps; one or several of a person.
    truth
        (call, its answer, index of the item: 0) -> what `POST /v1/feedback` takes as the truth of it; None if nothing
        is known. The drill asks it of each call, before the change as well.
    rollout
        How the challenger is tried.
    flags
        Of `train` and `retrain`, such as `--recipe quick`.
    data
        Folder of the drill -> what `--data` of both is; what it names is written by then.
    """

    drift: str
    column: str
    requests: Callable[[Path, int, bool, int], Sequence[Call]]
    truth: Callable[[Call, Mapping[str, Any], int], object | None]
    rollout: Literal["shadow", "interleave"]
    flags: tuple[str, ...] = ()
    data: Callable[[Path], str] = lambda _: "sample"
