"""What goals of the Makefile install and build, run for real with stubs in place of the tools."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import MAKEFILE, ROOT, clean_environment, recipes

from project_table import projects


@pytest.mark.parametrize("goals", [["train-image-classifier", "train-housing"], ["setup-start", "setup"]])
def test_of_two_goals_the_one_that_needs_less_takes_nothing_away(tmp_path: Path, goals: list[str]) -> None:
    assert set_up(tmp_path, "-j2", *goals)[-1] == "dev auto"
    assert (tmp_path / "a place" / ".installed").exists()


def set_up(folder: Path, *arguments: str, status: int = 0, **variables: str) -> list[str]:
    """Run goals that install, with stubs in place of the tools; return the locks and backends that were installed."""
    venv = folder / "a place"
    (venv / "bin").mkdir(parents=True, exist_ok=True)
    (folder / "calls").write_text("", encoding="utf-8")
    for name in ("python", "uv"):
        stub = f'#!/bin/sh\necho "$@" >>"{folder}/calls"\nexit {status}\n'
        (venv / "bin" / name).write_text(stub, encoding="utf-8")
        (venv / "bin" / name).chmod(0o755)
    environment = {name: value for name, value in clean_environment().items() if name != "TORCH_BACKEND"}
    command = ["make", *arguments, f"VENV={venv}", "PYTHON=true"]
    done = subprocess.run(command, cwd=ROOT, env=environment | variables, check=False)
    assert bool(done.returncode) == bool(status)
    calls = (folder / "calls").read_text(encoding="utf-8")
    return [" ".join(found) for found in re.findall(r"install.py requirements/(\w+)\.lock (.*)", calls)]


def test_a_backend_of_torch_that_somebody_names_replaces_another(tmp_path: Path) -> None:
    assert set_up(tmp_path, "setup") == ["dev auto"]
    assert set_up(tmp_path, "setup") == []
    assert set_up(tmp_path, "setup", TORCH_BACKEND="cpu") == ["dev cpu"]
    assert set_up(tmp_path, "setup", TORCH_BACKEND="cpu") == []
    assert set_up(tmp_path, "setup") == set_up(tmp_path, "setup-start") == []
    assert set_up(tmp_path, "setup-start", "TORCH_BACKEND=cu130") == ["dev cu130"]
    assert set_up(tmp_path, "setup", "TORCH_BACKEND=") == ["dev "]
    assert set_up(tmp_path, "setup", TORCH_BACKEND="") == []


def test_what_could_not_be_replaced_is_installed_again(tmp_path: Path) -> None:
    set_up(tmp_path, "setup")
    set_up(tmp_path, "setup", TORCH_BACKEND="cpu", status=1)
    assert set_up(tmp_path, "setup") == ["dev auto"]


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

    # What Terraform keeps is of a cloud that runs: who loses it pays for what nobody finds again.
    assert ignored - removed == {".data", ".env", "uv.lock", "*.tfstate*", ".terraform"}


# Says of `docker COMMAND...` what the variable of the test says: a status, and a line to print.
DOCKER = """#!/bin/bash
echo "$*" >>"$(dirname "$0")/calls"
case "$*" in
    "$FAILS") exit "${STATUS:-7}";;
    "compose config --services") printf 'housing\\nhousing-trainer\\nmlflow\\n';;
    "compose ps"*) echo some-container;;
    "wait"*) echo "${TRAINED:-0}";;
    "compose logs"*) echo "Ready. Open it";;
esac
"""


def make_with_docker(folder: Path, goal: str, **variables: str) -> tuple[int, list[str]]:
    """Run a goal with a stub of docker, as make 3.81 does, which knows no .SHELLFLAGS; return status and calls."""
    (folder / "docker").write_text(DOCKER, encoding="utf-8")
    (folder / "docker").chmod(0o755)
    environment = clean_environment() | {"PATH": f"{folder}:{os.environ['PATH']}", "FAILS": "nothing"} | variables
    done = subprocess.run(["make", goal, ".SHELLFLAGS=-c"], cwd=ROOT, env=environment, capture_output=True, check=False)
    return done.returncode, (folder / "calls").read_text(encoding="utf-8").splitlines()


def test_images_are_built_one_after_the_other(tmp_path: Path) -> None:
    status, calls = make_with_docker(tmp_path, "docker-build")
    assert status == 0
    assert calls[1:] == ["compose build housing", "compose build housing-trainer", "compose build mlflow"]


@pytest.mark.parametrize(
    ("goal", "fails", "never"),
    [
        ("docker-build", "compose config --services", "compose build"),
        ("docker-build", "compose build housing-trainer", "compose build mlflow"),
        ("compose-up", "compose build mlflow", "compose up"),
        ("compose-up", "compose up --detach", "wait"),
        ("compose-up", "compose up --no-recreate --detach --wait housing mlflow", "compose logs"),
    ],
)
def test_a_command_of_docker_that_fails_ends_the_goal_there(tmp_path: Path, goal: str, fails: str, never: str) -> None:
    status, calls = make_with_docker(tmp_path, goal, FAILS=fails)
    assert status
    assert calls[-1] == fails
    assert not [call for call in calls if call.startswith(never) and call != fails]


@pytest.mark.parametrize(("trained", "status"), [("0", 0), ("1", 2)])
def test_a_training_that_failed_in_its_container_ends_compose_up(tmp_path: Path, trained: str, status: int) -> None:
    assert make_with_docker(tmp_path, "compose-up", TRAINED=trained)[0] == status


@pytest.mark.parametrize(("status", "failed"), [(2, 0), (4, 0), (5, 0), (1, 2), (3, 2), (125, 2)])
def test_a_model_that_is_refused_is_no_failure_and_an_error_keeps_no_other_project_waiting(
    tmp_path: Path, status: int, failed: int
) -> None:
    runs = [f"compose run --rm --no-TTY {project.name}-retrain retrain --why hand" for project in projects()]
    done, calls = make_with_docker(tmp_path, "compose-retrain", FAILS=runs[0], STATUS=str(status))
    assert (done, sorted(calls)) == (failed, sorted(runs))


RECIPES = [line for line in MAKEFILE.replace("\\\n", "").splitlines() if line.startswith("\t") and "awk" not in line]


@pytest.mark.parametrize("recipe", [recipe for recipe in RECIPES if ";" in recipe], ids=lambda recipe: recipe[1:40])
def test_a_recipe_of_several_commands_says_itself_where_it_stops(recipe: str) -> None:
    # `a; b` would go on after an `a` that failed.
    assert "set -e" in recipe or re.search(r"\|\| exit 1|&& exit\b", recipe), recipe
    assert ".SHELLFLAGS :" not in MAKEFILE
