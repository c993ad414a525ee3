"""The service: recommendations with reasons, search, refusals; the file of histories."""

import csv
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from new_project.config import ServeSettings
from new_project.models.predictor import Predictor
from new_project.serving.app import create_app
from new_project.serving.batch import predict_file
from portfolio_shared.data.tables import FileError


@pytest.fixture(scope="module")
def client(serving: Callable[[Any], AbstractContextManager[httpx.Client]], bundle: Path) -> Iterator[httpx.Client]:
    with serving(create_app(ServeSettings(bundle=bundle, max_history=3, max_k=5))) as client:
        yield client


def test_a_history_is_answered_with_reasons_and_unknown_ids_are_named(client: httpx.Client) -> None:
    first = client.get("/v1/items").json()["items"][0]["item_id"]
    answer = client.post("/v1/recommendations", json={"history": [first, "?"], "k": 5}).json()

    assert (answer["popular"], answer["unknown"], len(answer["recommendations"])) == (False, ["?"], 5)
    for each in answer["recommendations"]:
        assert each["item"]["item_id"] != first
        assert sum(reason["adds"] for reason in each["reasons"]) + each["others"] == pytest.approx(each["score"])


@pytest.mark.parametrize(
    ("body", "field"),
    [({"history": ["a"] * 4}, "history"), ({"history": [], "k": 6}, "k"), ({"history": [1]}, "history.0")],
)
def test_what_is_above_a_limit_is_refused_by_name(client: httpx.Client, body: dict[str, Any], field: str) -> None:
    answer = client.post("/v1/recommendations", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_a_file_is_answered_row_by_row(bundle: Path, tmp_path: Path) -> None:
    predictor, source, target = Predictor.load(bundle), tmp_path / "in.csv", tmp_path / "out.csv"
    known = predictor.items[0].id
    source.write_text(f"who,history\nann,{known}|?\nbob,\n", encoding="utf-8")

    assert predict_file(source, target, predictor).done == 2
    ann, bob = csv.DictReader(target.read_text(encoding="utf-8").splitlines())
    assert (ann["basis"], ann["unknown"], bob["basis"]) == ("history", "?", "popularity")
    (expected,) = predictor.predict([[known]])
    assert ann["items"].split("|") == [each.item.id for each in expected.recommendations]
    source.write_text("who\nann\n", encoding="utf-8")
    with pytest.raises(FileError, match="expected one column history"):
        predict_file(source, target, predictor)
