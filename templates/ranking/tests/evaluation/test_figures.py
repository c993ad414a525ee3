"""What the figures compare was measured on the same events."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from new_project.evaluation.figures import draw


def test_the_result_on_the_test_is_set_beside_nothing_of_the_validation_part(trained: Any, tmp_path: Path) -> None:
    others = {
        name: replace(each, metrics={metric: value / 2 for metric, value in each.metrics.items()})
        for name, each in trained.candidates.items()
    }
    for place, candidates in (("true", trained.candidates), ("halved", others)):
        (tmp_path / place).mkdir()
        draw(trained.evaluation, candidates, tmp_path / place)

    drawn = {path.name: path.read_bytes() for path in (tmp_path / "true").iterdir()}
    assert [name for name, content in drawn.items() if (tmp_path / "halved" / name).read_bytes() != content] == [
        "candidates.svg"
    ]
