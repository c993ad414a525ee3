"""`make rename` in a copy of the repository: names, owner and license change, prose stays, and the copy still works."""

import compileall
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from shutil import copy2

import pytest
from checkout import ROOT, tracked

from rename import RenameError, check, personal, renamed, substitutions

OLD = tomllib.loads((ROOT / "shared/pyproject.toml").read_text(encoding="utf-8"))["project"]["name"][: -len("-shared")]
PACKAGE = OLD.replace("-", "_")
FAST = ["tests/test_project_table.py", "tests/test_repository.py", "tests/test_workflows.py", "shared/tests/evaluation"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"from {PACKAGE}_shared.data import x", "from ml_lab_shared.data import x"),
        (f'"{OLD}-shared[train]>=1"', '"ml-lab-shared[train]>=1"'),
        (f"shared/src/{PACKAGE}_shared/", "shared/src/ml_lab_shared/"),
        (f"{PACKAGE.upper()}_DATA_DIR", "ML_LAB_DATA_DIR"),
        (f'startswith("{PACKAGE.upper()}_")', 'startswith("ML_LAB_")'),
        (f"[tool.{OLD}]", "[tool.ml-lab]"),
        (f'.get("{OLD}")', '.get("ml-lab")'),
        (f"image: ${{IMAGES:-{OLD}}}/index", "image: ${IMAGES:-ml-lab}/index"),
        (f"x: 1\nname: {OLD}\n", "x: 1\nname: ml-lab\n"),
        (f'"tags": ["{OLD}"]', '"tags": ["ml-lab"]'),
        (f"git clone X-REPOSITORY {OLD} && cd {OLD}", "git clone X-REPOSITORY ml-lab && cd ml-lab"),
        (f"an {OLD} that runs; {OLD}s; the {OLD}'s authors", f"an {OLD} that runs; {OLD}s; the {OLD}'s authors"),
    ],
)
def test_a_name_is_replaced_and_a_word_is_not(before: str, after: str) -> None:
    for pattern, replacement in substitutions(OLD, "ml-lab"):
        before = pattern.sub(replacement, before)
    assert before == after


def texts() -> str:
    """Return all text of the repository but this file's."""
    folder = {name: ROOT / name for name in tracked() if name != "tests/test_rename.py"}
    data = [path.read_bytes() for path in folder.values() if path.is_file() and not path.is_symlink()]
    return "\n".join(each.decode("utf-8") for each in data if b"\0" not in each)


def test_each_place_of_a_name_is_somewhere_in_the_repository() -> None:
    text = texts()
    assert [pattern.pattern for pattern, _ in substitutions(OLD, "ml-lab") if not pattern.search(text)] == []


URL = "https://github.com/jane/ml-lab"
BADGES = f"""\
<!-- badges -->
[![ci]({URL}/actions/workflows/ci.yml/badge.svg)]({URL}/actions/workflows/ci.yml)
[![site]({URL}/actions/workflows/pages.yml/badge.svg)](https://jane.github.io/ml-lab/)
<!-- /badges -->
"""
YEAR = datetime.now(tz=UTC).year


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("LICENSE", "MIT\n\nCopyright (c) 2020 A\n", f"MIT\n\nCopyright (c) {YEAR} Jane Doe\nCopyright (c) 2020 A\n"),
        ("README.md", "# T\n\ntext\n", f"# T\n\n{BADGES}\ntext\n"),
        ("CITATION.cff", '- a:\n  - name: "x"\n', f'- a:\n  - name: "Jane Doe"\nrepository-code: {URL}\n'),
        ("site.toml", 'name = "x"\nrepository = ""\n', f'name = "Jane Doe"\nrepository = "{URL}"\n'),
        (".github/CODEOWNERS", "# whom\n# * @OWNER\n", "# whom\n* @jane\n"),
    ],
)
def test_whose_it_is_is_written_once(file: str, before: str, after: str) -> None:
    change = personal("ml-lab", "jane", "Jane Doe")[file]
    assert change(before) == after
    assert change(change(before)) == change(before)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("b.txt", b"caf\xe9", "b.txt: 'utf-8' codec can't decode byte 0xe9"),
        ("site.toml", b'title = "x"', "site.toml: there is no line ^name = "),
        ("LICENSE", b"MIT", r"LICENSE: there is no line ^Copyright \(c\)"),
        ("CITATION.cff", b"title: x", "CITATION.cff: there is no line ^  - name: "),
    ],
)
def test_what_cannot_be_changed_is_named_and_nothing_is_written(
    tmp_path: Path, file: str, content: bytes, message: str
) -> None:
    (tmp_path / "a.py").write_text(f"import {PACKAGE}_shared", encoding="utf-8")
    (tmp_path / file).write_bytes(content)
    for command in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    with pytest.raises(RenameError, match=f"^{re.escape(message)}.*; nothing was changed$"):
        renamed(tmp_path, substitutions(OLD, "ml-lab"), personal("ml-lab", "jane", "Jane Doe"))
    assert (tmp_path / "a.py").read_text(encoding="utf-8") == f"import {PACKAGE}_shared"


@pytest.mark.parametrize(
    ("name", "owner", "message"),
    [
        ("ML Lab", "jane", "NAME='ML Lab': expected small letters"),
        ("", "jane", "NAME='': expected"),
        ("ml-lab", "jane doe", "OWNER='jane doe': expected an account"),
        ("housing", "jane", "NAME=housing: this name is taken"),
        ("image", "jane", "NAME=image: this name is taken"),
        ("mlflow", "jane", "NAME=mlflow: this name is taken"),
    ],
)
def test_what_cannot_be_a_name_is_refused_in_one_line(name: str, owner: str, message: str) -> None:
    with pytest.raises(RenameError, match=f"^{re.escape(message)}.*$"):
        check(ROOT, name, owner)


class Copy:
    """A copy of the repository with a commit of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in tracked("--cached", "--others", "--exclude-standard"):  # also those that are new
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            copy2(ROOT / name, folder / name)
        self.run("git", "init", "--quiet")
        self.commit()

    def run(self, *command: str) -> str:
        done = self._run(command)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def refusal(self, *command: str) -> str:
        done = self._run(command)
        assert done.returncode == 1
        return done.stderr

    def _run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        sources = [self.folder / "shared/src", *sorted(self.folder.glob("projects/*/src"))]
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PYTEST"))}
        environment = clean | {"PYTHONPATH": os.pathsep.join(map(str, sources)), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, encoding="utf-8", check=False
        )

    def files(self) -> list[str]:
        return self.run("git", "ls-files", "--cached", "--others", "--deduplicate").splitlines()

    def text(self, name: str) -> str:
        path = self.folder / name
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    def commit(self) -> None:
        someone = ("-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false")
        self.run("git", "add", ".")
        self.run("git", *someone, "commit", "--quiet", "--message", "x")


@pytest.mark.slow
@pytest.mark.long
def test_a_renamed_repository_has_no_trace_of_the_name_and_works(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    again = (sys.executable, "scripts/rename.py", "ml-lab", "jane", "Jane Doe")
    printed = copy.run(*again)
    assert f"{OLD} is ml-lab now, of Jane Doe (jane)" in printed
    assert (copy.folder / "shared/src/ml_lab_shared/bundle.py").exists()
    assert not (copy.folder / f"shared/src/{PACKAGE}_shared").exists()
    names = rf"{PACKAGE}_shared|{OLD}-shared|{PACKAGE.upper()}_[A-Z]|tool\.{OLD}|IMAGES:-{OLD}|^name: {OLD}$"
    assert [name for name in copy.files() if re.search(names, copy.text(name), re.MULTILINE)] == []

    assert "commit or remove what has changed first" in copy.refusal(*again)
    copy.run(sys.executable, "-m", "ruff", "check", "--select", "I", "--fix", "--quiet", ".")
    copy.run(sys.executable, "-m", "ruff", "format", "--quiet", ".")
    copy.commit()
    assert copy.refusal(*again) == "nothing to rename: this is ml-lab of jane already\n"
    copy.run(sys.executable, "-m", "ruff", "check", ".")
    assert compileall.compile_dir(copy.folder, quiet=1)
    command = (
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n0",
        "-p",
        "no:cacheprovider",
        "-m",
        "not long and not slow",
        *FAST,
    )
    assert re.search(r"\d{2,} passed", copy.run(*command))
