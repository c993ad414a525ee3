"""What deploy/kubernetes says, once it is rendered, of images, limits, probes and users is what compose.yaml says."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from checkout import ROOT
from manifest_pods import OVERLAYS, Manifests, Pod

from project_table import Project, projects

pytestmark = pytest.mark.long  # kubectl comes from an environment of its own
Services = dict[str, dict[str, Any]]
every_project = pytest.mark.parametrize("project", projects(), ids=lambda project: project.name)
every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)
COMPONENTS = {"": "service", "-trainer": "trainer", "-retrain": "retrain", "-monitor": "monitor"}
"""How names of a project's containers end in compose, and what Kubernetes calls them."""


def container_of(services: Services, pod: Pod) -> dict[str, Any]:
    return services[pod.labels["app.kubernetes.io/name"] + {v: k for k, v in COMPONENTS.items()}.get(pod.component, "")]


def binary(quantity: str) -> str:
    """Return a quantity as compose writes it: its m is Mi."""
    return quantity.removesuffix("i").lower()


# As compose has it


@every_overlay
def test_each_container_of_compose_that_works_has_a_pod(overlay: str, manifests: Manifests, services: Services) -> None:
    pods = manifests.pods(overlay)
    expected = {"index", "mlflow", *(f"{p.name}{suffix}" for p in projects() for suffix in COMPONENTS)}
    assert len(pods) == len(expected)
    for pod in pods:
        service = container_of(services, pod)
        repository = re.sub(r"\$\{IMAGES:-[\w-]+\}/([\w-]+):.*", r"\1", service["image"])
        assert pod.container["image"].rpartition("/")[2].partition(":")[0] == repository
        assert pod.container["resources"]["limits"]["cpu"] == str(service["cpus"])
        assert binary(pod.container["resources"]["limits"]["memory"]) == service["mem_limit"]
        assert pod.container["resources"]["requests"]["memory"] == pod.container["resources"]["limits"]["memory"]


@every_overlay
def test_images_are_those_of_the_overlay_alone(overlay: str, manifests: Manifests) -> None:
    registry, tag = {"local": ("portfolio", "local"), "cloud": ("ghcr.io/owner/portfolio", "v1.0.0")}[overlay]
    images = {pod.container["image"] for pod in manifests.pods(overlay)}
    assert {image.rpartition("/")[0] for image in images} == {registry}
    assert {image.partition(":")[2] for image in images} == {tag}
    assert all(pod.object["metadata"]["name"].endswith(f"-{tag}") for pod in manifests.pods(overlay, "trainer"))


@every_overlay
def test_every_pod_is_confined_as_a_container_is(overlay: str, manifests: Manifests, services: Services) -> None:
    built = {each["image"]: ROOT / each["build"]["dockerfile"] for each in services.values() if "build" in each}
    for pod in manifests.pods(overlay):
        dockerfile = built[container_of(services, pod)["image"]].read_text(encoding="utf-8")
        user = dockerfile.rpartition("\nUSER ")[2].split()[0]
        confined = pod.spec["securityContext"]
        assert f"{confined['runAsUser']}:{confined['runAsGroup']}" == user, pod.name
        assert (confined["runAsNonRoot"], confined["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
        assert pod.container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert (pod.spec["automountServiceAccountToken"], pod.spec["enableServiceLinks"]) == (False, False)
        tmp = next(volume for volume in pod.spec["volumes"] if volume["name"] == "tmp")
        assert tmp["emptyDir"] == {"medium": "Memory", "sizeLimit": "256Mi"}
    (namespace,) = manifests.of(overlay, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@every_overlay
def test_probes_and_ports_are_those_of_the_images(overlay: str, manifests: Manifests) -> None:
    for pod in manifests.pods(overlay, "service", "index", "mlflow"):
        name = "service" if pod.component == "service" else pod.name
        image = (ROOT / "docker" / f"{name}.Dockerfile").read_text(encoding="utf-8")
        health = {
            key: int(value)
            for key, value in re.findall(r"--(interval|timeout|start-period|start-interval|retries)=(\d+)", image)
        }
        port, path = re.findall(r'"/opt/healthcheck.py", "(\d+)", "(.*)"', image)[0]
        assert [each["containerPort"] for each in pod.container["ports"]] == [int(port)]
        assert f"EXPOSE {port}\n" in image
        ready, start = pod.container["readinessProbe"], pod.container["startupProbe"]
        assert ready["httpGet"]["path"] == path
        assert (ready["periodSeconds"], ready["failureThreshold"]) == (health["interval"], health["retries"])
        assert start["periodSeconds"] * start["failureThreshold"] == health["start-period"]
        assert start["periodSeconds"] == health["start-interval"]
        alive = pod.container["livenessProbe"]["httpGet"]["path"]
        # A service without a model is alive: a restart would not bring it one.
        assert alive == start["httpGet"]["path"] == ("/healthz" if pod.component == "service" else path)
        assert all(
            pod.container[probe]["timeoutSeconds"] == health["timeout"] for probe in ("livenessProbe", "readinessProbe")
        )
        (service,) = [each for each in manifests.of(overlay, "Service") if each["metadata"]["name"] == pod.name]
        assert [each["port"] for each in service["spec"]["ports"]] == [int(port)]


@every_overlay
@every_project
def test_a_service_ends_as_in_compose_after_a_pause(
    overlay: str, project: Project, manifests: Manifests, services: Services
) -> None:
    (pod,) = [each for each in manifests.pods(overlay, "service") if each.name == project.name]
    pause = pod.container["lifecycle"]["preStop"]["sleep"]["seconds"]
    compose = int(services[project.name]["stop_grace_period"].removesuffix("s"))
    assert pod.spec["terminationGracePeriodSeconds"] == compose + pause
    start_period = services[project.name]["healthcheck"]["start_period"]
    assert pod.object["spec"]["progressDeadlineSeconds"] == 60 * int(start_period.removesuffix("m"))


@every_project
def test_trainings_learn_what_those_of_compose_learn(
    project: Project, manifests: Manifests, services: Services
) -> None:
    def default(words: list[str]) -> list[str]:
        return [re.sub(r"\$\{\w+:-(.*)\}", r"\1", word) for word in words]

    pods = {
        pod.component: pod for pod in manifests.pods("local") if pod.labels["app.kubernetes.io/name"] == project.name
    }
    command = default(services[f"{project.name}-trainer"]["command"])
    assert pods["trainer"].container["args"] == command
    retrain = [*services[f"{project.name}-retrain"]["command"], "--why", "schedule"]
    assert pods["retrain"].container["args"] == [*retrain, *command[command.index("--if-missing") + 1 :]]


@every_project
def test_volumes_of_one_node_are_those_of_compose(project: Project, manifests: Manifests, services: Services) -> None:
    """But for what a pod may lose: what was trained is in MLflow, and so are the reports of the monitors."""
    for pod in manifests.pods("local"):
        if pod.labels["app.kubernetes.io/name"] == project.name:
            mounted = {re.sub(r"\$\{\w+:-(.*?)\}", r"\1", each) for each in container_of(services, pod)["volumes"]}
            lasting = {each for each in mounted if each.partition(":")[0] not in ("training", "monitoring")}
            assert {f"{claim}:{path}" for claim, path in pod.claims()} == lasting
            assert {path for _, path in pod.mounts() if path not in ("/tmp", "/srv/keys")} == {  # noqa: S108
                each.partition(":")[2] for each in mounted
            }


# How often, and what counts as a failure


def test_a_monitor_looks_once_a_window_and_nothing_runs_twice_at_once(manifests: Manifests) -> None:
    for each in manifests.of("cloud", "CronJob"):
        assert (each["spec"]["concurrencyPolicy"], each["spec"]["timeZone"]) == ("Forbid", "Etc/UTC")
        minute, hour, *days = each["spec"]["schedule"].split()
        assert minute.isdigit()
        assert hour.isdigit()
        if each["metadata"]["name"].endswith("-monitor"):
            assert days == ["*", "*", "*"]  # the budget of false alarms counts windows that do not overlap
            (pod,) = [pod for pod in manifests.pods("cloud") if pod.name == each["metadata"]["name"]]
            assert pod.container["args"] == ["monitor", "--window", "24h"]
        else:
            assert days == ["*", "*", "1"]


def test_each_job_says_how_often_it_is_tried_again(manifests: Manifests) -> None:
    jobs = {each["metadata"]["name"]: each["spec"] for each in manifests.of("cloud", "Job")}
    jobs |= {each["metadata"]["name"]: each["spec"]["jobTemplate"]["spec"] for each in manifests.of("cloud", "CronJob")}
    assert {name: spec.get("backoffLimit") for name, spec in jobs.items()} == {
        name: 2 if "-trainer-" in name else 0 for name in jobs
    }


@pytest.mark.parametrize(("component", "well"), [("monitor", {0, 2}), ("retrain", {0, 2, 4, 5})])
def test_a_job_fails_for_what_is_a_failure(
    component: str, well: set[int], manifests: Manifests, tmp_path: Path
) -> None:
    pod = manifests.pods("local", component)[0]
    program = tmp_path / "project"
    program.write_text('#!/bin/sh\necho "$@" >>"$LOG"\nexit "$STATUS"\n', encoding="utf-8")
    program.chmod(0o755)
    command = [*pod.container["command"], *pod.container["args"]]
    sh = shutil.which(command[0])
    for status in range(6):
        variables = {"PATH": str(tmp_path), "LOG": str(tmp_path / "log"), "STATUS": str(status)}
        done = subprocess.run([sh, *command[1:]], env=variables, check=False)
        assert done.returncode == (0 if status in well else status)
    assert set((tmp_path / "log").read_text(encoding="utf-8").splitlines()) == {" ".join(pod.container["args"])}


def test_one_node_scales_less_and_a_cluster_keeps_two(manifests: Manifests) -> None:
    def bounds(overlay: str) -> set[tuple[int, int]]:
        scalers = manifests.of(overlay, "HorizontalPodAutoscaler")
        assert len(scalers) == len(projects())
        return {(each["spec"]["minReplicas"], each["spec"]["maxReplicas"]) for each in scalers}

    assert (bounds("local"), bounds("cloud")) == ({(1, 2)}, {(2, 6)})
    assert all("replicas" not in pod.object["spec"] for pod in manifests.pods("cloud", "service"))


def test_a_new_project_gets_what_the_others_have() -> None:
    template = (ROOT / "templates/common/kubernetes/kustomization.yaml").read_text(encoding="utf-8")
    for word, name in (("new-project", "housing"), ("NEW_PROJECT", "HOUSING")):
        template = template.replace(word, name)
    assert template == (ROOT / "projects/housing/kubernetes/kustomization.yaml").read_text(encoding="utf-8")
    base = yaml.safe_load((ROOT / "deploy/kubernetes/base/kustomization.yaml").read_text(encoding="utf-8"))
    assert {f"../../../projects/{project.name}/kubernetes" for project in projects()} <= set(base["resources"])
