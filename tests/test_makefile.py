"""What goals of the Makefile install, run for real with stubs in place of the tools."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT, clean_environment, recipes


@pytest.mark.parametrize("goals", [["train-image-classifier", "train-housing"], ["setup-start", "setup"]])
def test_of_two_goals_the_one_that_needs_less_takes_nothing_away(tmp_path: Path, goals: list[str]) -> None:
    venv = tmp_path / "a place"
    (venv / "bin").mkdir(parents=True)
    for name in ("python", "uv"):
        (venv / "bin" / name).write_text(f'#!/bin/sh\necho "$@" >>"{tmp_path}/calls"\n', encoding="utf-8")
        (venv / "bin" / name).chmod(0o755)
    subprocess.run(
        ["make", "-j2", *goals, f"VENV={venv}", "PYTHON=true"], cwd=ROOT, env=clean_environment(), check=True
    )

    assert (
        re.findall(r"install.py requirements/(\w+)\.lock auto", (tmp_path / "calls").read_text(encoding="utf-8"))[-1]
        == "dev"
    )
    assert (venv / ".installed").exists()


@pytest.mark.parametrize(("version", "fits"), [("3, 10", False), ("3, 11", True), ("3, 14", True), ("3, 15", False)])
def test_a_python_without_wheels_is_named(tmp_path: Path, version: str, *, fits: bool) -> None:
    """Half an hour of compiling is no answer, and macOS has had 3.9 as python3."""
    python = tmp_path / "python"
    code = f"import sys; sys.version_info = ({version}, 0); exec(sys.argv[1])"
    python.write_text(
        f'#!/bin/sh\ntest "$1" = -c && exec "{sys.executable}" -c "{code}" "$2"\nexit 7\n', encoding="utf-8"
    )
    python.chmod(0o755)
    command = ["make", "setup-start", f"VENV={tmp_path}/venv", f"PYTHON={python}"]
    done = subprocess.run(command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False)

    assert done.returncode
    assert ("Python 3.11 to 3.14 is needed, this is" in done.stderr) != fits
    assert ("Installing requirements/start.lock" in done.stdout) == fits


def test_clean_removes_all_that_is_made_and_nothing_else() -> None:
    ignored = {line.rstrip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").split()}
    removed = {word.rstrip("/") for word in recipes("clean").split()}

    assert ignored - removed == {".data", ".env", "uv.lock"}
