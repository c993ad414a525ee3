"""How often an experiment that is looked at all the time finds a winner, and how soon: a fixed interval, the sequence.

Each simulation has 5,000 differences of pairs and a look after every one from the 50th; an experiment stops at the
first interval without zero. Without an effect each such finding is false. Beside what the sequence is made for stand
two worlds that break its promise, and one as `compare` meets it: 500 clients, of which each speaks ten times, at any
time, with a taste of its own, and is one value, the mean of what it has said so far.
Writes benchmarks/results/sequence_power.json and the section of docs/experiments.md, unless --output names another
file.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import RESULTS, Limit, check_limits, finish
from rich.console import Console
from scipy import stats

from portfolio_shared.evaluation.sections import fill_sections, markdown_table
from portfolio_shared.operations.sequences import ALPHA, FIRST_LOOK, confidence_sequence, half_width, needed
from portfolio_shared.terminal import progress
from portfolio_shared.tracking.git import current_commit

PAIRS, CLIENTS = 5000, 500
NORMAL_95 = 1.959964
MOST = 0.999  # of simulations without effect, so many findings or fewer are chance
DOCUMENT = Path("docs/experiments.md")
Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]
HELD: dict[str, Draw] = {
    "normal, no effect": lambda rng, n: rng.normal(size=n),
    "Student t3, no effect": lambda rng, n: rng.standard_t(3, size=n),
    "-1/0/+1, 10 % not 0, no effect": lambda rng, n: rng.choice([-1.0, 0.0, 1.0], p=[0.05, 0.9, 0.05], size=n),
}
BROKEN: dict[str, Draw] = {
    "log-normal, no effect": lambda rng, n: rng.lognormal(size=n) - np.exp(0.5),
    "a little better, 1 % much worse, no effect": lambda rng, n: (
        np.where(rng.random(n) < 0.01, 0.99, -0.01) + rng.normal(0, 0.01, size=n)
    ),
}
EFFECTS = {f"normal, {size} sd": size for size in (0.1, 0.2)}
RULES = ("fixed", "sequence")
BY_CLIENT = "clients who speak ten times, no effect"


def stops(low: Floats, high: Floats) -> int | None:
    """Return after how many values an experiment stops, if it does."""
    found = (low > 0) | (high < 0)
    found[: FIRST_LOOK - 1] = False
    return int(np.argmax(found)) + 1 if found.any() else None


def fixed(values: Floats) -> tuple[Floats, Floats]:
    """Return the 95 % intervals that hold at one look each."""
    n = np.arange(1, len(values) + 1)
    mean = np.cumsum(values) / n
    half = NORMAL_95 * np.sqrt(np.maximum(np.cumsum(np.square(values)) / n - np.square(mean), 0) / n)
    return mean - half, mean + half


def by_client(rng: np.random.Generator, n: int) -> tuple[Floats, Floats, Floats]:
    """Return mean, deviation and number of clients after each of n truths, as `compare` has them at each look."""
    clients = rng.integers(CLIENTS, size=n)
    truths = rng.normal(size=CLIENTS)[clients] + rng.normal(size=n)
    sums, counts = np.zeros(CLIENTS), np.zeros(CLIENTS)
    rows = np.empty((3, n))
    total = squares = known = 0.0
    for i, (client, truth) in enumerate(zip(clients.tolist(), truths.tolist(), strict=True)):
        before = sums[client] / counts[client] if counts[client] else 0.0
        known += not counts[client]
        sums[client] += truth
        counts[client] += 1
        after = sums[client] / counts[client]
        total, squares = total + after - before, squares + after**2 - before**2
        rows[:, i] = total / known, max(squares / known - (total / known) ** 2, 0.0) ** 0.5, known
    return rows[0], rows[1], rows[2]


def row_of(kind: str, found: Mapping[str, list[int | None]]) -> dict[str, Any]:
    """Return how many of the simulations stopped, and the median of when, all of them counted."""
    row: dict[str, Any] = {"differences": kind, "simulations": len(next(iter(found.values())))}
    for rule, ends in found.items():
        stopped = [end for end in ends if end is not None]
        late = sorted(np.inf if end is None else end for end in ends)[len(ends) // 2]
        row[rule] = {"stopped": len(stopped), "median": int(late) if np.isfinite(late) else None}
    return row


def simulate(draw: Draw, n: int, *, pairs: int, seed: int) -> dict[str, list[int | None]]:
    """Return when each of n experiments stops, by both rules."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[int | None]] = {"fixed": [], "sequence": []}
    for _ in range(n):
        values = draw(rng, pairs)
        found["fixed"].append(stops(*fixed(values)))
        found["sequence"].append(stops(*confidence_sequence(values)))
    return found


def simulate_clients(n: int, *, pairs: int, seed: int) -> dict[str, list[int | None]]:
    """Return when each of n experiments stops whose values change while clients speak on."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[int | None]] = {"fixed": [], "sequence": []}
    for _ in range(n):
        mean, deviation, clients = by_client(rng, pairs)
        unknown = clients < FIRST_LOOK
        for rule, half in (
            ("fixed", np.where(unknown, np.inf, NORMAL_95 * deviation / np.sqrt(clients))),
            ("sequence", half_width(clients, deviation)),
        ):
            found[rule].append(stops(mean - half, mean + half))
    return found


def measure(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    draws = HELD | {kind: _shifted(size) for kind, size in EFFECTS.items()} | BROKEN
    rows, started, seed, commit = [], time.process_time(), options.seed, current_commit()
    with progress(console, "simulations", total=len(draws) + 1) as advance:
        for kind, draw in draws.items():
            rows.append(row_of(kind, simulate(draw, options.simulations, pairs=options.pairs, seed=seed)))
            advance(kind)
        rows.append(row_of(BY_CLIENT, simulate_clients(options.simulations, pairs=options.pairs, seed=seed)))
        advance(BY_CLIENT)
    return {
        "commit": commit,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "cpu_seconds": round(time.process_time() - started),
        "seed": seed,
        "alpha": ALPHA,
        "pairs": options.pairs,
        "first_look": FIRST_LOOK,
        "rows": rows,
        "one_look": [{"differences": kind, "n": one_look(size)} for kind, size in EFFECTS.items()],
    }


def _shifted(size: float) -> Draw:
    return lambda rng, n: rng.normal(size, size=n)


def table(recorded: Mapping[str, Any]) -> str:
    """Return what the document says of a record."""
    n = recorded["rows"][0]["simulations"]
    rows = [
        [
            row["differences"],
            *(f"{100 * row[rule]['stopped'] / row['simulations']:.1f} %" for rule in RULES),
            " against ".join(f"{row[rule]['median']:,}" if row[rule]["median"] else "never" for rule in RULES)
            if row["differences"] in EFFECTS
            else "",
        ]
        for row in recorded["rows"]
    ]
    said = (
        f"{n:,} simulations each of {recorded['pairs']:,} differences, looked at after every one from the"
        f" {recorded['first_look']}th: how often an experiment stopped with a winner. Of {n:,} at a level of"
        f" {100 * recorded['alpha']:g} % up to {100 * most(n, recorded['alpha']) / n:.1f} % may, 999 times in 1,000."
    )
    broken = (
        f"The promise does not hold for *{'* and *'.join(BROKEN)}*: what is rare and large is not in the variance"
        " before it happens."
    )
    heads = ["differences", "fixed 95 % interval", "confidence sequence", "median n to stop"]
    return "\n\n".join([said, markdown_table(heads, rows), broken, price(recorded)])


def price(recorded: Mapping[str, Any]) -> str:
    """Return what looking all the time costs, against one look that as many experiments find the effect by."""
    rows = {row["differences"]: row for row in recorded["rows"]}
    said = [
        f"{rows[kind]['sequence']['median'] / row['n']:.1f} times as many for {size} sd"
        f" ({rows[kind]['sequence']['median']:,} against {row['n']:,})"
        for (kind, size), row in zip(EFFECTS.items(), recorded["one_look"], strict=True)
    ]
    return (
        "The price is the sample. Half of the experiments have stopped after the median; one look that was fixed before"
        f" finds the effect as often after fewer. The sequence takes {' and '.join(said)}."
    )


def one_look(size: float) -> int:
    """Return after how many differences half of the experiments with one look find an effect of this size, in sd."""
    return int(np.ceil((NORMAL_95 / size) ** 2))


def most(simulations: int, alpha: float) -> int:
    """Return how many findings are put down to chance where there is no effect."""
    return int(stats.binom.ppf(MOST, simulations, alpha))


def limits_of(recorded: Mapping[str, Any]) -> list[Limit]:
    """Return that where nothing is to be found little is, and that effects are found, most of them when it was said."""
    rows = {row["differences"]: row for row in recorded["rows"]}
    false = {kind: rows[kind]["sequence"]["stopped"] for kind in (*HELD, BY_CLIENT)}
    medians = {f"median n of {kind}": rows[kind]["sequence"]["median"] or np.inf for kind in EFFECTS}
    said = {f"median n of {kind}": needed(size, 1.0) for kind, size in EFFECTS.items()}
    chance = {kind: most(rows[kind]["simulations"], recorded["alpha"]) for kind in false}
    return [*check_limits(false, chance), *check_limits(medians, said)]


def main() -> int:
    """Simulate, write; return 1 if there were more false findings than stated, or effects were found later."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000, help="of each kind (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="differences of each (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS / "sequence_power.json", help="(default: %(default)s)")
    options, console = parser.parse_args(), Console()
    recorded = measure(options, console)
    console.print(table(recorded))
    status = finish(console, options.output, recorded, limits_of(recorded))
    if options.output == parser.get_default("output"):
        fill_sections(DOCUMENT, {"sequence-power": table(recorded)})
    return status


if __name__ == "__main__":
    sys.exit(main())
