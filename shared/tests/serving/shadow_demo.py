"""The demo project, whose challenger is what the environment says: good, or a nuisance of some kind."""

import os
import sys
import time

from demo_service import DemoSettings, FakeHolder, Predict
from demo_service import create_app as create_demo
from fastapi import FastAPI

ballast: list[bytes] = []


def raises(areas: list[float]) -> list[float]:
    raise ZeroDivisionError


def hangs(areas: list[float]) -> list[float]:
    time.sleep(600)
    return areas


def spins(areas: list[float]) -> list[float]:
    while True:
        pass


def leaks(areas: list[float]) -> list[float]:
    ballast.append(b"x" * 30_000_000)
    return areas


def dies(areas: list[float]) -> list[float]:
    os._exit(7)


KINDS: dict[str, Predict] = {"good": lambda areas: [0.0] * len(areas), "raises": raises, "hangs": hangs, "spins": spins}
KINDS |= {"leaks": leaks, "dies": dies}


def create_app(settings: DemoSettings) -> FastAPI:
    if settings.model_alias != "challenger":
        return create_demo(settings)
    process = sys.modules["__main__"]
    process.LONGEST_SECONDS = process.LONGEST_WAIT_SECONDS = 1
    if os.environ["KIND"] == "spins":
        process.LONGEST_WAIT_SECONDS = 600
    process.MOST_BYTES = process.memory() + 200_000_000
    kind = os.environ["KIND"]
    holder = FakeHolder("8", KINDS.get(kind))
    holder.missing = "no version has the alias" if kind == "missing" else ""
    return create_demo(settings, holder, challengers=holder)
