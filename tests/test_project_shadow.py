"""What a challenger says of a project's request is written as the champion's answer is: the two can be compared."""

import asyncio
import importlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from io import FileIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from small_models import SmallModel

from portfolio_shared.operations.store import connect
from portfolio_shared.serving import shadow_process
from portfolio_shared.serving.shadow import packed
from portfolio_shared.serving.shadow_process import Challenger
from project_table import Project

pytestmark = pytest.mark.long


@pytest.fixture
def own_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep what a challenger does to a process of its own from that of the tests."""
    monkeypatch.setattr(shadow_process, "memory", lambda: 0)
    yield
    for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
        signal.setitimer(timer, 0)


@pytest.mark.usefixtures("own_process")
def test_the_log_holds_both_answers_in_the_same_form(
    project: Project,
    small: SmallModel,
    serving: Callable[[Any], AbstractContextManager[httpx.Client]],
    tmp_path: Path,
) -> None:
    create_app = importlib.import_module(f"{project.package}.serving.app").create_app
    settings = importlib.import_module(f"{project.package}.config").ServeSettings
    url, request = f"sqlite:///{tmp_path}/log.db", small.request
    headers = {"content-type": request.content_type}
    with serving(create_app(settings(bundle=small.bundle, prediction_log=url))) as client:
        assert client.post(request.path, content=request.body, headers=headers).is_success
    with closing(connect(url)) as store:
        (champion,) = store.predictions(project.name, since=0, until=1e12)
    told: list[Any] = []
    path, _, query = request.path.partition("?")
    head = {"id": champion.id, "champion": "other", "path": path, "query": query, "headers": [*headers.items()]}
    app = create_app(settings(bundle=small.bundle))
    app.state.rollout.refresh()  # a request that comes before the model is loaded would go unanswered
    answer(Challenger(app, url, told.append), packed(head, request.body))
    assert [said["counts"] for said in told if said["counts"]] == [{"answered": 1}]
    with closing(connect(url)) as store:
        ((response,),) = store.execute("SELECT response FROM shadows")
    of_challenger, of_champion = (json.loads(said) | {"id": ""} for said in (response, champion.response))
    assert of_challenger == of_champion


def answer(challenger: Challenger, frame: bytes) -> None:
    read, write = os.pipe()

    async def run() -> None:
        running = asyncio.create_task(challenger.run(FileIO(read)))
        await asyncio.to_thread(os.write, write, frame)
        os.close(write)
        await running

    asyncio.run(run())
