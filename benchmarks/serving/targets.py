"""What the ratios shall be: each target is one number of one run, and at most or at least so much."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from contenders import ANSWER, BARE, BATCH, CALL, EAGER, HEALTHZ, MLFLOW, OURS, PIPELINE, TWO_BATCH

AT = "16"  # clients
Measured = Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """A ratio of two figures of a project's rows, and its limit; `least` where more is better."""

    project: str
    what: str
    limit: float
    ratio: Callable[[Measured], float]
    least: bool = False

    def outcome(self, measured: Measured) -> dict[str, Any]:
        """Return what was measured and whether the target is met."""
        value = self.ratio(measured)
        met = value >= self.limit if self.least else value <= self.limit
        sense = "at least" if self.least else "at most"
        names = {"what": self.what, "target": f"{sense} {self.limit:g}"}
        return names | {"measured": round(value, 3), "met": met}


def over(figure: str, ours: str, theirs: str) -> Callable[[Measured], float]:
    """Return what divides a figure at 16 clients of one row by that of another one."""
    return lambda rows: rows[ours][AT][figure] / rows[theirs][AT][figure]


CPU, ANSWERS = "cpu_ms", "a_second"
TWO_OVER_ONE = over(ANSWERS, TWO_BATCH, BATCH)
TARGETS = (
    Target("housing", "one house: CPU a request, times bare FastAPI", 2.0, over(CPU, OURS, BARE)),
    Target("housing", "one house: CPU a request, times our /healthz", 1.5, over(CPU, OURS, HEALTHZ)),
    Target("housing", "our /healthz: CPU a request, times bare FastAPI", 1.25, over(CPU, HEALTHZ, BARE)),
    Target("housing", "one house: answers, share of bare FastAPI", 0.35, over(ANSWERS, OURS, BARE), least=True),
    Target("housing", f"one house: answers a second, times {MLFLOW}", 25, over(ANSWERS, OURS, MLFLOW), least=True),
    Target("housing", f"one house: answers a second, times {PIPELINE}", 100, over(ANSWERS, OURS, PIPELINE), least=True),
    Target("housing", "100 houses at once: answers a second of two workers, times one", 1.7, TWO_OVER_ONE, least=True),
    Target("recommender", "50 films: CPU a request, times our /healthz", 2.0, over(CPU, OURS, HEALTHZ)),
    Target(
        "image-classifier",
        "one photograph without HTTP: times decoding and the bare call",
        1.2,
        lambda rows: rows[ANSWER]["ms"] / rows[CALL]["ms"],
    ),
    Target(
        "image-classifier",
        "one photograph over HTTP, p50 of one client: times decoding and the bare call",
        1.4,
        lambda rows: rows[OURS]["1"]["p50"] / rows[CALL]["ms"],
    ),
    Target("image-classifier", f"answers a second, times {EAGER}", 3.5, over(ANSWERS, OURS, EAGER), least=True),
)


def outcomes(project: str, measured: Measured) -> list[dict[str, Any]]:
    """Return what became of a project's targets.

    Parameters
    ----------
    measured
        Row -> figures, by number of clients where they are of a load.
    """
    return [target.outcome(measured) for target in TARGETS if target.project == project]
