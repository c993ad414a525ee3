"""What goals of the Makefile install, run for real with stubs in place of the tools."""

import re
import subprocess
from pathlib import Path

import pytest
from checkout import ROOT, clean_environment


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
