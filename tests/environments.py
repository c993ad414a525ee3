"""The environments beside that of development: each is made from its lock by the Makefile, once."""

import subprocess
import sys
from pathlib import Path

from checkout import ROOT
from filelock import FileLock


def python_of(lock: str) -> Path:
    """Return the interpreter of the environment of ``requirements/{lock}.lock``, which is made if it is not there."""
    state = ROOT / ".state"
    state.mkdir(exist_ok=True)
    with FileLock(state / f"{lock}.making"):  # two processes of a test run may want it at once
        virtual_environment = Path(sys.executable).parents[1]
        command = ["make", f".state/{lock}/installed.lock", f"VENV={virtual_environment}"]
        subprocess.run(command, cwd=ROOT, check=True, timeout=600)
    return state / lock / "bin" / "python"
