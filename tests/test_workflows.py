"""What the workflows promise, as far as it can be seen without GitHub: filters, matrices, permissions, shell steps."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from checkout import ROOT, TARGETS, recipes, tracked

from project_table import projects

PROJECTS = [project.name for project in projects()]
WORKFLOWS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(ROOT.glob(".github/workflows/*.yml"))}
CI = yaml.safe_load(WORKFLOWS["ci"])
IMAGES = yaml.safe_load(WORKFLOWS["images"])
JOBS = [(name, job) for text in WORKFLOWS.values() for name, job in yaml.safe_load(text)["jobs"].items()]
Services = dict[str, dict[str, Any]]
Shell = Callable[..., tuple[int, list[str]]]


def triggers(workflow: dict[Any, Any]) -> dict[str, Any]:
    """Return what starts a workflow: YAML 1.1 reads the word `on` as true."""
    return dict(workflow[True])


def step(workflow: dict[Any, Any], job: str, name: str) -> dict[str, Any]:
    return next(each for each in workflow["jobs"][job]["steps"] if each.get("name") == name)


@pytest.fixture(scope="session")
def built(services: Services) -> list[str]:
    """Names of the services whose image is built here and published; those of a profile are built where it is used."""
    return sorted(name for name, service in services.items() if "build" in service and "profiles" not in service)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Return a function: (step, {command: body}, **variables) -> exit status, calls of those commands."""

    def run(script: dict[str, Any], commands: dict[str, str], **variables: str) -> tuple[int, list[str]]:
        calls = tmp_path / "calls"
        calls.touch()
        for name, body in commands.items():
            (tmp_path / name).write_text(f'#!/bin/bash\necho "{name} $*" >>"{calls}"\n{body}\n', encoding="utf-8")
            (tmp_path / name).chmod(0o755)
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        result = subprocess.run(  # as GitHub runs a step
            ["bash", "-e", "-c", script["run"]], cwd=tmp_path, env={**variables, "PATH": path}, check=False
        )
        return result.returncode, calls.read_text(encoding="utf-8").splitlines()

    return run


# When they run


def test_only_a_pull_request_leaves_projects_out_or_is_cancelled() -> None:
    changed = next(each for each in CI["jobs"]["changes"]["steps"] if each.get("id") == "changed")
    assert changed["env"]["BASE"] == "${{ github.event.pull_request.base.sha }}"  # empty on a push
    for workflow in (CI, IMAGES):
        assert workflow["concurrency"]["cancel-in-progress"] == "${{ github.event_name == 'pull_request' }}"
        assert "paths" not in triggers(workflow)["push"]


def matched(path: str, patterns: list[str]) -> bool:
    """Return whether one of GitHub's path patterns matches; `*` stops at a slash and `**` does not."""
    assert not [pattern for pattern in patterns if re.search(r"[!?+\[\]]", pattern)]
    parts = {"**": ".*", "*": "[^/]*"}
    expressions = ["".join(parts.get(p, re.escape(p)) for p in re.split(r"(\*\*|\*)", text)) for text in patterns]
    return any(re.fullmatch(expression, path) for expression in expressions)


every_file = cache(tracked)


def files_of(name: str) -> list[str]:
    """Return the tracked files that a path or a pattern of Docker names."""
    name = name.removeprefix("./").rstrip("/")
    return [file for file in every_file() if matched(file, [name, f"{name}/**"])]


def copied() -> Iterator[tuple[str, str]]:
    """Yield each Dockerfile of the images and a path that it copies from the build context."""
    for path in sorted(ROOT.glob("docker/*.Dockerfile")):
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
        for name, value in re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE):
            text = text.replace(f"${{{name}}}", value)  # as it is built where nobody says otherwise
        for line in re.findall(r"^(?:COPY|ADD)\s+(.+)$", text, re.MULTILINE):
            words = line.split()
            if any(word.startswith("--from=") for word in words):
                continue
            for source in [word for word in words if not word.startswith("--")][:-1]:
                if "${PROJECT}" in source:
                    yield from ((path.name, source.replace("${PROJECT}", project)) for project in PROJECTS)
                else:
                    yield path.name, source


def make_targets(workflow: dict[Any, Any]) -> set[str]:
    """Return the targets that a workflow's steps call."""
    scripts = [each.get("run", "") for job in workflow["jobs"].values() for each in job["steps"]]
    calls = [shlex.split(line) for script in scripts for line in script.splitlines() if line.startswith("make ")]
    return {word for call in calls for word in call[1:] if re.fullmatch(r"[a-z][a-z0-9-]*", word)}


@pytest.mark.long
def test_pull_requests_that_change_what_the_images_are_made_of_build_them(
    services: Services, compose_files: list[Path]
) -> None:
    patterns = triggers(IMAGES)["pull_request"]["paths"]
    sources = list(copied())
    assert not matched("README.md", patterns)
    assert {name for name, _ in sources} == {path.name for path in ROOT.glob("docker/*.Dockerfile")}
    for name, source in sources:
        assert files_of(source), f"docker/{name} copies {source}, and no such file is tracked"
    mounts = [volume for service in services.values() for volume in service.get("volumes", [])]
    needed = [source for _, source in sources]
    needed += [volume.partition(":")[0] for volume in mounts if volume.startswith("./")]
    needed += [service["build"]["dockerfile"] for service in services.values() if "build" in service]
    needed += [str(path.relative_to(ROOT)) for path in compose_files]
    needed += [".dockerignore", ".github/workflows/images.yml"]

    assert [file for name in needed for file in files_of(name) if not matched(file, patterns)] == []


@pytest.mark.long
def test_pull_requests_that_change_what_the_images_workflow_runs_run_it() -> None:
    patterns = triggers(IMAGES)["pull_request"]["paths"]
    targets = make_targets(IMAGES)
    assert {"docker-build", "image-budgets", "compose-test"} <= targets
    words = set(re.findall(r"[\w.][\w./-]*", recipes(*targets)))
    scripts = {word for word in words if word.startswith("scripts/")}
    assert {"scripts/image_budgets.py", "scripts/compose_test.py"} <= scripts
    for script in scripts:  # and the files that a script names
        words |= set(re.findall(r'"([\w.][\w./-]*)"', (ROOT / script).read_text(encoding="utf-8")))
    # Installed by make setup, which reads them.
    words |= {"Makefile", "pyproject.toml", *(f"projects/{name}/pyproject.toml" for name in PROJECTS)}

    assert sorted({file for word in words for file in files_of(word) if not matched(file, patterns)}) == []


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_calls_targets_that_exist(name: str) -> None:
    targets = make_targets(yaml.safe_load(WORKFLOWS[name]))

    assert targets
    assert targets - set(TARGETS) == set()


def test_a_retraining_runs_on_the_runner_that_somebody_named_and_is_never_cut_short(shell: Shell) -> None:
    retrain = yaml.safe_load(WORKFLOWS["retrain"])
    (job,) = retrain["jobs"].values()

    assert set(triggers(retrain)) == {"workflow_dispatch"}  # and no pull request runs on that machine
    assert (job["if"], job["runs-on"]) == ("vars.RETRAIN_RUNNER != ''", "${{ vars.RETRAIN_RUNNER }}")
    assert retrain["concurrency"]["cancel-in-progress"] is False
    given = step(retrain, "retrain", "Retrain in the stack that is up")
    assert given["env"] == {"WHY": "${{ inputs.why }}"}
    assert shell(given, {"make": "exit 2"}, WHY="drift") == (2, ["make compose-retrain WHY=drift"])


# What they may do


def test_only_what_is_pushed_may_write() -> None:
    for workflow in (CI, IMAGES):
        assert workflow["permissions"] == {"contents": "read"}
    writers = {name for name, job in JOBS if "write" in job.get("permissions", {}).values()}
    assert writers == {"publish", "join", "deploy"}
    for name, job in JOBS:
        assert job["timeout-minutes"] <= 90
        if name in writers:
            assert job["if"].partition(" && ")[0] == "github.event_name == 'push'"
            site = {"pages": "write", "id-token": "write"}
            assert job["permissions"] == (site if name == "deploy" else {"contents": "read", "packages": "write"})
        else:
            assert "permissions" not in job
            assert "secrets." not in str(job)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_actions_are_pinned_to_a_commit_and_say_which_version_it_is(name: str) -> None:
    uses = re.findall(r"uses: (.*)", WORKFLOWS[name])

    assert uses
    assert [line for line in uses if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []
    commits: dict[str, set[str]] = {}
    for line in re.findall(r"uses: (.*)", "\n".join(WORKFLOWS.values())):
        commits.setdefault(line.partition("@")[0], set()).add(line.partition("@")[2])
    assert [action for action, pins in commits.items() if len(pins) > 1] == []


# Every image, on both machines


def test_every_image_is_published_and_has_a_cache_of_its_own(
    shell: Shell, tmp_path: Path, built: list[str], services: Services
) -> None:
    assert {name for project in PROJECTS for name in (project, f"{project}-trainer")} <= set(built)
    assert {name for name, service in services.items() if "profiles" not in service} == set(built)
    assert IMAGES["jobs"]["services"]["outputs"] == {"services": "${{ steps.list.outputs.services }}"}
    names = "${{ fromJSON(needs.services.outputs.services) }}"
    assert IMAGES["jobs"]["publish"]["strategy"]["matrix"]["service"] == names
    if shutil.which("jq") is None:
        pytest.skip("no jq on PATH")
    docker = f'[ "$*" = "compose config --services" ] && printf "%s\\n" {" ".join(built)}'

    for job, name in (("services", "Every service that is built"), ("try", "The cache of each image")):
        target = tmp_path / job
        assert shell(step(IMAGES, job, name), {"docker": docker}, GITHUB_OUTPUT=str(target), RUNNER_ARCH="X64")[0] == 0
        assert shell(step(IMAGES, job, name), {"docker": "exit 1"}, GITHUB_OUTPUT=os.devnull)[0] == 1

    listed = (tmp_path / "services").read_text(encoding="utf-8").removeprefix("services=")
    assert json.loads(listed) == built
    caches = "".join(f"{name}.cache-from=type=gha,scope={name}-X64\n" for name in built)
    assert (tmp_path / "try").read_text(encoding="utf-8") == f"set<<END\n{caches}END\n"
    read = step(IMAGES, "try", "Take what has not changed from the cache")["with"]["set"]
    written = step(IMAGES, "publish", "Build for the scan")["with"]["set"]
    assert read == "${{ steps.caches.outputs.set }}"
    assert "format('*.cache-to=type=gha,mode=max,scope={0}-{1}', matrix.service, runner.arch)" in written


def test_what_is_published_for_a_machine_was_tried_on_one() -> None:
    tried = IMAGES["jobs"]["try"]["strategy"]["matrix"]["runner"]
    machines = IMAGES["jobs"]["publish"]["strategy"]["matrix"]["machine"]

    assert sorted(tried) == sorted(machine["runner"] for machine in machines)
    assert [machine["platform"] for machine in machines] == ["amd64", "arm64"]
    assert all(("arm" in machine["runner"]) == (machine["platform"] == "arm64") for machine in machines)
    assert IMAGES["jobs"]["publish"]["needs"] == ["services", "try"]
    assert IMAGES["jobs"]["join"]["needs"] == "publish"


# The shell steps


LIST = 'if [ "$*" = "compose config --images" ]; then echo "$IMAGES/a:$TAG"; echo "$IMAGES/b:$TAG"; fi'
needs_bash_4 = pytest.mark.skipif(sys.platform == "darwin", reason="${NAME,,} needs bash 4, which macOS lacks")


@pytest.mark.parametrize(
    ("docker", "bad", "status"), [(LIST, "none", 0), (LIST, "p/a:t", 1), (LIST, "p/b:t", 1), ("exit 1", "none", 1)]
)
def test_the_scan_looks_at_every_image_and_fails_for_any(shell: Shell, docker: str, bad: str, status: int) -> None:
    scan = step(IMAGES, "try", "Vulnerabilities that have a fix")
    expected = ["docker compose config --images"]
    if docker == LIST:
        expected += ["trivy image p/a:t", "trivy image p/b:t"]

    assert shell(scan, {"docker": docker, "trivy": f'[ "$2" != {bad} ]'}, IMAGES="p", TAG="t") == (status, expected)
    assert IMAGES["env"]["TRIVY_EXIT_CODE"] == "1"  # or else it finds and says nothing


@needs_bash_4
def test_images_have_names_that_a_registry_takes(shell: Shell, tmp_path: Path) -> None:
    lower = step(IMAGES, "publish", "A registry takes small letters only")
    target = tmp_path / "environment"

    assert shell(lower, {}, GITHUB_REPOSITORY="Some-One/ML_Repo", GITHUB_ENV=str(target))[0] == 0
    assert target.read_text(encoding="utf-8") == "IMAGES=ghcr.io/some-one/ml_repo\n"


@needs_bash_4
def test_one_name_stands_for_both_machines(shell: Shell) -> None:
    join = step(IMAGES, "join", "The commit, and latest or the release")
    status, calls = shell(join, {"docker": LIST}, GITHUB_REPOSITORY="Some/Repo", TAG="c0ffee", NAME="v1.2.0")

    assert status == 0
    create = "docker buildx imagetools create"
    assert calls[1:] == [
        f"{create} --tag {image}:c0ffee --tag {image}:v1.2.0 {image}:c0ffee-amd64 {image}:c0ffee-arm64"
        for image in ("ghcr.io/some/repo/a", "ghcr.io/some/repo/b")
    ]
    failing = {"docker": LIST + '\n[[ "$*" != *imagetools*repo/a:* ]]'}
    assert shell(join, failing, GITHUB_REPOSITORY="Some/Repo", TAG="c0ffee", NAME="latest")[0] == 1
