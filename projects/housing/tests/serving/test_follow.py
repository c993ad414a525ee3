"""A stream of houses, a batch of them and the service: equal answers, and equal reasons for none."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from command_line import Run, command_line

from housing.config import ServeSettings
from housing.data.columns import columns
from housing.data.house import EXAMPLE
from housing.serving.app import create_app
from housing.train import Trained

Json = dict[str, Any]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return command_line("housing", monkeypatch, capsys)


@pytest.fixture
def houses(trained: Trained) -> list[Json]:
    """Return houses of many fields, one of few that is put right, and two that are refused."""
    records = [
        {name: value for name, value in each.items() if value is not None} for each in trained.split.test.records
    ]
    contradiction = EXAMPLE | {"year_built": 2009, "yr_sold": 2007}
    return [*records, EXAMPLE | {"year_remod_add": 1999}, contradiction, EXAMPLE | {"gr_liv_area": "large"}]


@pytest.mark.long
def test_batch_service_and_stream_give_equal_answers(
    serving: Any, bundle: Path, houses: list[Json], run: Run, tmp_path: Path
) -> None:
    stream, table, prices = tmp_path / "houses.ndjson", tmp_path / "houses.csv", tmp_path / "prices.csv"
    stream.write_text("".join(f"{json.dumps(house)}\n" for house in houses), encoding="utf-8")
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns()))
        writer.writeheader()
        writer.writerows(houses)

    code, out, err = run("predict", "--follow", "--explain", stream, "--bundle", bundle)
    assert (code, err.splitlines()[-1]) == (1, f"{stream}: {len(houses) - 2} houses priced, 2 refused")
    *answers, contradiction, wrong = map(json.loads, out.splitlines())
    with serving(create_app(ServeSettings(bundle=bundle))) as service:
        served = service.post("/v1/predictions", json={"houses": houses[:-2], "explain": True})
        refused = [service.post("/v1/predictions", json={"houses": [house]}).json() for house in houses[-2:]]
    assert answers == served.json()["predictions"]
    for line, answer, problem in zip((len(houses) - 1, len(houses)), (contradiction, wrong), refused, strict=True):
        errors = [error | {"field": error["field"].removeprefix("houses.0.")} for error in problem["errors"]]
        assert (answer["line"], answer["error"]["errors"]) == (line, errors)

    assert run("predict", table, "-o", prices, "--bundle", bundle)[0] == 1
    with prices.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["error"]) for row in rows] == [False] * len(answers) + [True] * 2
    assert [(float(row["price"]), float(row["low"]), float(row["high"])) for row in rows[:-2]] == [
        (answer["price"], answer["interval"]["low"], answer["interval"]["high"]) for answer in answers
    ]
