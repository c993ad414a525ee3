"""What the file that MLflow runs makes of a table; test_project_mlflow.py tests for all projects that it runs."""

import base64

import pandas as pd
import pytest

pytestmark = pytest.mark.slow


def answers(learned, predictor, pictures):
    return learned.adapter.predict(predictor, pd.DataFrame({"picture": pictures})).to_dict(orient="records")


def test_every_picture_gets_what_was_measured(learned, predictor, trained):
    files = [base64.b64encode(photo.path.read_bytes()).decode("ascii") for photo in trained.split.test[:20]]
    for answer, measured in zip(answers(learned, predictor, files), trained.evaluation.predictions, strict=False):
        label = int(measured.probabilities.argmax())
        assert answer == {
            "label": trained.data.labels[label],
            "probability": pytest.approx(measured.probabilities[label], abs=1e-6),
            "unsure": measured.unsure or "",
        }


def test_what_is_no_picture_is_refused_in_words(learned, predictor):
    with pytest.raises(ValueError, match="picture: expected a file in base64"):
        answers(learned, predictor, ["no base64!"])
