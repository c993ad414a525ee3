"""What the workflow asks a cluster, asked of stand-ins by a kubectl that runs the pod's part on this machine."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import cluster_ask
from project_table import projects

Serving = Callable[[Any], AbstractContextManager[httpx.Client]]
KUBECTL = f"""#!/bin/sh
[ "$1 $2 $3 $4 $5" = "exec --stdin deployment/index -- python" ] || exit 9
shift 5
exec "{sys.executable}" -I "$@"
"""


@pytest.fixture
def answering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder first on PATH whose kubectl runs what is to be run in the pod."""
    (tmp_path / "kubectl").write_text(KUBECTL, encoding="utf-8")
    (tmp_path / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def app(status: int, seen: list[bytes]) -> Starlette:
    async def answer(request: Request) -> Response:
        seen.append(await request.body())
        return PlainTextResponse("x", status)

    return Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])


@pytest.mark.usefixtures("answering")
def test_every_project_is_asked_for_its_example_until_a_command_ends(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    with serving(app(200, seen)) as client:
        asked = cluster_ask.questions()
        here = [question | {"host": f"127.0.0.1:{client.base_url.port}"} for question in asked]
        monkeypatch.setattr(cluster_ask, "questions", lambda: here)
        status, answers = cluster_ask.ask(["sh", "-c", "sleep 1; exit 7"])
    assert status == 7
    assert [question["host"] for question in asked] == [f"{project.name}:8000" for project in projects()]
    (counts,) = answers.values()
    assert set(counts) == {"200"}
    assert counts["200"] == len(seen) > 2 * len(asked)
    assert len(set(seen)) == len(asked)


@pytest.mark.usefixtures("answering")
@pytest.mark.parametrize(("status", "expected"), [(200, 0), (503, 1)])
def test_another_answer_is_a_failure(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, capsys: Any, status: int, expected: int
) -> None:
    monkeypatch.setattr(sys, "argv", ["cluster_ask.py"])
    with serving(app(status, [])) as client:
        host = f"127.0.0.1:{client.base_url.port}"
        one = [{"host": host, "path": "/x", "content_type": "a/b", "body": "eA=="}]
        monkeypatch.setattr(cluster_ask, "questions", lambda: one)
        assert cluster_ask.main() == expected
    assert f"{host}: {status} 1 times" in capsys.readouterr().out


def test_a_pod_that_is_not_there_is_an_error(answering: Path) -> None:
    (answering / "kubectl").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    with pytest.raises((CalledProcessError, BrokenPipeError)):
        cluster_ask.ask([])
