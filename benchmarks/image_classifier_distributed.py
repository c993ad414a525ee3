"""Fine-tuning in one process and in two: seconds, CPU, memory, and how far the weights differ.

    make bench-image-classifier BENCH=distributed

Each way is a command of torchrun that trains MobileNetV2 for two epochs on photographs of the sample, and they take
turns. Seconds and CPU are of the fine-tuning alone, or of the command with the start of Python and torch. Memory is the
largest resident set of each process (`ru_maxrss`), added up: libraries that processes share are counted in each.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from record import RESULTS, finish
from rich.console import Console
from safetensors.torch import load_file, save_file

from image_classifier.config import SHIPPED, USUAL, Compute, FineTuneSettings, ModelSettings
from image_classifier.data.load import Split, load
from image_classifier.data.photos import spread
from image_classifier.evaluation.tables import distributed_table
from image_classifier.models.distributed import Team, joined
from image_classifier.models.finetune import fine_tune
from image_classifier.models.job import Order
from image_classifier.models.network import Classifier

WAYS = {"one process, 1 thread": (1, 1), "one process, 2 threads": (1, 2), "two processes, 1 thread each": (2, 2)}
"""Name -> processes, and threads of all of them."""
WEIGHTS = "weights.safetensors"
SUMS = 20
"""Sums of all gradients that are timed."""


def main() -> int:
    """Measure every way in turns, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each way is measured (default: %(default)s)")
    parser.add_argument("--pictures", type=int, default=160, help="photographs of an epoch (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS / "image_classifier_distributed.json", help="file")
    options, console = parser.parse_args(), Console()
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as place:
        for number in range(options.rounds):
            for name, (processes, threads) in WAYS.items():
                folder = Path(place, f"{number}-{processes}-{threads}")
                runs[name].append(run(folder, processes, threads, options.pictures))
                console.print(f"{name}: {runs[name][-1]}")
        names = [f"0-{processes}-{threads}" for processes, threads in WAYS.values()]
        weights = [load_file(Path(place, name, WEIGHTS)) for name in names]
    gaps = {name: gap(each, weights[0]) for name, each in zip(WAYS, weights, strict=True)}
    rows = [{"name": name, **medians(runs[name]), "gap": gaps[name]} for name in WAYS]
    recorded = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "torch": torch.__version__.partition("+")[0],
        "pictures": options.pictures,
        "rounds": options.rounds,
        "rows": rows,
    }
    console.print(distributed_table(recorded))
    return finish(console, options.output, recorded, [])  # how large a gap may be is asked by a test


def run(folder: Path, processes: int, threads: int, pictures: int) -> dict[str, Any]:
    """Run one way by torchrun; return what its processes measured, and what the whole command took."""
    folder.mkdir()
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    script = [__file__, "--member", str(folder), str(threads), str(pictures)]
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # of what is not torch's; torchrun would say that it sets it
    subprocess.run([sys.executable, *torchrun, *script], env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    members = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
    return {
        "seconds": max(each["seconds"] for each in members),
        "cpu_seconds": sum(each["cpu_seconds"] for each in members),
        "peak_rss_mb": sum(each["peak_rss_mb"] for each in members),
        "trained": members[0]["trained"],
        "sum_ms": max(each["sum_ms"] for each in members),
        "command_seconds": time.perf_counter() - begun,
        "command_cpu_seconds": cpu(after) - cpu(before),
    }


def member(folder: Path, threads: int, pictures: int) -> None:
    """Fine-tune as one of the processes, and write what it took; the first writes the weights too."""
    dataset = load("sample")
    chosen = spread(dataset.photos, pictures + pictures // 4)
    # Every fifth is for validation: photographs lie in the order of their classes.
    train, validation = (
        tuple(photo for i, photo in enumerate(chosen) if (i % 5 == 4) is held) for held in (False, True)
    )
    settings = ModelSettings(backbone=USUAL, weights=SHIPPED, tuning=FineTuneSettings(epochs=2))
    order = Order(Split(train, validation, (), dataset.labels), settings, 0, Compute(device="cpu", threads=threads))
    with joined() as team:
        classifier, job = order.build(team)
        begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        history = fine_tune(classifier, job)
        after = resource.getrusage(resource.RUSAGE_SELF)
        measured = {
            "seconds": time.perf_counter() - begun,
            "cpu_seconds": cpu(after) - cpu(before),
            "peak_rss_mb": after.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6,
            # A last batch that is not full is left out.
            "trained": len(history) * (len(train) // job.batch) * job.batch,
            "sum_ms": milliseconds(team, classifier),
        }
    (folder / f"{team.rank}.json").write_text(json.dumps(measured), encoding="utf-8")
    if team.leads:
        save_file({name: each.contiguous() for name, each in classifier.state_dict().items()}, folder / WEIGHTS)


def milliseconds(team: Team, classifier: Classifier) -> float:
    """Return how long it takes the processes to add up as many numbers as the network has weights."""
    gradients = [torch.ones_like(each) for each in classifier.parameters()]
    begun = time.perf_counter()
    for _ in range(SUMS):
        team.add(gradients)
    return 1000 * (time.perf_counter() - begun) / SUMS


def cpu(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


def gap(weights: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> float:
    """Return the largest difference of two sets of weights."""
    return max(float((weights[name] - expected[name]).abs().max()) for name in expected)


def medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each number that the runs measured."""
    return {key: round(statistics.median(each[key] for each in runs), 2) for key in runs[0]}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--member"]:
        member(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        sys.exit(main())
