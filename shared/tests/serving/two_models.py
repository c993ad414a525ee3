"""A demo with two models: the champion is version 7, the challenger version 8, whose houses are more expensive."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import httpx
from demo_service import DemoSettings, FakeHolder, Predict, house
from starlette.requests import Request

from portfolio_shared.serving.rollout import Rollout

SHARE = 0.3
SUBJECTS = [f"person{i}" for i in range(300)]


def higher(areas: list[float]) -> list[float]:
    return [area * 200 for area in areas]


def rollout(models: FakeHolder, challengers: FakeHolder, **changes: Any) -> Rollout[Predict]:
    settings: dict[str, Any] = {"rollout": "canary", "canary_share": SHARE} | changes
    return Rollout(DemoSettings(**settings), models, challengers)


def request(subject: str = "", method: str = "POST", **app: object) -> Request:
    state = {"subject": subject.encode()}
    return Request(
        {"type": "http", "method": method, "state": state, "app": SimpleNamespace(state=SimpleNamespace(**app))}
    )


def chosen(rollout: Rollout[Predict], subjects: Sequence[str] = SUBJECTS) -> list[str]:
    """Return the version that each subject gets."""
    return [rollout.model_for(request(subject)).version for subject in subjects]


def ask(client: httpx.Client, subject: str) -> tuple[str, float]:
    """Return which version says that it answers, and what it answers."""
    answer = client.post("/v1/prices", json={"houses": [house()]}, headers={"X-Subject": subject})
    body = answer.raise_for_status().json()
    return body["model"]["version"], body["prices"][0]
