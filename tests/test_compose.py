"""What the compose file and the images promise, as far as it can be seen without a container engine."""

import json
import math
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import healthcheck
import httpx
import pytest
import split_torch
import start_page
import yaml
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import image_budgets as budgets
from portfolio_shared.serving import access, prediction_log, server, shadow, tracing
from portfolio_shared.serving.problems import ProblemError
from project_table import Project, projects

ROOT = Path(__file__).resolve().parents[1]
Serving = Callable[[Any], AbstractContextManager[httpx.Client]]
Services = dict[str, dict[str, Any]]
DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))


def test_every_container_is_confined(services: Services) -> None:
    assert len(services) == 5 + 3 + 3 + 4 * len(projects()) + 1  # Spark, the pipeline; the films' job on Spark
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["init"] is True, name
        assert service["logging"]["options"]["max-size"], name
        assert service["mem_limit"], name
        assert service["cpus"], name
        assert service["restart"] == (
            "no" if name.endswith(("-trainer", "-retrain", "-spark")) else "unless-stopped"
        ), name


def test_ports_are_published_on_this_machine_alone(services: Services) -> None:
    for name, service in services.items():
        ports = service.get("ports", [])
        assert all(port.startswith("127.0.0.1:${") for port in ports), name
        assert bool(ports) == ("pages" in service["networks"]), name


@pytest.mark.parametrize("project", projects(), ids=lambda project: project.name)
def test_every_project_has_a_trainer_a_service_and_a_place_on_the_page(services: Services, project: Project) -> None:
    for service in (services[project.name], services[f"{project.name}-trainer"]):
        assert service["build"]["args"]["PROJECT"] == project.name
    address = f"127.0.0.1:${{{project.prefix}PORT:-{project.port}}}"
    assert services[project.name]["ports"] == [f"{address}:8000"]
    assert services["index"]["environment"][f"{project.prefix}ADDRESS"] == f"http://{address}"
    assert budgets.budgets()[f"{project.name}-service"] == project.service_mb
    assert services[project.name]["image"].partition(":-portfolio}/")[2] == f"{project.name}-service:${{TAG:-latest}}"


@pytest.mark.parametrize("project", projects(), ids=lambda project: project.name)
def test_a_service_is_open_to_this_machine_alone_and_known_by_its_names(services: Services, project: Project) -> None:
    given = services[project.name]["environment"]
    settings = import_module(f"{project.package}.config").ServeSettings
    options = {name: given[f"{project.prefix}{name}"] for name in ("OPEN_WITHOUT_KEYS", "ALLOWED_HOSTS")}
    options = {name.lower(): value.replace("${ALLOWED_HOSTS:-}", "") for name, value in options.items()}
    inside = settings(host="0.0.0.0", **options)  # noqa: S104 - as the image does it
    access.require_keys(inside)
    for host, known in {f"{project.name}:8000": True, "127.0.0.1:8001": True, "evil.example": False}.items():
        scope = {
            "path": "/v1/model",
            "method": "GET",
            "headers": [(b"host", host.encode())],
            "client": None,
            "state": {},
        }
        with nullcontext() if known else pytest.raises(ProblemError, match="has another name"):
            access.Access(inside).check(scope)
    assert all(port.startswith("127.0.0.1:") for port in services[project.name]["ports"])


@pytest.mark.parametrize("project", projects(), ids=lambda project: project.name)
def test_a_service_has_the_time_to_end_as_it_should_before_it_is_killed(services: Services, project: Project) -> None:
    settings = import_module(f"{project.package}.config").ServeSettings
    longest = settings.model_fields["request_timeout_seconds"].default
    to_answer = math.ceil(longest) + server.DRAIN_SECONDS
    to_write = prediction_log.END_SECONDS + prediction_log.ASK_SECONDS + 2 * shadow.END_SECONDS + tracing.FLUSH_SECONDS
    given = float(services[project.name]["stop_grace_period"].removesuffix("s"))
    assert to_answer + to_write <= given <= to_answer + to_write + 5


def test_settings_of_the_compose_files_are_documented(compose_files: list[Path]) -> None:
    used = {name for path in compose_files for name in re.findall(r"\$\{(\w+)", path.read_text(encoding="utf-8"))}
    documented = (ROOT / ".env.example").read_text(encoding="utf-8")
    set_by_the_makefile = {"GIT_COMMIT", "CREATED"}
    # Documented once for all of them.
    own = {f"{project.prefix}{name}" for project in projects() for name in ("PORT", "MONITOR_PORT", "ROLLOUT")}
    assert {name for name in used - set_by_the_makefile - own if name not in documented} == set()


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_runs_as_a_fixed_user_from_the_common_base(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    bases = {line.split()[1] for line in lines if line.startswith("FROM ") and ":" in line}
    assert bases == {budgets.base_image()}
    # The mode of a file in the clone may let nobody but its owner read it.
    final = lines[max(i for i, line in enumerate(lines) if line.startswith("FROM ")) :]
    copied = [line for line in final if line.startswith("COPY") and "--from=" not in line]
    assert all("--chmod=" in line for line in copied)
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001:10001"]
    assert any("--require-hashes" in line for line in lines)


def test_no_update_is_proposed_that_cannot_read_the_volume(services: Services) -> None:
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text(encoding="utf-8"))["updates"]
    compose = next(update for update in updates if update["package-ecosystem"] == "docker-compose")
    postgres = next(each for each in compose["ignore"] if each["dependency-name"] == "postgres")

    assert postgres["update-types"] == ["version-update:semver-major"]
    assert "postgres:/var/lib/postgresql/data" in services["postgres"]["volumes"]  # 18 has another place


def test_torch_is_split_off_a_lock() -> None:
    lock = (
        "# made by\nnumpy==2.4.6 ; python_full_version < '3.12' \\\n    --hash=sha256:aa\n"
        "nvidia-cublas==13.4 ; sys_platform == 'linux' \\\n    --hash=sha256:bb\n"
        "torch==2.15.0 \\\n    --hash=sha256:cc\n"
        "triton==3.9.0 \\\n    --hash=sha256:dd\ncuda-toolkit==13.2 \\\n    --hash=sha256:ee\n"
    )
    torch, rest = split_torch.split(lock)
    assert torch == "torch==2.15.0\n"
    assert rest == "# made by\nnumpy==2.4.6 ; python_full_version < '3.12' \\\n    --hash=sha256:aa\n"


def test_health_is_what_the_server_says(serving: Serving, capsys: pytest.CaptureFixture[str]) -> None:
    responses = {"/healthz": PlainTextResponse("ok"), "/readyz": PlainTextResponse("no model yet", 503)}
    with serving(Starlette(routes=[Route(path, response) for path, response in responses.items()])) as client:
        port = client.base_url.port
        assert healthcheck.main(port, "/healthz") == 0
        assert healthcheck.main(port, "/readyz") == 1
    assert "503 no model yet" in capsys.readouterr().out
    assert healthcheck.main(1, "/healthz") == 1
    assert "Refused" in capsys.readouterr().out


def test_the_start_page_leads_to_the_projects_that_are_in_the_stack(services: Services) -> None:
    table = [asdict(project) for project in projects()]
    variables = {"HOUSING_ADDRESS": "http://127.0.0.1:8001", "RECOMMENDER_ADDRESS": "http://127.0.0.1:9002"}

    housing, recommender = start_page.demos_of(variables, table)

    assert (housing.project, housing.title, housing.lead) == tuple(table[0][key] for key in ("name", "title", "lead"))
    assert (recommender.address, recommender.internal) == ("http://127.0.0.1:9002", "http://recommender:8000")
    assert set(services["index"]["environment"]) == {
        *("INDEX_ADDRESS", "INDEX_MLFLOW_ADDRESS", "INDEX_API_KEY"),
        *(f"{project.prefix}ADDRESS" for project in projects()),
    }


@pytest.mark.parametrize("project", projects(), ids=lambda project: project.name)
def test_a_monitor_reads_what_its_service_writes(services: Services, project: Project) -> None:
    service, monitor = services[project.name], services[f"{project.name}-monitor"]
    shared = {"PORTFOLIO_PREDICTION_LOG", f"{project.prefix}SUBJECT_KEY", "NO_PROXY", "no_proxy"}
    shared |= {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"}
    assert set(monitor["environment"]) == shared | {"MLFLOW_TRACKING_URI"}
    assert {key: monitor["environment"][key] for key in shared} == {key: service["environment"][key] for key in shared}
    assert "predictions:/srv/predictions" in set(service["volumes"]) & set(monitor["volumes"])
    assert service["environment"]["PORTFOLIO_PREDICTION_LOG"].endswith(":-sqlite:////srv/predictions/log.db}")
    assert monitor["profiles"] == ["operations", "monitoring"]
    assert monitor["image"] == services[f"{project.name}-trainer"]["image"]
    assert monitor["ports"] == [f"127.0.0.1:${{{project.prefix}MONITOR_PORT:-1{project.port}}}:8000"]


@pytest.mark.parametrize("project", projects(), ids=lambda project: project.name)
def test_a_retraining_is_a_training_that_reads_the_log_and_starts_when_it_is_asked_for(
    services: Services, project: Project
) -> None:
    trainer, retrain = services[f"{project.name}-trainer"], services[f"{project.name}-retrain"]
    assert (retrain["command"], retrain["profiles"]) == (["retrain"], ["retrain"])
    # Whoever gives other flags goes on with these.
    flags = trainer["command"][trainer["command"].index("--if-missing") + 1 :]
    given = {
        f"{project.prefix}TRAIN_{name[2:].upper()}": value for name, value in zip(flags[::2], flags[1::2], strict=True)
    }
    log = {"PORTFOLIO_PREDICTION_LOG": services[project.name]["environment"]["PORTFOLIO_PREDICTION_LOG"]}
    assert retrain["environment"] == trainer["environment"] | log | given
    assert set(retrain["volumes"]) == {*trainer["volumes"], "predictions:/srv/predictions"}
    same = ("image", "networks", "mem_limit", "cpus", "tmpfs")
    assert [retrain[key] for key in same] == [trainer[key] for key in same]


@pytest.mark.parametrize("project", projects(), ids=lambda project: project.name)
def test_a_page_finds_the_others_through_the_start_page(services: Services, project: Project) -> None:
    service = services[project.name]
    assert service["environment"]["PORTFOLIO_START_PAGE"] == "http://index:8000"
    assert "backend" in set(services["index"]["networks"]) & set(service["networks"])


def test_prometheus_finds_services_and_monitors_through_the_start_page(services: Services) -> None:
    settings = yaml.safe_load((ROOT / "docker/prometheus.yml").read_text(encoding="utf-8"))
    scraped = settings["scrape_configs"]
    assert [each["url"] for job in scraped for each in job["http_sd_configs"]] == ["http://index:8000/targets"] * 2
    (relabel,) = scraped[1]["relabel_configs"]
    for project in projects():
        service = httpx.URL(demo_of(project).internal).netloc.decode()
        monitor = re.sub(f"^{relabel['regex']}$", relabel["replacement"].replace("$1", r"\1"), service)
        name, _, port = monitor.partition(":")
        assert f"--serve {port} --host 0.0.0.0" in " ".join(services[name]["command"])
    reached = {"index", *(f"{p.name}{suffix}" for p in projects() for suffix in ("", "-monitor"))}
    assert all("backend" in services[name]["networks"] for name in {"prometheus", *reached})
    mounted = [volume.split(":")[1] for volume in services["prometheus"]["volumes"]]
    assert {f"/etc/prometheus/{name}" for name in settings["rule_files"]} < set(mounted)


def demo_of(project: Project) -> start_page.Demo:
    (demo,) = start_page.demos_of({f"{project.prefix}ADDRESS": "http://127.0.0.1:1"}, [asdict(project)])
    return demo


def test_grafana_is_there_to_look_at_alone(services: Services) -> None:
    settings = services["grafana"]["environment"]
    assert settings["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"  # there is no user, and no password
    assert settings["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert services["grafana"]["profiles"] == ["grafana"]  # `monitoring` starts where its image cannot be had
    files = ROOT / "docker/grafana"
    (source,) = read_yaml(files / "provisioning/datasources/prometheus.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert "backend" in set(services["grafana"]["networks"]) & set(services["prometheus"]["networks"])
    (provider,) = read_yaml(files / "provisioning/dashboards/files.yaml")["providers"]
    mounts = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"])
    assert mounts == {
        "./docker/grafana/provisioning": "/etc/grafana/provisioning",
        "./docker/grafana/dashboards": provider["options"]["path"],
    }
    for path in files.glob("dashboards/*.json"):
        dashboard = json.loads(path.read_text(encoding="utf-8"))
        assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {source["uid"]}, path.name


def read_yaml(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))
