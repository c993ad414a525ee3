"""The cloud, as far as it can be seen without one: deploy/terraform, and the costs in docs/infrastructure.md."""

import importlib
import re
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from checkout import ROOT
from environments import python_of

from portfolio_shared.evaluation.documents import stale
from project_table import projects


@pytest.mark.long
def test_the_terraform_files_are_checked_and_a_broken_one_is_found(tmp_path: Path) -> None:
    def check(folder: Path) -> tuple[int, str]:
        command = [str(python_of("platform")), str(ROOT / "scripts/terraform_check.py"), "--folder", str(folder)]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        return result.returncode, result.stdout + result.stderr

    status, said = check(ROOT / "deploy" / "terraform")
    assert status == 0, said
    for old, new, fault in (
        ("max_instance_count = var", "max_instance_count =   var", "fmt"),
        ("template {", "template", "main.tf"),
        ('"recommender"])', '"films"])', "films"),
        ("var.memory", "var.storage", "storage"),
        ("= local.grants", "= local.rights", "local.rights is read and not declared"),
    ):
        copy = tmp_path / fault
        shutil.copytree(ROOT / "deploy" / "terraform", copy, ignore=shutil.ignore_patterns(".terraform*"))
        text = (copy / "main.tf").read_text(encoding="utf-8")
        assert old in text
        (copy / "main.tf").write_text(text.replace(old, new), encoding="utf-8")
        status, said = check(copy)
        assert status == 1, fault
        assert fault in said


def memory(variables: str) -> dict[str, int]:
    """Return MiB of an instance of each service."""
    (block,) = re.findall(r'^variable "memory" \{.*?default = \{\n(.*?)\}', variables, re.MULTILINE | re.DOTALL)
    units = {"Mi": 1, "Gi": 1024}
    return {name: int(n) * units[unit] for name, n, unit in re.findall(r'([\w-]+) += "(\d+)(\wi)"', block)}


@pytest.mark.long
def test_a_service_has_the_memory_that_it_has_in_compose(services: Mapping[str, Mapping[str, Any]]) -> None:
    units = {"m": 1, "g": 1024}
    limits = {project.name: str(services[project.name]["mem_limit"]) for project in projects()}
    expected = {name: int(limit[:-1]) * units[limit[-1]] for name, limit in limits.items()}
    assert memory((ROOT / "deploy/terraform/variables.tf").read_text(encoding="utf-8")) == expected


def test_the_password_of_a_log_is_given_by_a_secret_alone() -> None:
    text = (ROOT / "deploy/terraform/main.tf").read_text(encoding="utf-8")
    uses = [line.strip() for line in text.splitlines() if "var.prediction_log" in line]
    assert uses == [
        'logs = nonsensitive(var.prediction_log != "off") ? 1 : 0',
        "secret_data = var.prediction_log",
    ]


@pytest.mark.parametrize("path", ["terraform.tfstate", "terraform.tfstate.backup", ".terraform/modules/modules.json"])
def test_what_terraform_leaves_is_not_committed(path: str) -> None:
    git = shutil.which("git")
    assert git is not None
    command = [git, "-C", str(ROOT), "check-ignore", "--quiet", f"deploy/terraform/{path}"]
    assert subprocess.run(command, check=False).returncode == 0


# The costs


@pytest.fixture
def cost(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("cloud_cost")


def test_the_document_states_what_follows_from_the_prices(cost: ModuleType) -> None:
    assert stale([cost.DOCUMENT], *cost.contents(), of="cloud.") == [], "run `make system-design`"


def test_what_is_free_costs_nothing_and_the_rest_in_proportion(cost: ModuleType) -> None:
    given = {"seconds": 0.1, "gib": 0.5, "cpu": 2e-5, "memory": 2e-6, "million": 0.4}
    free = {"free_cpu": 1000.0, "free_memory": 1000.0, "free_requests": 10_000.0}
    assert cost.compute(10_000, given | free) == 0
    nothing_free = given | dict.fromkeys(free, 0.0)
    assert cost.compute(2e6, nothing_free) == pytest.approx(2 * cost.compute(1e6, nothing_free))
    assert cost.compute(1e6, nothing_free) == pytest.approx(2 + 0.1 + 0.4)


def test_the_costs_assume_what_terraform_sets(cost: ModuleType) -> None:
    inputs = tomllib.loads((ROOT / "benchmarks/cloud_cost.toml").read_text(encoding="utf-8"))["input"]
    variables = (ROOT / "deploy/terraform/variables.tf").read_text(encoding="utf-8")
    default = dict(re.findall(r'variable "(\w+)" \{.*?default += (\S+)\n', variables, re.DOTALL))
    gib = [mib / 1024 for mib in memory(variables).values()]
    assert inputs["gib"]["value"] == pytest.approx(sum(gib) / len(gib), abs=5e-4)
    assert int(default["max_instances"]) * len(projects()) == inputs["instances"]["value"]
