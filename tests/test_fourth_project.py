"""A fourth project, made by CONTRIBUTING.md's steps in a copy of the repository, touches two files outside its folder.

It runs from the copy's sources (PYTHONPATH) in this environment. Its locks, which `make lock` compiles from the package
index, are those of the project that it was copied from, whose dependencies it has.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from shutil import copy2

import pytest
from checkout import ROOT, tracked

from processes import free_port, start, wait_until_ready

pytestmark = [pytest.mark.slow, pytest.mark.long]

TEMPLATE, NAME, PORT = "housing", "rents", 8004
OWN_TESTS = ("test_config.py", "data", "models/test_predictor.py", "serving/test_batch.py")
OUTSIDE = ("test_same_shape.py", "test_project_table.py", "test_compose.py", "test_workflows.py", "test_repository.py")
LOCKS = [f"requirements/{NAME}-service.lock", f"requirements/{NAME}-trainer.lock"]
# Its README still describes the project that it was copied from; a project that imports torch takes a quarter minute.
LEFT_OUT = f"not (document and {NAME}) and not (same_shape and classifier)"
COMMAND = "import sys; from {package}.cli import main; sys.argv[0] = '{package}'; main()"
ASK = """
import sys, httpx
from {package}.serving.schemas import EXAMPLE_REQUEST as example
headers = {{"content-type": example.content_type}}
response = httpx.post(sys.argv[1] + example.path, content=example.body, headers=headers, trust_env=False, timeout=30)
print(response.raise_for_status().text)
"""


@dataclass(frozen=True)
class Copy:
    """The copy of the repository, and what is run in it."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "RENTS_", "PYTEST"))}
        sources = [self.folder / "shared/src", *sorted(self.folder.glob("projects/*/src"))]
        return clean | {"PYTHONPATH": os.pathsep.join(map(str, sources)), "RENTS_TRAIN_FOLDS": "2"}

    def run(self, *command: str) -> str:
        result = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def project(self, *arguments: str) -> tuple[str, ...]:
        """Return the command line of the new project's own command, which is not installed here."""
        return (sys.executable, "-c", COMMAND.format(package=NAME), *arguments)

    def replace(self, file: str, old: str, new: str) -> None:
        text = (self.folder / file).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{file}: {old}"
        (self.folder / file).write_text(text.replace(old, new), encoding="utf-8")

    def git(self, *arguments: str) -> str:
        someone = ("-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false")
        return self.run("git", *someone, *arguments)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Do what CONTRIBUTING.md says, up to the first change of one's own."""
    copy = Copy(tmp_path_factory.mktemp("fourth"))
    for name in tracked("--cached", "--others", "--exclude-standard"):  # also those that are new
        (copy.folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy2(ROOT / name, copy.folder / name)
    copy.git("init", "--quiet")
    copy.git("add", ".")
    copy.git("commit", "--quiet", "--message", "before")
    steps = re.findall(r"```bash\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(steps) == 1
    copy.run("bash", "-eu", "-o", "pipefail", "-c", steps[0])
    last = "      - projects/image-classifier/compose.yaml\n"
    copy.replace("compose.yaml", last, f"{last}      - projects/{NAME}/compose.yaml\n")
    rows = re.findall(r"^\| \[.*\]\(projects/.*\n", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    row = f"| [Rents](projects/{NAME}/README.md) | a rent | http://127.0.0.1:{PORT} |\n"
    copy.replace("README.md", rows[-1], rows[-1] + row)
    for lock in LOCKS:
        copy2(copy.folder / lock.replace(NAME, TEMPLATE), copy.folder / lock)
    copy.git("add", ".")
    return copy


def test_two_files_outside_its_folder_are_touched(copy: Copy) -> None:
    changed = copy.git("diff", "--cached", "--name-only").splitlines()

    outside = [name for name in changed if not name.startswith(f"projects/{NAME}/")]
    assert [name for name in outside if name not in LOCKS] == ["README.md", "compose.yaml"]
    assert f"projects/{NAME}/src/{NAME}/train.py" in changed


def test_commands_locks_and_containers_know_it(copy: Copy) -> None:
    printed = copy.run("make", "--dry-run", "--always-make", f"train-{NAME}", f"bench-{NAME}", "reports")
    locks = copy.run(
        sys.executable, "-c", f"import sys; sys.path.insert(0, 'scripts'); import lock; print(*lock.locks(['{NAME}']))"
    )

    assert json.loads(copy.run(sys.executable, "scripts/project_table.py"))[-1]["name"] == NAME
    assert f'bin/{NAME}" train' in printed
    assert f"benchmarks/{NAME}_$part.py" in printed
    assert f"-e projects/{NAME}" in printed
    assert {f"{NAME}-service", f"{NAME}-trainer"} < set(locks.split())


def test_it_trains_and_serves(copy: Copy, tmp_path: Path) -> None:
    bundle, port = tmp_path / "bundle", free_port()
    copy.run(*copy.project("train", "--data", "sample", "--tracking-uri", "", "--output", str(bundle)))

    settings = {f"{NAME.upper()}_PORT": str(port), f"{NAME.upper()}_BUNDLE": str(bundle)}
    with start(
        "the new service",
        copy.project("serve"),
        log=tmp_path / "service.log",
        folder=tmp_path,
        environment=copy.environment | settings,
    ) as service:
        wait_until_ready(service, port)
        text = copy.run(sys.executable, "-c", ASK.format(package=NAME), f"http://127.0.0.1:{port}")

    assert f'"model":{{"name":"{NAME}"' in text.replace(" ", "")


def test_the_tests_of_the_repository_and_its_own_pass_with_it(copy: Copy) -> None:
    own = [f"projects/{NAME}/tests/{name}" for name in OWN_TESTS]
    paths = [path for path in (*(f"tests/{name}" for name in OUTSIDE), *own) if (copy.folder / path).exists()]
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", LEFT_OUT, *paths)

    assert re.search(r"\d{2,} passed", copy.run(*command))
