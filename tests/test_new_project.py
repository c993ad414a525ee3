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
from dataclasses import dataclass
from pathlib import Path
from shutil import copy2

import pytest
from checkout import ROOT, tracked

from processes import free_port, start, wait_until_ready

KINDS = sorted(path.name for path in (ROOT / "templates").iterdir() if path.is_dir() and path.name != "common")
NAME, PACKAGE, PORT = "some-rents", "some_rents", 8004
DONORS = {"tabular": "housing", "classes": "housing", "ranking": "recommender", "images": "image-classifier"}
# `mlflow models serve` needs programs that are not in the copy's environment; what it calls is tested.
OTHERS = "housing or recommender or classifier or mlflow_serves"
OF_ALL = (
    *("test_same_shape.py", "test_project_config.py", "test_project_cli.py", "test_project_report.py"),
    *("test_project_bodies.py", "test_project_table.py", "test_compose.py", "test_licenses.py", "test_notebooks.py"),
    *("test_readmes.py", "test_stated_numbers.py", "test_documents.py"),
    *("test_project_http.py", "test_project_imports.py", "test_project_mlflow.py", "test_pages.py"),
)
OF_CLASSES = ("test_same_shape.py", "test_project_cli.py", "test_project_report.py", "test_project_http.py")
"""What the files of `tabular/classes` decide; the rest is that of a table whose target is a number."""
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


@dataclass(frozen=True)
class Copy:
    """A copy of the repository, and what is run in it."""

    folder: Path
    kind: str

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
    copy = Copy(tmp_path_factory.mktemp(request.param), request.param)
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
def test_outside_of_its_folder_four_files_are_touched(made: Copy) -> None:
    changed = made.git("diff", "--cached", "--name-only").splitlines()

    outside = [name for name in changed if not name.startswith((f"projects/{NAME}/", f"requirements/{NAME}-"))]
    assert outside == ["LICENSES.md", "README.md", "compose.yaml", "deploy/kubernetes/base/kustomization.yaml"]
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
    names = OF_CLASSES if made.kind == "classes" else OF_ALL
    paths = [f"projects/{NAME}/tests", *(f"tests/{name}" for name in names)]
    chosen = f"({NAME} or {PACKAGE} or test_licenses) and not ({OTHERS})"
    command = (made.program("python"), "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "-k", chosen, *paths)

    assert re.search(r"\d{2,} passed", made.run(*command))


@pytest.mark.long
@pytest.mark.slow
def test_its_code_is_clean_and_its_types_hold(made: Copy) -> None:
    folder = f"projects/{NAME}"

    made.run(made.program("ruff"), "check", folder)
    made.run(made.program("ruff"), "format", "--check", folder)
    cache = made.folder.parent / "types"  # of the libraries: read once for all kinds
    made.run(made.program("python"), "-m", "mypy", "--cache-dir", str(cache), f"{folder}/src")
