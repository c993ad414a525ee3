"""How soon a service with a good cache is ready and stops, and what memory it takes, whatever its registry does.

The cache holds version 1 of a project's bundle, the registry says that version 2 is champion, and has a fault. With a
bomb, version 2 is a bundle of zeros that unpacks to a thousand times its size. Faults of the cache are tried where they
matter: with a registry that is away, or with one that makes the service write. Prints a table; with another commit on
PYTHONPATH it measures that one.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console

from faulty_registry import FAULTS, MANIFEST, faulty_registry
from portfolio_shared.bundle import parse_manifest, write_bundle
from portfolio_shared.evaluation.tables import terminal_table
from processes import free_port, get, start

BOMB_BYTES = 2_400_000_000
WATCHED_SECONDS = 8.0  # after a service with a bomb is ready, and before one that drips files is stopped
CACHED, NEW = "1", "2"
ZEROS = bytes(2**20)


class Outcome(NamedTuple):
    """Seconds until /readyz said 200 and from SIGTERM to the end, or why not; and the peak of memory in megabytes."""

    fault: str
    ready: str
    stopped: str
    peak: str


def fill_cache(folder: Path, bundle: Path, name: str) -> None:
    """Write what a service leaves that served version 1."""
    shutil.copytree(bundle, folder / CACHED)
    digest = sha256((bundle / MANIFEST).read_bytes()).hexdigest()
    note = {"name": name, "version": CACHED, "run_id": "run", "bundle_sha256": digest}
    (folder / "last_good.json").write_text(json.dumps(note), encoding="utf-8")


def damage_lock(folder: Path) -> None:
    """Let the lock be something that nobody can open for writing, whoever asks."""
    (folder / ".lock").mkdir()


def add_superscript(folder: Path) -> None:
    """Add a folder whose name is a digit for Python, and no number."""
    (folder / "²").mkdir()


def nest_note(folder: Path) -> None:
    """Replace the note of the version that served last by brackets."""
    (folder / "last_good.json").write_text("[" * 100_000, encoding="utf-8")


CACHES: dict[str, Callable[[Path], None]] = {each.__name__: each for each in (damage_lock, add_superscript, nest_note)}
AWAY = ("damage_lock", "nest_note")


def bomb_of(bundle: Path, target: Path, size: int) -> Path:
    """Copy a bundle, and let its largest arrays be zeros of a size."""
    shutil.copytree(bundle, target)
    (target / MANIFEST).unlink()
    arrays = max(target.glob("*.npz"), key=lambda path: path.stat().st_size)
    with np.load(arrays) as file:
        names = file.files
    with zipfile.ZipFile(arrays, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                pieces = size // len(names) // len(ZEROS)
                header = {"descr": "<f8", "fortran_order": False, "shape": (pieces * len(ZEROS) // 8,)}
                np.lib.format.write_array_header_1_0(member, header)
                for _ in range(pieces):
                    member.write(ZEROS)
    write_bundle(target, parse_manifest(bundle).model_copy(update={"files": {}}))
    return target


def main() -> None:
    """Try each fault, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="fault", help=f"of {', '.join([*FAULTS, 'bomb', *CACHES])}")
    parser.add_argument("--project", default="housing")
    parser.add_argument("--bundle", type=Path, default=None, help="default: .state/bundles/PROJECT")
    parser.add_argument("--seconds", type=float, default=60.0, help="longest wait for readiness and for the end")
    options = parser.parse_args()
    bundle = options.bundle or Path(".state/bundles", options.project)
    rows = []
    for fault in options.faults or [*FAULTS, "bomb", *CACHES]:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(list(measure(options.project, bundle, fault, Path(folder), options.seconds)))
    Console().print(
        terminal_table("A service with a good cache", ["fault", "ready (s)", "stopped (s)", "peak (MB)"], rows)
    )


def measure(project: str, bundle: Path, fault: str, folder: Path, seconds: float) -> Outcome:
    """Start a service with a cache and a fault, wait until it is ready, and stop it."""
    cache = folder / "cache"
    fill_cache(cache / project, bundle, project)
    if fault in CACHES:
        CACHES[fault](cache / project)
    served = bomb_of(bundle, folder / "bomb", BOMB_BYTES) if fault == "bomb" else bundle
    with faulty_registry(project, NEW, served, FAULTS.get(fault, FAULTS["none"])) as registry:
        uri = f"http://127.0.0.1:{free_port()}" if fault in AWAY else registry.uri
        with service(project, cache, uri, folder / "log") as (process, port):
            ready = seconds_until(lambda: get(port, "/readyz")[0] == 200, process, seconds)
            if fault in ("bomb", "drips_files"):
                time.sleep(WATCHED_SECONDS)
            peak = f"{peak_megabytes(process.pid):,.0f}" if process.poll() is None else "ended"
            process.send_signal(signal.SIGTERM)
            stopped = seconds_until(lambda: process.poll() is not None, None, seconds)
    return Outcome(fault, ready, stopped, peak)


@contextmanager
def service(project: str, cache: Path, uri: str, log: Path) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """Run a project's service with a cache and a registry, without a prediction log; kill it in the end."""
    port, package = free_port(), project.replace("-", "_")
    prefix = package.upper()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(f"{prefix}_")}
    settings = {"PORT": port, "MODEL_CACHE": cache, "TRACKING_URI": uri, "PREDICTION_LOG": "off"}
    environment |= {f"{prefix}_{name}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-c", f"from {package}.cli import main; main()", "serve"]
    process = start(f"the {project} service", command, log=log, environment=environment).popen
    try:
        yield process, port
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()


def seconds_until(done: Callable[[], bool], process: "subprocess.Popen[bytes] | None", seconds: float) -> str:
    """Wait until something is so, and say how long it took."""
    began = time.monotonic()
    while not done():
        if process is not None and process.poll() is not None:
            return "ended"
        if time.monotonic() - began > seconds:
            return f"not in {seconds:g}"
        time.sleep(0.02)
    return f"{time.monotonic() - began:.1f}"


def peak_megabytes(pid: int) -> float:
    """Return the most memory that a process has taken."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines())
    return int(status["VmHWM"].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    main()
