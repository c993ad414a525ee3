"""BentoML with our predictor behind it, as its own pages show: one worker, no access log, else its defaults."""

from pathlib import Path
from typing import Any

import bentoml
from answers import answerer

settings: dict[str, Any] = {"workers": 1, "logging": {"access": {"enabled": False}}}


@bentoml.service(**settings)
class Records:
    """Takes a body of JSON."""

    def __init__(self) -> None:
        self.answer = answerer()

    @bentoml.api(route="/answers")  # type: ignore[untyped-decorator]  # bentoml is not installed here
    def answers(self, body: dict[str, Any], /) -> dict[str, Any]:
        """Answer."""
        return dict(self.answer(body))


@bentoml.service(**settings)
class Pictures:
    """Takes a file."""

    def __init__(self) -> None:
        self.answer = answerer()

    @bentoml.api(route="/answers")  # type: ignore[untyped-decorator]  # bentoml is not installed here
    def answers(self, files: Path) -> dict[str, float]:
        """Answer."""
        return dict(self.answer(files.read_bytes()))
