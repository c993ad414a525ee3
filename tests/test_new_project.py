"""`make new-project`: one of each kind, made in a copy of the repository, trains, serves, and passes the tests of all.

The copy has an environment of its own: its own packages, and the libraries of this one. Its locks, which `make lock`
compiles from the package index, are those of a project that has its dependencies.
"""

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import copy2

import pytest
from checkout import ROOT, clean_environment, tracked

from new_project import (
    NewProjectError,
    check_name,
    copy_layer,
    importable,
    make,
    one_line,
    prepare_of,
    replace_in,
    replaced,
    replacements,
)
from processes import free_port, start, wait_until_ready

KINDS = sorted(path.name for path in (ROOT / "templates").iterdir() if path.is_dir() and path.name != "common")
NAME, PACKAGE, PORT = "some-rents", "some_rents", 8004
DONORS = {"tabular": "housing", "classes": "housing", "ranking": "recommender", "images": "image-classifier"}
# `mlflow models serve` needs programs that are not in the copy's environment; what it calls is tested.
OTHERS = "housing or recommender or classifier or mlflow_serves"
OF_ALL = (
    *("test_same_shape.py", "test_project_config.py", "test_project_cli.py", "test_project_report.py"),
    *("test_project_bodies.py", "test_project_table.py", "test_compose.py", "test_licenses.py", "test_notebooks.py"),
    *("test_repository.py", "test_readmes.py", "test_stated_numbers.py", "test_documents.py"),
    *("test_project_http.py", "test_project_imports.py", "test_project_mlflow.py", "test_pages.py"),
)
ASK = """
import sys, httpx
from {package}.serving.schemas import EXAMPLE_REQUEST as example
headers = {{"content-type": example.content_type}}
response = httpx.post(sys.argv[1] + example.path, content=example.body, headers=headers, trust_env=False, timeout=30)
print(response.raise_for_status().text)
"""
TENANTS = "tenant_id,since,rooms,heating,left\n" + "".join(
    f"t{7 * i % 1009},{2000 + i % 23},{i % 5},{('gas', 'oil', 'wood')[i % 3]},{'yes' if i % 7 + i % 5 > 5 else 'no'}\n"
    for i in range(600)
)
TABLE = "rent;rooms\n" + "".join(f"{500 + 10 * i % 370};{i % 7}\n" for i in range(200))


@dataclass(frozen=True)
class Copy:
    """A copy of the repository, and what is run in it."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        mine = ("GIT_", "PYTEST", "PYTHONPATH", "SOME_")
        return {name: value for name, value in os.environ.items() if not name.startswith(mine)}

    def program(self, name: str) -> str:
        return str(self.folder / ".venv" / "bin" / name)

    def install(self) -> None:
        """Make an environment that finds the copy's packages, and the libraries of this one, and has its programs."""
        venv.create(self.folder / ".venv", symlinks=True)
        sources = [self.folder / "shared/src", *self.folder.glob("projects/*/src"), sysconfig.get_path("purelib")]
        (site,) = (self.folder / ".venv/lib").glob("python*/site-packages")
        (site / "copy.pth").write_text("\n".join(map(str, sources)), encoding="utf-8")
        for name, module, function in ((NAME, f"{PACKAGE}.cli", "main"), ("mlflow", "mlflow.cli", "cli")):
            script = Path(self.program(name))
            lines = (f"#!{self.program('python')}", f"from {module} import {function}", "", f"{function}()", "")
            script.write_text("\n".join(lines), encoding="utf-8")
            script.chmod(0o755)
        Path(self.program("ruff")).symlink_to(Path(sys.executable).with_name("ruff"))

    def run(self, *command: str) -> str:
        result = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def git(self, *arguments: str) -> str:
        someone = ("-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false")
        return self.run("git", *someone, *arguments)


@pytest.fixture(scope="module", params=[*KINDS, "classes"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Do what `make new-project` does."""
    copy = Copy(tmp_path_factory.mktemp(request.param))
    for name in tracked("--cached", "--others", "--exclude-standard"):  # also those that are new
        (copy.folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy2(ROOT / name, copy.folder / name)
    copy.git("init", "--quiet")
    copy.git("add", ".")
    copy.git("commit", "--quiet", "--message", "before")
    kind = [request.param]
    if request.param == "classes":  # a table of one's own whose target is a class
        (copy.folder / ".git" / "table.csv").write_text(TENANTS, encoding="utf-8")
        kind = ["tabular", "--data", ".git/table.csv", "--target", "left"]
    copy.run(sys.executable, "scripts/new_project.py", NAME, *kind)
    copy.install()
    copy.run(copy.program(NAME), "report", "--data", "full")
    for image in ("service", "trainer"):
        locks = copy.folder / "requirements"
        copy2(locks / f"{DONORS[request.param]}-{image}.lock", locks / f"{NAME}-{image}.lock")
    copy.git("add", ".")
    return copy


@pytest.mark.long
@pytest.mark.slow
def test_outside_of_its_folder_three_files_are_touched(made: Copy) -> None:
    changed = made.git("diff", "--cached", "--name-only").splitlines()

    outside = [name for name in changed if not name.startswith((f"projects/{NAME}/", f"requirements/{NAME}-"))]
    assert outside == ["LICENSES.md", "README.md", "compose.yaml"]
    assert f"projects/{NAME}/docs/report.json" in changed
    code = [
        path for path in (made.folder / "projects" / NAME).rglob("*") if path.suffix in (".py", ".js", ".html", ".css")
    ]
    left = re.compile(r"new[-_]project|8999|SAMPLE_NAME|TARGET_LABEL|HOW_SURE", re.IGNORECASE)
    assert code
    assert [path for path in code if left.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.long
@pytest.mark.slow
def test_commands_and_containers_know_it(made: Copy) -> None:
    printed = made.run("make", "--dry-run", "--always-make", f"train-{NAME}", "reports")

    (ours,) = (row for row in json.loads(made.run(sys.executable, "scripts/project_table.py")) if row["name"] == NAME)
    assert (ours["port"], ours["title"]) == (PORT, "Some rents")
    assert f'bin/{NAME}" train' in printed
    assert f"-e projects/{NAME}" in printed


@pytest.mark.long
@pytest.mark.slow
def test_it_trains_and_serves(made: Copy, tmp_path: Path) -> None:
    bundle, port = tmp_path / "bundle", free_port()
    made.run(made.program(NAME), "train", "--data", "sample", "--tracking-uri", "", "--output", str(bundle))

    settings = {"SOME_RENTS_PORT": str(port), "SOME_RENTS_BUNDLE": str(bundle)}
    with start(
        "the new service",
        [made.program(NAME), "serve"],
        log=tmp_path / "service.log",
        folder=tmp_path,
        environment=made.environment | settings,
    ) as service:
        wait_until_ready(service, port)
        text = made.run(made.program("python"), "-c", ASK.format(package=PACKAGE), f"http://127.0.0.1:{port}")

    assert f'"model":{{"name":"{NAME}"' in text.replace(" ", "")


@pytest.mark.long
@pytest.mark.slow
def test_its_own_tests_and_those_of_all_projects_pass(made: Copy) -> None:
    paths = [f"projects/{NAME}/tests", *(f"tests/{name}" for name in OF_ALL if (made.folder / "tests" / name).exists())]
    chosen = f"({NAME} or {PACKAGE} or test_licenses or test_repository) and not ({OTHERS})"
    command = (made.program("python"), "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "-k", chosen, *paths)

    assert re.search(r"\d{2,} passed", made.run(*command))


@pytest.mark.long
@pytest.mark.slow
def test_its_code_is_clean_and_its_types_hold(made: Copy) -> None:
    folder = f"projects/{NAME}"

    made.run(made.program("ruff"), "check", folder)
    made.run(made.program("ruff"), "format", "--check", folder)
    made.run(made.program("python"), "-m", "mypy", f"{folder}/src")


# Refusals, before anything is written


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., str]:
    """Return a function: (content of a table, target) -> why no project is made of it."""

    def refusal(content: str, target: str = "rent") -> str:
        table = tmp_path / "table.csv"
        table.write_text(content, encoding="utf-8")
        before = sorted((ROOT / "projects").iterdir())
        with pytest.raises(NewProjectError) as error:
            make("rents", "tabular", data=table, target=target)
        assert sorted((ROOT / "projects").iterdir()) == before
        assert "\n" not in str(error.value)
        return str(error.value)

    return refusal


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Rents", "is no name of a project"),
        ("my_rents", "is no name of a project"),
        ("r", "is no name of a project"),
        ("a-name-of-so-many-words", "is no name of a project"),
        ("housing", "projects/housing exists: choose another name; what was begun goes on with `make setup` and "),
        ("json", "a Python module, json, which it would hide"),
        ("portfolio-shared", "a Python module, portfolio_shared"),
        ("yield", "a Python module, yield"),
        ("image", "settings of image-classifier begin with IMAGE_CLASSIFIER_"),
        ("serving", "`make bench-serving` means something else"),
        ("index", "a part of the stack"),
        ("compose", "a part of the stack"),
    ],
)
def test_a_name_that_cannot_be_is_refused(name: str, why: str) -> None:
    with pytest.raises(NewProjectError, match=re.escape(why)):
        check_name(name, ROOT)


def test_a_kind_that_is_not_there_is_refused_with_the_nearest() -> None:
    with pytest.raises(NewProjectError, match=r"KIND=tabel is none of images, .*; did you mean tabular\?"):
        make("rents", "tabel")


@pytest.mark.parametrize(
    ("content", "target", "why"),
    [
        ("", "rent", "the file is empty"),
        ("rent;rooms\n", "rent", "has 0 rows; at least 100 are needed"),
        (TABLE, "", "TARGET is missing: name the column to predict; there are rent, rooms"),
        (TABLE, "rents", "TARGET='rents' is no column; there are rent, rooms; did you mean TARGET='rent'?"),
        (TABLE.replace("rent;", "rent;rent;", 1), "rent", "headings that occur more than once: rent"),
        (TABLE + "1;2;3\n", "rent", "line 202 has 3 cells, expected 2; left over: '3'; correct the line, or drop it"),
        (
            "rooms;let\n" + "3;yes\n4;no\n" * 80 + "5;?\n5;so\n",
            "let",
            "such as 'so' (1): expected a number, or of 2 to 20",
        ),
        ("rooms;let\n" + "".join(f"3;{i}x\n" for i in range(200)), "let", "let has 200 values, such as '0x' (1)"),
        ("rooms;let\n" + "3;yes\n" * 200, "let", "let has 1 values, such as 'yes': expected"),
        ("rooms;let\n" + "3;\n" * 120, "let", "0 of 120 rows have let; at least 100 are needed"),
        ("rent;same\n" + "".join(f"{i};x\n" for i in range(200)), "rent", "is left to learn from: same: it is 'x'"),
    ],
)
def test_a_table_that_nothing_can_be_learned_of_is_refused(
    own: Callable[..., str], content: str, target: str, why: str
) -> None:
    assert why in own(content, target)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NewProjectError, match=r"nowhere\.csv cannot be read: No such file"):
        make("rents", "tabular", data=tmp_path / "nowhere.csv", target="rent")


def test_a_target_without_a_table_is_refused() -> None:
    with pytest.raises(NewProjectError, match="TARGET=rent is a column of DATA, which is missing"):
        make("rents", "tabular", target="rent")


def test_what_was_put_in_is_not_replaced_again() -> None:
    assert replaced("new-project of NEW_PROJECT at 8999", replacements("new-project", 8004)) == (
        "new-project of NEW_PROJECT at 8004"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rents 2024.csv", "rents 2024.csv"),
        ('a"b\\c.csv', "a b c.csv"),
        ("<b>Größe</b>\n| (m²)", "b Größe b (m²)"),
        ("${x}`y`[z](w)*&;'", "x y z (w)"),
        ("?!", "data"),
        ("x" * 80, "x" * 60),
    ],
)
def test_a_name_from_outside_means_nothing_in_code_and_documents(text: str, expected: str) -> None:
    assert one_line(text) == expected


@pytest.mark.parametrize(("name", "file"), [("sample", "src/sample/config.py"), ("rents", "src/rents/config.py")])
def test_words_are_replaced_wherever_the_project_lies_but_in_its_data(tmp_path: Path, name: str, file: str) -> None:
    folder = tmp_path / "data" / "sample" / name
    texts = {file: "new", f"src/{name}/data/sample/SOURCE.md": "new", f"src/{name}/data/sample/rows.csv": "OLD"}
    for inside in texts:
        (folder / inside).parent.mkdir(parents=True, exist_ok=True)
        (folder / inside).write_text("OLD", encoding="utf-8")
    replace_in(folder, {"OLD": "new"})
    assert {inside: (folder / inside).read_text(encoding="utf-8") for inside in texts} == texts


def test_what_is_imported_of_a_new_project_does_not_stay(tmp_path: Path) -> None:
    (tmp_path / "src" / "some_where").mkdir(parents=True)
    (tmp_path / "src" / "some_where" / "config.py").write_text("WORD = 5", encoding="utf-8")
    before = list(sys.path)
    with importable(tmp_path) as module:
        assert module("config").WORD == 5
    assert sys.path == before
    assert not [name for name in sys.modules if name.startswith("some_where")]


@pytest.mark.parametrize(("largest", "whole", "says"), [(10**6, True, "200 rows"), (100, False, "one in ")])
def test_a_part_of_a_table_does_not_call_itself_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, largest: int, *, whole: bool, says: str
) -> None:
    copy_layer(ROOT / "templates/tabular", tmp_path / "rents", replacements("rents", 8004))
    (tmp_path / 'a"\\b.csv').write_text(TABLE, encoding="utf-8")
    prepare = prepare_of(ROOT / "templates/tabular")
    monkeypatch.setitem(prepare.__globals__, "LARGEST", largest)
    words = prepare(tmp_path / "rents", tmp_path / 'a"\\b.csv', "rent")
    assert words["whole=True"] == f"whole={whole}"
    assert words["SAMPLE_NAME"].startswith(says)
    assert words["SAMPLE_NAME"].endswith("200 rows of a b.csv")


def test_headings_from_outside_are_plain_words_in_what_is_written(tmp_path: Path) -> None:
    copy_layer(ROOT / "templates/tabular", tmp_path / "rents", replacements("rents", 8004))
    days = [f"2024-{1 + i // 28:02}-{1 + i % 28:02}" for i in range(200)]
    rows = "".join(f"{500 + 10 * i % 370},{i % 7},{day}\n" for i, day in enumerate(days))
    table = tmp_path / "table.csv"
    table.write_text(f'"rent ""\\\n</title>",rooms,"<script>since"\n{rows}', encoding="utf-8")
    words = prepare_of(ROOT / "templates/tabular")(tmp_path / "rents", table, 'rent "\\\n</title>')
    assert words["TARGET_LABEL"] == "Rent title"
    (rule,) = (text for word, text in words.items() if word.startswith("A row stays"))
    assert "by script since from 2024-" in rule


# Makes a project only where FAILS does not say that this program fails.
STUB = '#!/bin/sh\necho "$(basename "$0") $*" >>"$(dirname "$0")/calls"\ntest "$(basename "$0")" != "$FAILS"\n'


@pytest.mark.parametrize(("fails", "calls"), [("python", 1), ("uv", 2), ("rents", 3), ("nothing", 3)])
def test_what_fails_after_it_was_made_says_how_to_go_on(tmp_path: Path, fails: str, calls: int) -> None:
    for program in ("python", "uv", "rents"):
        (tmp_path / program).write_text(STUB, encoding="utf-8")
        (tmp_path / program).chmod(0o755)
    command = ["make", "--old-file=setup", "new-project", "NAME=rents", "KIND=tabular", f"BIN={tmp_path}"]
    environment = clean_environment() | {"FAILS": fails}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (fails == "nothing")
    assert ("goes on: make setup && " in done.stderr) == (fails in ("uv", "rents"))
    assert len((tmp_path / "calls").read_text(encoding="utf-8").splitlines()) == calls
