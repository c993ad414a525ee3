"""What the manifests refer to is there: settings that the services know, pods, claims, and ways through the network."""

import os
import re
import shutil
import subprocess
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import start_page
import yaml
from checkout import ROOT
from manifest_pods import OVERLAYS, Manifests, ways

from project_table import Project, projects

pytestmark = pytest.mark.long  # kubectl comes from an environment of its own
every_project = pytest.mark.parametrize("project", projects(), ids=lambda project: project.name)
every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


@every_overlay
@every_project
def test_a_service_takes_all_its_settings(
    overlay: str, project: Project, manifests: Manifests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that is no setting of it is refused."""
    (pod,) = [each for each in manifests.pods(overlay, "service") if each.name == project.name]
    given = manifests.environment(overlay, pod)
    for name in [name for name in os.environ if name.startswith(project.prefix)]:
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings: Any = import_module(f"{project.package}.config").ServeSettings(host="0.0.0.0")  # noqa: S104 - the image's
    local = overlay == "local"
    assert settings.tracking_uri == given["MLFLOW_TRACKING_URI"] == "http://mlflow:5500"
    assert settings.start_page == "http://index:8000"
    assert settings.open_without_keys is local
    assert settings.api_key_file == (None if local else Path("/srv/keys/keys"))
    # Through a port-forward the browser's own machine is meant, whose pages may not ask; elsewhere keys are asked for.
    assert settings.allowed_hosts == (project.name if local else "")
    assert settings.prediction_log.startswith("sqlite:////srv/predictions/" if local else "postgresql://")
    assert not re.search(r":[^/@]+@", settings.prediction_log)


@every_overlay
def test_the_start_page_leads_to_every_project(overlay: str, manifests: Manifests) -> None:
    (pod,) = manifests.pods(overlay, "index")
    demos = start_page.demos_of(manifests.environment(overlay, pod), [asdict(project) for project in projects()])
    hosts = {rule["host"] for each in manifests.of(overlay, "Ingress") for rule in each["spec"]["rules"]}
    assert [demo.project for demo in demos] == [project.name for project in projects()]
    if overlay == "local":
        assert [demo.address for demo in demos] == [f"http://127.0.0.1:{project.port}" for project in projects()]
        assert hosts == set()
    else:
        assert {demo.address.removeprefix("https://") for demo in demos} == hosts - {"index.portfolio.example"}
    inside = {demo.internal.removeprefix("http://") for demo in demos}
    assert inside <= {f"{each['metadata']['name']}:8000" for each in manifests.of(overlay, "Service")}


@every_overlay
def test_secrets_are_named_and_not_there(overlay: str, manifests: Manifests) -> None:
    assert manifests.of(overlay, "Secret") == []
    document = (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")
    named = {name for pod in manifests.pods(overlay) for name in pod.secrets()}
    assert named == {"portfolio", "clients", "subjects", "index", "mlflow"}
    assert all(f"secret generic {name} " in document for name in named)


# What leads somewhere


@every_overlay
def test_what_is_referred_to_is_there(overlay: str, manifests: Manifests) -> None:
    objects = [(each["kind"], each["metadata"]["name"]) for each in manifests.all(overlay)]
    assert len(objects) == len(set(objects))
    assert all(len(name) <= 63 for _, name in objects)  # a Job's name is a label of its pods
    there = set(objects)
    for pod in manifests.pods(overlay):
        assert {("ConfigMap", name) for name in pod.config_maps()} <= there
        assert {("PersistentVolumeClaim", claim) for claim, _ in pod.claims()} <= there
    for scaler in manifests.of(overlay, "HorizontalPodAutoscaler"):
        assert ("Deployment", scaler["spec"]["scaleTargetRef"]["name"]) in there
    for each in manifests.of(overlay, "Ingress"):
        (rule,) = each["spec"]["rules"]
        assert ("Service", rule["http"]["paths"][0]["backend"]["service"]["name"]) in there
    assert {each["metadata"]["namespace"] for each in manifests.all(overlay) if each["kind"] != "Namespace"} == {
        "portfolio"
    }


@every_overlay
def test_each_service_budget_and_deployment_selects_the_pods_of_its_name_alone(
    overlay: str, manifests: Manifests
) -> None:
    for kind in ("Service", "Deployment", "PodDisruptionBudget"):
        for each in manifests.of(overlay, kind):
            selector = each["spec"]["selector"]
            labels = selector if kind == "Service" else selector["matchLabels"]
            chosen = [pod for pod in manifests.pods(overlay) if labels.items() <= pod.labels.items()]
            assert [pod.name for pod in chosen] == [each["metadata"]["name"]]
            assert [pod.object["kind"] for pod in chosen] == ["Deployment"]


@every_overlay
def test_the_network_lets_through_what_is_needed_and_nothing_else(overlay: str, manifests: Manifests) -> None:
    inside = ways(manifests, overlay)
    clients = ("service", "trainer", "retrain", "monitor")
    assert inside == {
        ("index", "service", 8000),
        ("service", "index", 8000),
        *((client, "mlflow", 5500) for client in clients),
    }
    out = {pod.component: manifests.blocks(overlay, pod) for pod in manifests.pods(overlay)}
    downloads = {("0.0.0.0/0", port) for port in (80, 443)}
    database = set() if overlay == "local" else {("10.20.0.0/16", 5432)}
    assert out == {
        "index": set(),
        **dict.fromkeys(("mlflow", "service", "monitor"), database),
        **dict.fromkeys(("trainer", "retrain"), downloads | database),
    }
    entered = {pod.component for pod in manifests.pods(overlay) if manifests.namespaces(overlay, pod)}
    assert entered == (set() if overlay == "local" else {"index", "service"})


@pytest.mark.parametrize(
    ("blocked", "allowed", "passes"),
    [
        ("timeout", "connected", True),
        ("connected", "connected", False),
        ("", "connected", False),
        ("timeout", "", False),
    ],
)
def test_the_workflow_takes_only_a_timeout_for_blocked(
    blocked: str, allowed: str, passes: bool, tmp_path: Path
) -> None:
    """A kubectl that fails, or a network without any way out, must not pass for a policy that holds."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/kubernetes.yml").read_text(encoding="utf-8"))
    (step,) = [
        each for each in workflow["jobs"]["kind"]["steps"] if each.get("name", "").startswith("Nothing is reached")
    ]
    program = tmp_path / "kubectl"
    program.write_text(
        '#!/bin/sh\ncase "$*" in run*|wait*) ;; exec*1.1.1.1*) echo "$BLOCKED" ;; *) echo "$ALLOWED" ;; esac\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    variables = {"PATH": f"{tmp_path}:/usr/bin:/bin", "BLOCKED": blocked, "ALLOWED": allowed} | step["env"]
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run([bash, "-e", "-c", step["run"]], env=variables, check=False)
    assert (done.returncode == 0) is passes
