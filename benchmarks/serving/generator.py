"""The load: wrk in a process of its own, which costs less than anything that it measures.

It sends one request, made before, on so many connections, each again as soon as it has its answer.
"""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from portfolio_shared.serving.schemas import ExampleRequest
from processes import HOST

SCRIPT = Path(__file__).with_name("request.lua")
UNPACKED = Path(".state/wrk")
TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Generator:
    """A program of wrk, and the libraries that were unpacked with it."""

    program: str
    libraries: str = ""

    def load(self, port: int, request: ExampleRequest, *, clients: int, seconds: int) -> dict[str, Any]:
        """Ask for some seconds; return answers, refusals, seconds that it took, and p50 and p99 in milliseconds.

        Raises
        ------
        SystemExit
            If connections failed: figures of answers that did not come would be wrong.
        """
        environment = os.environ | {"LD_LIBRARY_PATH": self.libraries, "REQUEST_TYPE": request.content_type}
        times = (f"-c{clients}", f"-d{seconds}s", f"--timeout={TIMEOUT_SECONDS}s")
        with TemporaryDirectory() as folder:
            if request.body:
                environment["REQUEST_BODY"] = str(Path(folder, "body"))
                Path(folder, "body").write_bytes(request.body)
            command = [self.program, "-t1", *times, "-s", str(SCRIPT), f"http://{HOST}:{port}{request.path}"]
            result = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
        lines = [line for line in result.stdout.splitlines() if line.startswith("{")]
        if result.returncode or not lines:
            raise SystemExit(f"{' '.join(command)} ended with {result.returncode}: {result.stderr}{result.stdout}")
        measured: dict[str, Any] = json.loads(lines[0])
        if measured["failed"]:
            raise SystemExit(f"{request.path}: {measured['failed']} requests of {clients} clients had no answer")
        return measured


def find_generator() -> Generator:
    """Return the wrk of this machine, or unpack that of Debian and Ubuntu, without installing it.

    Raises
    ------
    SystemExit
        If there is none.
    """
    if (program := shutil.which("wrk")) is not None:
        return Generator(program)
    if not (UNPACKED / "usr/bin/wrk").exists():
        if shutil.which("apt-get") is None:
            raise SystemExit("there is no wrk: install it, such as with `brew install wrk`")
        UNPACKED.mkdir(parents=True, exist_ok=True)
        for command in ("apt-get download -qq wrk libluajit-5.1-2", "for each in *.deb; do dpkg -x $each .; done"):
            if subprocess.run(["/bin/sh", "-c", command], cwd=UNPACKED, check=False).returncode:
                raise SystemExit(f"`{command}` failed: run `apt-get update`, or install wrk")
    (library,) = (UNPACKED / "usr/lib").glob("*/libluajit-5.1.so.2")
    return Generator(str((UNPACKED / "usr/bin/wrk").absolute()), str(library.parent.absolute()))
