"""What the compose file and the images promise, as far as it can be seen without a container engine."""

import asyncio
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import healthcheck
import httpx
import pytest
import split_torch
import yaml
from index import page as index
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import image_budgets as budgets
from project_table import Project, projects

ROOT = Path(__file__).resolve().parents[1]
Serving = Callable[[Any], AbstractContextManager[httpx.Client]]
Services = dict[str, dict[str, Any]]
DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
ADDRESSES = {
    "HOUSING_ADDRESS": "http://127.0.0.1:8001",
    "RECOMMENDER_ADDRESS": "http://127.0.0.1:8002/",
    "MLFLOW_ADDRESS": "http://127.0.0.1:5500",
    "INDEX_ADDRESS": "http://127.0.0.1:8000",
}
MODEL = {"version": "3", "created": "2026-01-02T03:04:05Z", "data": {"source": "full", "name": "house sales"}}
TABLE = [asdict(project) for project in projects()]


def test_every_container_is_confined(services: Services) -> None:
    assert len(services) == 4 + 2 * len(projects())
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["init"] is True, name
        assert service["logging"]["options"]["max-size"], name
        assert service["mem_limit"], name
        assert service["cpus"], name
        assert service["restart"] == ("no" if name.endswith("-trainer") else "unless-stopped"), name


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


def test_settings_of_the_compose_files_are_documented(compose_files: list[Path]) -> None:
    used = {name for path in compose_files for name in re.findall(r"\$\{(\w+)", path.read_text(encoding="utf-8"))}
    documented = (ROOT / ".env.example").read_text(encoding="utf-8")
    set_by_the_makefile = {"GIT_COMMIT", "CREATED"}
    ports = {f"{project.prefix}PORT" for project in projects()}  # all of them in one sentence
    assert {name for name in used - set_by_the_makefile - ports if name not in documented} == set()


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


def answer(request: httpx.Request) -> httpx.Response:
    """The house prices have a model, the films do not."""
    if request.url.host == "housing":
        return httpx.Response(200, json=MODEL)
    return httpx.Response(503, json={"title": "Service Unavailable"})


def view(transport: httpx.MockTransport, path: str = "/") -> httpx.Response:
    app = index.create_app(ADDRESSES, TABLE, transport)

    async def ask() -> httpx.Response:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://index") as client,
        ):
            assert (await client.get("/static/style.css")).is_success
            assert (await client.get("/index/index.css")).is_success
            return await client.get(path)

    return asyncio.run(ask())


def test_the_index_page_links_everything_says_which_model_answers_and_looks_again() -> None:
    response = view(httpx.MockTransport(answer))
    for address in ("http://127.0.0.1:8001", "http://127.0.0.1:8002/docs", "http://127.0.0.1:5500"):
        assert f'href="{address}"' in response.text
    assert "Version 3, trained on 02 January 2026 on house sales." in response.text
    assert response.text.count('data-state="ready"') == 1
    assert "image-classifier" not in response.text  # it has no address
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert "<script" not in response.text
    assert 'http-equiv="refresh"' in response.text
    assert 'http-equiv="refresh"' not in view(httpx.MockTransport(lambda _: httpx.Response(200, json=MODEL))).text


def test_the_index_page_stands_when_no_service_answers() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no such host", request=request)

    response = view(httpx.MockTransport(refuse))
    assert response.status_code == 200
    assert response.text.count("Not running.") == 2


def test_the_index_page_escapes_what_a_service_says() -> None:
    model = MODEL | {"version": "<script>"}
    assert "<script>" not in view(httpx.MockTransport(lambda _: httpx.Response(200, json=model))).text


def test_prometheus_finds_the_services_that_the_page_names(services: Services) -> None:
    scraped = yaml.safe_load((ROOT / "docker/prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    response = view(httpx.MockTransport(answer), "/targets")
    assert [each["url"] for job in scraped for each in job["http_sd_configs"]] == ["http://index:8000/targets"]
    assert response.headers["content-type"] == "application/json"
    assert response.json() == [
        {"targets": [f"{name}:8000"], "labels": {"project": name}} for name in ("housing", "recommender")
    ]
    assert "backend" in set(services["index"]["networks"]) & set(services["prometheus"]["networks"])


def test_the_log_ends_with_the_addresses(capsys: pytest.CaptureFixture[str]) -> None:
    async def run() -> None:
        transport = httpx.MockTransport(lambda _: httpx.Response(200, json=MODEL))
        async with httpx.AsyncClient(transport=transport) as client:
            await index.announce(client, index.demos_of(ADDRESSES, TABLE), {"all of it": "http://127.0.0.1:8000"})

    asyncio.run(run())
    line = capsys.readouterr().out
    assert line.startswith("Ready.")
    assert line.count("http://127.0.0.1:8000") == 1
    assert "Films: http://127.0.0.1:8002" in line
