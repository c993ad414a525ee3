"""The service: an answer with its label set, refusals that say why, examples; a folder of pictures."""

import base64
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
    with serving(create_app(ServeSettings(bundle=bundle))) as client:
        yield client


def test_an_example_is_answered_with_its_labels_and_their_probabilities(client: httpx.Client) -> None:
    known = client.get("/v1/labels").json()
    picture = client.get(f"/v1/examples/{known['examples'][0]}")
    answer = client.post("/v1/classifications", json={"picture": base64.b64encode(picture.content).decode()}).json()

    assert picture.headers["content-type"] == "image/jpeg"
    assert {each["label"] for each in answer["predictions"]} == set(known["labels"])
    assert answer["label_set"][0] == answer["predictions"][0]["label"]
    assert client.get("/v1/examples/nothing").status_code == 404


@pytest.mark.parametrize(
    ("picture", "status", "message"),
    [("!", 422, "Expected a file in base64"), (base64.b64encode(b"hello").decode(), 415, "no picture that is read")],
)
def test_what_is_no_picture_is_refused(client: httpx.Client, picture: str, status: int, message: str) -> None:
    answer = client.post("/v1/classifications", json={"picture": picture})
    assert answer.status_code == status
    assert message in answer.json()["errors"][0]["message"]


def test_a_folder_is_answered_file_by_file(bundle: Path, tmp_path: Path) -> None:
    predictor, target = Predictor.load(bundle), tmp_path / "out.csv"
    (tmp_path / "in").mkdir()
    name, example = next(iter(predictor.examples.items()))
    (tmp_path / "in" / "a.jpg").write_bytes(example)
    (tmp_path / "in" / "b.txt").write_text("none", encoding="utf-8")

    result = predict_file(tmp_path / "in", target, predictor)
    picture, text = csv.DictReader(target.read_text(encoding="utf-8").splitlines())
    assert (result.done, result.refused) == (1, 1)
    assert picture["label"] in predictor.labels
    assert name in predictor.labels
    assert "no picture that is read" in text["error"]
    with pytest.raises(FileError, match="no such file"):
        predict_file(tmp_path / "nothing", target, predictor)
