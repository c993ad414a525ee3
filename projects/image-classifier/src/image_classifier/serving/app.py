"""The HTTP service: what is special to pictures. Health, metrics, limits and model loading are shared."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from PIL import Image
from pydantic import ValidationError

from image_classifier.config import MODEL_NAME, ServeSettings
from image_classifier.data.headers import FORMATS
from image_classifier.data.images import ImageError, ImageLimits, crop_box, read_image, to_pixels
from image_classifier.models.predictor import Predictor
from image_classifier.serving.schemas import (
    BODY,
    ClassificationResponse,
    Example,
    LabelsResponse,
    Limits,
    Options,
    Result,
    refused,
    result_of,
)
from image_classifier.serving.uploads import Upload, read_form
from portfolio_shared.serving.app import create_service
from portfolio_shared.serving.models import ModelHolder
from portfolio_shared.serving.pool import pool_of, request_id_of
from portfolio_shared.serving.problems import FieldError, ProblemError, phrase, unprocessable
from portfolio_shared.serving.routes import StrictRoute

WEB = Path(__file__).parent / "web"


def create_app(settings: ServeSettings) -> FastAPI:
    """Build the service; its model is loaded when it starts."""
    models = ModelHolder(settings=settings, project=MODEL_NAME, load=Predictor.load, smoke_test=smoke_test)
    router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["pictures"])
    limits = image_limits(settings)

    @router.post("/classifications", summary="Classify one or several pictures", openapi_extra={"requestBody": BODY})
    async def classify(asked: Annotated[Options, Query()], request: Request) -> ClassificationResponse:
        loaded = models.current()
        form = await read_form(request, max_files=settings.max_files)
        options = with_fields(asked, form.fields)
        pool = pool_of(request)
        # One after the other, so that a request with many pictures leaves threads to the others.
        results = [await pool.run(classify_file, upload, options, loaded.predictor, limits) for upload in form.files]
        refuse_if_none(results)
        return ClassificationResponse(id=request_id_of(request), model=loaded.named, results=results)

    @router.get("/labels", summary="The labels, the limits of a request and pictures to try")
    async def labels(request: Request) -> LabelsResponse:
        loaded = models.current()
        return LabelsResponse(
            id=request_id_of(request),
            model=loaded.named,
            labels=loaded.predictor.labels,
            coverage=loaded.predictor.coverage,
            formats=FORMATS,
            limits=Limits.model_validate(settings, from_attributes=True),
            examples=[Example(name=name, url=f"/v1/examples/{name}") for name in loaded.predictor.examples],
        )

    @router.get("/examples/{name}", summary="A picture to try", response_class=Response)
    async def example(name: str) -> Response:
        examples = models.current().predictor.examples
        if name not in examples:
            raise ProblemError(404, phrase(404), f"No example has this name. There are: {', '.join(examples)}.")
        return Response(examples[name], media_type="image/jpeg")

    return create_service(
        title="Image classification",
        description="From photographs to labels with honest probabilities, and where in the picture they come from.",
        settings=settings,
        models=models,
        web=WEB,
        router=router,
    )


def smoke_test(predictor: Predictor) -> None:
    """Refuse a model that cannot classify a picture and say where its evidence lies."""
    side = predictor.preprocessing.resize
    stream = io.BytesIO()
    Image.radial_gradient("L").resize((side, side)).convert("RGB").save(stream, "JPEG")
    picture = to_pixels(read_image(stream.getvalue(), limits=ImageLimits(min_side=1)), predictor.preprocessing)
    (answer,) = predictor.predict([picture], heat=True)
    probabilities = answer.probabilities
    if probabilities.shape != (len(predictor.labels),) or not abs(probabilities.sum() - 1) < 1e-6:
        raise ValueError(f"probabilities {probabilities} of {len(predictor.labels)} labels")
    if int(np.argmax(probabilities)) not in answer.label_set:
        raise ValueError(f"the label set {answer.label_set} lacks the most probable label")
    if answer.heat is None or answer.heat.ndim != 2 or not np.isfinite(answer.heat).all():
        raise ValueError("no heat map")


def classify_file(upload: Upload, options: Options, predictor: Predictor, limits: ImageLimits) -> Result:
    """Decode and classify one file; a file that cannot be read is a result too."""
    preprocessing = predictor.preprocessing
    try:
        image = read_image(upload.data, limits=limits, at_least=preprocessing.resize)
    except ImageError as error:
        return refused(upload.name, error, coverage=predictor.coverage)
    (answer,) = predictor.predict([to_pixels(image, preprocessing)], heat=options.heat)
    return result_of(
        upload.name,
        answer,
        crop_box(image.size, preprocessing),
        labels=predictor.labels,
        coverage=predictor.coverage,
        top_k=options.top_k,
        side=preprocessing.crop,
    )


def with_fields(asked: Options, fields: dict[str, str]) -> Options:
    """Return the options of the query with those of the form.

    Raises
    ------
    ProblemError, RequestValidationError
        422 if a field of the form is unknown, out of bounds, or in the query as well.
    """
    if not fields:
        return asked
    if twice := sorted(asked.model_fields_set & fields.keys()):
        message = "Expected in the query or in the form, not in both"
        raise unprocessable([FieldError(field=name, message=message, value=fields[name]) for name in twice])
    try:
        given = Options.model_validate(fields)
    except ValidationError as error:
        raise RequestValidationError(
            [item | {"loc": ("body", *item["loc"])} for item in error.errors(include_url=False)]
        ) from error
    return asked.model_copy(update=given.model_dump(exclude_unset=True))


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
    detail = f"{results[0].file}: {listed[0].message}"
    if len(listed) > 1:
        detail = f"None of the {len(listed)} files can be read. {detail}"
    raise ProblemError(status, phrase(status), detail, listed)


def image_limits(settings: ServeSettings) -> ImageLimits:
    """Return the limits of one file."""
    return ImageLimits(
        max_bytes=settings.max_file_bytes,
        max_pixels=settings.max_pixels,
        max_pixels_whole=settings.max_pixels_whole,
        max_frames=settings.max_frames,
    )
