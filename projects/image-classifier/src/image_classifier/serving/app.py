"""The HTTP service: what is special to pictures. Health, metrics, limits and model loading are shared."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from PIL import Image
from pydantic import ValidationError
from pydantic_core import to_json

from image_classifier.config import MODEL_NAME, ServeSettings
from image_classifier.data.headers import FORMATS
from image_classifier.data.images import ImageError, ImageLimits, decode, find_still, read_file
from image_classifier.data.preprocessing import crop_box, to_pixels
from image_classifier.models.predictor import Predictor
from image_classifier.serving.observe import Json, Truth, answer_of, check_truth, picture_of
from image_classifier.serving.schemas import (
    BODY,
    ClassificationResponse,
    Example,
    LabelsResponse,
    Limits,
    Options,
    PictureFile,
    Result,
    refused,
    result_of,
)
from image_classifier.serving.uploads import Upload, read_form
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
from portfolio_shared.serving.problems import FieldError, ProblemError, unprocessable
from portfolio_shared.serving.routes import StrictRoute

Model = Annotated[LoadedModel[Predictor], Depends(loaded_model)]

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["pictures"])


@router.post("/classifications", summary="Classify one or several pictures", openapi_extra={"requestBody": BODY})
async def classify(query: Annotated[Options, Query()], request: Request, model: Model) -> ClassificationResponse:
    """Classify pictures after each other, so that a request with many of them leaves threads to the others."""
    settings, pool = settings_of(request), pool_of(request)
    form = await read_form(request, max_files=settings.max_files)
    options, limits = with_fields(query, form.fields), image_limits(settings)
    answers = [await pool.run(classify_file, upload, options, model.predictor, limits) for upload in form.files]
    results = [result for result, *_ in answers]
    refuse_if_none(results)
    _, pictures, said = zip(*answers, strict=True)
    log_instead(request, asked=to_json({"pictures": pictures}), answered=to_json({"results": said}))
    unsure = sum(result.unsure is not None for result in results)
    made = prediction_id(request, model, items=len(results), abstained=unsure)
    return ClassificationResponse(id=made, model=model.named, results=results)


@router.get("/labels", summary="The labels, the limits of a request and pictures to try")
async def labels(request: Request, model: Model) -> LabelsResponse:
    """Return what a page needs to know before it sends a picture."""
    return LabelsResponse(
        id=answer_id(request),
        model=model.named,
        labels=model.predictor.labels,
        coverage=model.predictor.coverage,
        formats=FORMATS,
        limits=Limits.model_validate(settings_of(request), from_attributes=True),
        examples=[Example(name=name, url=f"/v1/examples/{name}") for name in model.predictor.examples],
    )


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
        title="Image classification",
        description="From photographs to labels with calibrated probabilities, and where in a picture they come from.",
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
    """Refuse a model that cannot classify a picture and say where its evidence lies."""
    picture = to_pixels(Image.radial_gradient("L").convert("RGB"), predictor.preprocessing)
    (prediction,) = predictor.predict([picture], heat=True)
    probabilities = prediction.probabilities
    if probabilities.shape != (len(predictor.labels),) or not abs(probabilities.sum() - 1) < 1e-6:
        raise ValueError(f"probabilities {probabilities} of {len(predictor.labels)} labels")
    if int(np.argmax(probabilities)) not in prediction.label_set:
        raise ValueError(f"the label set {prediction.label_set} lacks the most probable label")
    if prediction.heat is None or prediction.heat.ndim != 2 or not np.isfinite(prediction.heat).all():
        raise ValueError("no heat map")


def classify_file(
    upload: Upload, options: Options, predictor: Predictor, limits: ImageLimits
) -> tuple[Result, Json, Json]:
    """Decode and classify one file; a file that cannot be read is a result too.

    Returns
    -------
    tuple of Result, dict, dict
        And what the log keeps of the picture and of its answer: never a pixel.
    """
    preprocessing = predictor.preprocessing
    try:
        still = find_still(upload.data, limits=limits)
        image = decode(still, limits=limits, at_least=preprocessing.resize)
    except ImageError as error:
        return refused(upload.name, error, coverage=predictor.coverage), {"error": error.code}, {"error": error.code}
    pixels = to_pixels(image, preprocessing)
    (prediction,) = predictor.predict([pixels], heat=options.heat)
    crop = crop_box(image.size, preprocessing)
    result = result_of(upload.name, prediction, crop, predictor, top_k=options.top_k)
    picture = picture_of(upload.data, still, pixels, prediction)
    return result, picture, answer_of(prediction, predictor.labels)


def classify_line(line: PictureFile, predictor: Predictor) -> Result:
    """Return the answer to a file that a line of a stream names: what the service says of a request with it alone.

    Raises
    ------
    ProblemError
        If it cannot be read.
    """
    limits = ImageLimits()
    try:
        data = read_file(Path(line.file), limits)
    except ImageError as error:
        result = refused(line.file, error, coverage=predictor.coverage)
    except OSError as error:
        message = f"Cannot be read: {error.strerror}"
        raise unprocessable([FieldError(field="file", message=message, value=line.file)]) from error
    else:
        result, *_ = classify_file(Upload(line.file, data), Options(), predictor, limits)
    if result.error is not None:
        wrong = FieldError(field="file", message=result.error.detail, value=line.file, code=result.error.code)
        raise ProblemError(result.error.status, result.error.detail, [wrong])
    return result


def with_fields(query: Options, fields: dict[str, str]) -> Options:
    """Return the options of the query with those of the form.

    Raises
    ------
    ProblemError, RequestValidationError
        422 if a field of the form is unknown, out of bounds, or in the query as well.
    """
    if not fields:
        return query
    if twice := sorted(query.model_fields_set & fields.keys()):
        message = "Expected in the query or in the form, not in both"
        raise unprocessable([FieldError(field=name, message=message, value=fields[name]) for name in twice])
    try:
        given = Options.model_validate(fields)
    except ValidationError as error:
        raise RequestValidationError(
            [item | {"loc": ("body", *item["loc"])} for item in error.errors(include_url=False)]
        ) from error
    return query.model_copy(update=given.model_dump(exclude_unset=True))


def refuse_if_none(results: Sequence[Result]) -> None:
    """Answer with a problem if no file could be read: with the status of their errors if it is the same for all."""
    errors = [result.error for result in results]
    if not all(errors):
        return
    listed = [
        FieldError(field=f"files.{i}", value=result.file, message=error.detail, code=error.code)
        for i, (result, error) in enumerate(zip(results, errors, strict=True))
        if error is not None
    ]
    statuses = {error.status for error in errors if error is not None}
    status = statuses.pop() if len(statuses) == 1 else 422
    detail = f"{results[0].file or listed[0].field}: {listed[0].message}"
    if len(listed) > 1:
        detail = f"None of the {len(listed)} files can be read. {detail}"
    raise ProblemError(status, detail, listed)


def image_limits(settings: ServeSettings) -> ImageLimits:
    """Return the limits of one file."""
    return ImageLimits(
        max_bytes=settings.max_file_bytes,
        max_pixels=settings.max_pixels,
        max_pixels_whole=settings.max_pixels_whole,
        max_frames=settings.max_frames,
    )
