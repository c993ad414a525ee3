"""The table of projects is read whole, and says what is wrong with it; what stands twice is equal."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import project_table
from project_table import Project, ProjectError, projects

ROOT = Path(__file__).resolve().parents[1]
TABLE = {"title": "'A'", "lead": "'An a.'", "port": "8001", "service-mb": "10"}


def write(root: Path, name: str, **changes: str | None) -> None:
    """Write a project's table with some keys changed, or left out where they are None."""
    lines = {**TABLE, **{key.replace("_", "-"): value for key, value in changes.items()}}
    folder = root / "projects" / name
    folder.mkdir(parents=True)
    text = "[tool.portfolio]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items() if value is not None)
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")


def test_projects_come_in_the_order_of_their_ports(tmp_path: Path) -> None:
    write(tmp_path, "a-late-project", port="8009", first_train_flags="['--quick']", trainer_mb="20")
    write(tmp_path, "early")

    early, late = projects(tmp_path)

    assert (early.name, early.first_train_flags, early.trainer_mb) == ("early", (), None)
    assert (late.package, late.prefix, late.folder) == (
        "a_late_project",
        "A_LATE_PROJECT_",
        tmp_path / "projects/a-late-project",
    )
    assert (late.first_train_flags, late.service_mb, late.trainer_mb) == (("--quick",), 10, 20)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"port": None}, r"a/pyproject.toml: \[tool.portfolio\] has no port"),
        ({"port": "'8001'"}, r"port = '8001' in \[tool.portfolio\]: expected int"),
        ({"prot": "8001"}, "unknown key prot"),
        ({}, "a and b both have the port 8001"),
    ],
)
def test_a_wrong_table_says_where_and_what(tmp_path: Path, changes: dict[str, str | None], message: str) -> None:
    write(tmp_path, "a", **changes)
    write(tmp_path, "b")

    with pytest.raises(ProjectError, match=message):
        projects(tmp_path)

    (tmp_path / "projects/a/pyproject.toml").write_text("[project]\nname = 'a'\n", encoding="utf-8")
    with pytest.raises(ProjectError, match=r"a/pyproject.toml: no table \[tool.portfolio\]"):
        projects(tmp_path)


def test_it_is_printed_for_other_programs() -> None:
    command = [sys.executable, "-I", project_table.__file__]

    table = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert [each["name"] for each in table] == [project.name for project in projects()]
    assert all((ROOT / each["folder"]).is_dir() for each in table)


@pytest.mark.parametrize("project", projects(), ids=lambda project: project.name)
def test_the_port_is_that_of_the_service(project: Project) -> None:
    settings = importlib.import_module(f"{project.package}.config").ServeSettings

    assert settings.model_fields["port"].default == project.port
