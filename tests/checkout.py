"""The files of this checkout, and what its Makefile has and would run."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
# That of a pattern rule stands as it does there, such as train-%.
TARGETS = re.findall(r"^([a-z][a-z0-9-]*%?):(?!=)", MAKEFILE, re.MULTILINE)


def tracked(*options: str) -> list[str]:
    """Return the files that git tracks and that are there; options are those of `git ls-files`."""
    command = ["git", "ls-files", "-z", *options]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"not a git checkout: {error}")
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def clean_environment() -> dict[str, str]:
    """Return the environment without what a make that runs the tests hands to one that they run."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}


def recipes(*targets: str) -> str:
    """Return what make would run for targets, and for all that they need, if nothing were there."""
    command = ["make", "--dry-run", "--always-make", "--no-print-directory", *targets]
    return subprocess.run(command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=True).stdout
