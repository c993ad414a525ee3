"""Which projects a change concerns, in a repository with two projects and a shared file."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def history(tmp_path: Path) -> Callable[..., str]:
    """Return a function: git arguments -> what it prints, in a repository with two projects and a shared file."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    someone = ["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "diff.renames=copies"]

    def git(*arguments: str) -> str:
        command = ["git", *someone, *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=clean | settings, capture_output=True, text=True, check=True
        ).stdout.strip()

    text = "".join(f"line {number}\n" for number in range(50))
    for name in ("projects/one/pyproject.toml", "projects/two/pyproject.toml"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    for name in ("shared/used.py", "projects/one/own.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"# {name}\n{text}", encoding="utf-8")
    try:
        git("init", "--quiet")
    except OSError as error:
        pytest.skip(f"git does not run: {error}")
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    return git


def changed_projects(folder: Path, base: str) -> str:
    command = [sys.executable, str(ROOT / "scripts" / "changed_projects.py"), base]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    ("source", "target", "concerned"),
    [
        ("shared/used.py", "projects/one/used.py", '["one", "two"]'),
        ("projects/one/own.py", "projects/two/own.py", '["one", "two"]'),
        ("projects/one/own.py", "projects/one/renamed.py", '["one"]'),
    ],
)
def test_a_file_that_moves_concerns_where_it_was(
    history: Callable[..., str], tmp_path: Path, source: str, target: str, concerned: str
) -> None:
    history("mv", source, target)
    history("commit", "--quiet", "--message", "moved")

    assert changed_projects(tmp_path, "HEAD~1") == f"projects={concerned}"


@pytest.mark.parametrize("base", ["", "0" * 40, "no-such-branch"])
def test_without_a_commit_to_compare_with_all_projects_are_concerned(
    history: Callable[..., str], tmp_path: Path, base: str
) -> None:
    assert history("rev-parse", "HEAD")
    assert changed_projects(tmp_path, base) == 'projects=["one", "two"]'


def test_what_main_has_got_meanwhile_is_no_change(history: Callable[..., str], tmp_path: Path) -> None:
    main = history("rev-parse", "--abbrev-ref", "HEAD")
    history("checkout", "--quiet", "-b", "proposal")
    (tmp_path / "projects/two/new.py").touch()
    history("add", ".")
    history("commit", "--quiet", "--message", "proposed")
    history("checkout", "--quiet", main)
    history("mv", "shared/used.py", "shared/other.py")
    history("commit", "--quiet", "--message", "meanwhile")
    history("checkout", "--quiet", "proposal")

    assert changed_projects(tmp_path, main) == 'projects=["two"]'
