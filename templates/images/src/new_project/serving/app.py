"""The HTTP service: what is special to this project. Health, metrics, limits and model loading are shared."""

import base64
import binascii
from pathlib import Path
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from PIL import Image
from pydantic_core import to_json

from new_project.config import MODEL_NAME, SIDE, ServeSettings
from new_project.data.images import MAX_PIXELS, Code, ImageError, prepare
from new_project.models.predictor import Prediction, Predictor
from new_project.serving.observe import Truth, answer_of, check_truth, picture_of
from new_project.serving.schemas import ClassificationResponse, Item, LabelsResponse, Result, result_of
from portfolio_shared.serving.app import create_service
from portfolio_shared.serving.dependencies import (
    answer_id,
    loaded_model,
    log_instead,
    pool_of,
    prediction_id,
    settings_of,
)
from portfolio_shared.serving.models import LoadedModel
from portfolio_shared.serving.problems import FieldError, ProblemError
from portfolio_shared.serving.routes import StrictRoute

Model = Annotated[LoadedModel[Predictor], Depends(loaded_model)]
STATUS: dict[Code, int] = {"not_an_image": 415, "too_small": 422, "too_many_pixels": 413, "damaged": 422}

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["pictures"])


@router.post("/classifications", summary="Classify a picture")
async def classify(body: Item, request: Request, model: Model) -> ClassificationResponse:
    """Return the labels of a picture; the log keeps features of it and no pixel."""
    most = settings_of(request).max_pixels
    data, prediction = await pool_of(request).run(lambda: predicted(model.predictor, body, max_pixels=most))
    labels = model.predictor.labels
    log_instead(request, asked=to_json(picture_of(data, prediction)), answered=to_json(answer_of(prediction, labels)))
    made = prediction_id(request, model, items=1, abstained=int(prediction.unsure is not None))
    return ClassificationResponse(id=made, model=model.named, **dict(result_of(prediction, model.predictor)))


@router.get("/labels", summary="The labels, and pictures to try")
async def labels(request: Request, model: Model) -> LabelsResponse:
    """Return what a page needs to know before it sends a picture."""
    known, examples = list(model.predictor.labels), list(model.predictor.examples)
    return LabelsResponse(id=answer_id(request), model=model.named, labels=known, examples=examples)


@router.get("/examples/{name}", summary="A picture to try", response_class=Response)
async def example(name: str, model: Model) -> Response:
    """Return an example as a JPEG file."""
    examples = model.predictor.examples
    if name not in examples:
        raise ProblemError(404, f"No example has this name. There are: {', '.join(examples)}.")
    return Response(examples[name], media_type="image/jpeg")


def create_app(settings: ServeSettings) -> FastAPI:
    """Build the service; its model is loaded when it starts."""
    return create_service(
        title="New project",
        description="From a picture to its label, how sure that is, and when not to rely on it.",
        settings=settings,
        project=MODEL_NAME,
        load=Predictor.load,
        smoke_test=smoke_test,
        web=Path(__file__).parent / "web",
        router=router,
        truth=Truth,
        check_truth=check_truth,
    )


def smoke_test(predictor: Predictor) -> None:
    """Refuse a model that cannot classify a picture."""
    picture = np.asarray(Image.radial_gradient("L").resize((SIDE, SIDE)).convert("RGB"))
    (prediction,) = predictor.predict([picture])
    if len(prediction.probabilities) != len(predictor.labels) or abs(sum(prediction.probabilities) - 1) > 1e-6:
        raise ValueError(f"probabilities {prediction.probabilities} of {len(predictor.labels)} labels")
    if int(np.argmax(prediction.probabilities)) not in prediction.label_set:
        raise ValueError(f"the label set {prediction.label_set} lacks the most probable label")


def answer_one(predictor: Predictor, item: Item) -> Result:
    """Return the answer to one picture."""
    return result_of(predicted(predictor, item, max_pixels=MAX_PIXELS)[1], predictor)


def predicted(predictor: Predictor, item: Item, *, max_pixels: int) -> tuple[bytes, Prediction]:
    """Return the file of a picture and the prediction.

    Raises
    ------
    ProblemError
        If it is not base64, or no picture that is read.
    """
    try:
        data = base64.b64decode(item.picture, validate=True)
        pixels = prepare(data, max_pixels=max_pixels)
    except binascii.Error as error:
        raise _refused(422, "Expected a file in base64", item, "not_base64") from error
    except ImageError as error:
        raise _refused(STATUS[error.code], str(error), item, error.code) from error
    (prediction,) = predictor.predict([pixels])
    return data, prediction


def _refused(status: int, message: str, item: Item, code: str) -> ProblemError:
    wrong = FieldError(field="picture", message=message, value=item.picture[:20], code=code)
    return ProblemError(status, message, [wrong])
