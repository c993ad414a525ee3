"""A toy that is watched: things of a size and a kind, whose weight is predicted."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from portfolio_shared.bundle import Manifest, MetricValue, bundle_digest, write_bundle
from portfolio_shared.operations.findings import Findings
from portfolio_shared.operations.monitor import Plan, look
from portfolio_shared.operations.store import Feedback, LoggedPrediction, connect
from portfolio_shared.operations.watch import Columns, Measure, Watch, write_reference


class Truth(BaseModel):
    weight: float


def columns(row: LoggedPrediction) -> list[dict[str, Any]]:
    return list(json.loads(row.request))


def measure(row: LoggedPrediction, index: int, truth: Truth) -> dict[str, float]:
    return {"error": abs(json.loads(row.response)[index] - truth.weight), "weight": truth.weight}


def loss(row: LoggedPrediction, index: int, truth: Truth) -> float:
    return abs(json.loads(row.response)[index] - truth.weight)


def about(row: LoggedPrediction, index: int) -> str:
    return json.dumps(json.loads(row.request)[index])


def doubt(row: LoggedPrediction, index: int, truth: Truth) -> str | None:
    return "too heavy" if truth.weight > 1000 else None


TOY = Watch(
    model="toy",
    truth=Truth,
    columns=lambda folder: columns,
    measures={"error": Measure("absolute error", "error", "lower"), "weight": Measure("weight", None, "higher")},
    measure=measure,
    loss=loss,
    loss_label="absolute error",
    about=about,
    doubt=doubt,
)


def things(n: int, *, seed: int, larger: float = 0.0, kinds: Sequence[str] = ("a", "b", "c")) -> list[dict[str, Any]]:
    """Return things whose sizes are normal, `larger` standard deviations above the reference's."""
    rng = np.random.default_rng(seed)
    sizes, names, given = 10 + larger + rng.normal(size=n), rng.choice(kinds, n), rng.random(n) > 0.1
    rooms = rng.integers(1, 5, n)
    return [
        {"size": float(size), "rooms": float(room)} | ({"kind": str(kind)} if there else {})
        for size, kind, there, room in zip(sizes, names, given, rooms, strict=True)
    ]


def as_columns(rows: Sequence[Mapping[str, Any]]) -> Columns:
    return {
        "size": np.array([row["size"] for row in rows]),
        "kind": np.array([row.get("kind", "") for row in rows]),
        "rooms": np.array([row["rooms"] for row in rows]),
    }


@dataclass
class Toy:
    """A service's log and a bundle, as a look finds them."""

    folder: Path
    url: str
    bundle: Path
    now: float

    watch = TOY
    things = staticmethod(things)

    @property
    def version(self) -> str:
        return bundle_digest(self.bundle)[:12]

    def plan(self, **changes: Any) -> Plan:
        fields: dict[str, Any] = {
            "project": "toy",
            "model": "toy",
            "log": self.url,
            "bundle": self.bundle,
            "registry": "",
            "tracking_uri": "",
            "output": self.folder / "monitor",
            "window": 3600.0,
            "every": None,
            "budget": 1.0,
            "projects": 3,
            "address": None,
        }
        return Plan(**(fields | changes))

    def look(self, **changes: Any) -> Findings:
        return look(self.watch, self.plan(**changes), until=self.now)

    def predicted(
        self, rows: Sequence[Any], *, ago: float = 60.0, version: str = "", name: str = "p", **changes: Any
    ) -> list[str]:
        """Log predictions of a row each, of 1; return their ids."""
        made = [
            LoggedPrediction(
                id=f"{name}{i}",
                at=self.now - ago,
                model="toy",
                version=version or self.version,
                route="/v1/toys",
                subject="",
                items=1,
                milliseconds=1.0,
                request=row if isinstance(row, str) else json.dumps([row]),
                response="[1.0]",
            )._replace(**changes)
            for i, row in enumerate(rows)
        ]
        with closing(connect(self.url)) as store:
            store.insert(made)
        return [row.id for row in made]

    def told(self, truths: Mapping[str, Any], *, ago: float = 30.0) -> None:
        """Give feedback: id of a prediction -> weight, or the JSON of a truth."""
        with closing(connect(self.url)) as store:
            for name, truth in truths.items():
                said = truth if isinstance(truth, str) else json.dumps({"weight": truth})
                assert store.add_feedback(Feedback(name, 0, self.now - ago, "", said))


@pytest.fixture(scope="session")
def watch() -> Watch:
    """Return how the toy is watched."""
    return TOY


@pytest.fixture
def toy(tmp_path: Path, toy_manifest: Callable[..., Manifest]) -> Iterator[Toy]:
    """A bundle that learned from 1,000 things, and an empty log."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    write_reference(folder, as_columns(things(1000, seed=1)))
    write_bundle(folder, toy_manifest(metrics={"error": MetricValue(estimate=0.8, low=0.75, high=0.85)}))
    toy = Toy(tmp_path, f"sqlite:///{tmp_path}/log.db", folder, time.time())
    connect(toy.url).close()
    return toy
