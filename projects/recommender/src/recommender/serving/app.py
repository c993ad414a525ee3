"""The HTTP service: what is special to films. Health, metrics, limits and model loading are shared."""

import secrets
from collections.abc import Iterable, Sequence, Sized
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from pydantic_core import from_json, to_json

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
from recommender.config import MODEL_NAME, ServeSettings
from recommender.data.catalogue import Catalogue, Film, Filters
from recommender.models.prediction import Seen
from recommender.models.predictor import Predictor
from recommender.serving import schemas
from recommender.serving.answers import Answer, answer_of, answered
from recommender.serving.interleave import Team, interleave
from recommender.serving.observe import Truth

Model = Annotated[LoadedModel[Predictor], Depends(loaded_model)]
QUICK_FACTORS = 1_000_000
"""Numbers of a model, those of the films that it recommends, up to which one answer is computed on the event loop."""
QUICK_PAIRS = 5_000
"""Films of a history times films asked for, likewise."""

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["films"])


@router.post(
    "/recommendations", summary="Recommend films for one history", response_model=schemas.RecommendationResponse
)
async def recommend(body: schemas.RecommendationRequest, request: Request, model: Model) -> Response:
    """Recommend films that are not in the history, with the films of it that are the reason."""
    settings: ServeSettings = settings_of(request)
    check(too_many("history", body.history, settings.max_history), wrong_options(body, model.predictor, settings))
    challenger = challenger_for(request, body) if settings.rollout == "interleave" else None
    answer, teams = await answer_to(request, model, challenger, body)
    made = prediction_id(request, model, items=1, abstained=answer.popular)
    second = None if challenger is None or teams is None else challenger.version
    content = answered(made, model.named, b'%b,"interleaved_with":%b' % (answer.fields(), to_json(second)))
    if second is not None:  # who chooses among the films sees no team
        logged = b'%b,"teams":%b}' % (content.removesuffix(b"}"), to_json(teams))
        log_instead(request, asked=request.state.body, answered=logged)
    return Response(content, media_type="application/json")


@router.post(
    "/recommendations/batch", summary="Recommend films for several histories", response_model=schemas.BatchResponse
)
async def recommend_batch(body: schemas.BatchRequest, request: Request, model: Model) -> Response:
    """Answer each history as if it were alone; never with the films of two models."""
    settings = settings_of(request)
    check(too_many("histories", body.histories, settings.max_histories))
    check(too_long(body, settings), wrong_options(body, model.predictor, settings))
    answers = await pool_of(request).run(answers_to, model.predictor, body.histories, body)
    made = prediction_id(request, model, items=len(answers), abstained=sum(each.popular for each in answers))
    results = b",".join(b"{%b}" % each.fields() for each in answers)
    return Response(answered(made, model.named, b'"results":[%b]' % results), media_type="application/json")


@router.get("/films", summary="Find films by words, or by their ids")
async def films(asked: Annotated[schemas.FilmsQuery, Query()], request: Request, model: Model) -> schemas.FilmsResponse:
    """Return the films that fit a search best, or those of the ids."""
    settings, predictor, unknown = settings_of(request), model.predictor, list[int]()
    if (query := asked.query) is None:
        check(too_many("ids", asked.film_ids, settings.max_history))
        matches, unknown = by_ids(asked.film_ids, predictor.catalogue)
    else:
        check(too_many("query", query, settings.max_query))
        matches = await pool_of(request).run(lambda: predictor.search.find(query, limit=asked.limit))
    return schemas.FilmsResponse(
        id=answer_id(request), model=model.named, films=list(map(schemas.film_of, matches)), unknown=unknown
    )


@router.get("/films/{film_id}/similar", summary="The films that are most like one film")
async def similar(
    film_id: schemas.FilmId, asked: Annotated[schemas.SimilarQuery, Query()], request: Request, model: Model
) -> schemas.SimilarResponse:
    """Return the films whose factors lie in the direction of one film's."""
    catalogue = model.predictor.catalogue
    check(too_large("k", asked.k, settings_of(request).max_k))
    if film_id not in catalogue.position:
        detail = f"No film has the id {film_id}. GET /v1/films?query= finds the ids of titles."
        raise ProblemError(404, detail)
    film = schemas.film_of(catalogue.films[catalogue.position[film_id]])
    nearest = await pool_of(request).run(lambda: model.predictor.similar(film_id, k=asked.k))
    others = [schemas.SimilarFilm(schemas.film_of(other), similarity) for other, similarity in nearest]
    return schemas.SimilarResponse(id=answer_id(request), model=model.named, film=film, similar=others)


@router.get("/catalogue", summary="How many films there are, their genres and years, and the limits")
async def catalogue(request: Request, model: Model) -> schemas.CatalogueResponse:
    """Return what a page needs to offer filters."""
    catalogue = model.predictor.catalogue
    years = catalogue.years[catalogue.years > 0]
    settings: ServeSettings = settings_of(request)
    return schemas.CatalogueResponse(
        id=answer_id(request),
        model=model.named,
        films=len(catalogue),
        genres=list(catalogue.genre_names),
        year_min=int(years.min()),
        year_max=int(years.max()),
        limits=schemas.Limits(**{limit.name: getattr(settings, limit.name) for limit in fields(schemas.Limits)}),
    )


def create_app(settings: ServeSettings) -> FastAPI:
    """Build the service; its model is loaded when it starts."""
    return create_service(
        title="Film recommendations",
        description="From a viewing history to films worth watching, each with the films that are the reason.",
        settings=settings,
        project=MODEL_NAME,
        load=Predictor.load,
        smoke_test=smoke_test,
        web=Path(__file__).parent / "web",
        router=router,
        truth=Truth,
    )


def smoke_test(predictor: Predictor) -> None:
    """Refuse a model that cannot recommend, filter, search or compare; what they need once is made here as well."""
    film = predictor.recommend([], k=1).recommendations[0].film
    prediction = predictor.recommend([Seen(film.id, 4.0)], filters=Filters(genres=film.genres), k=5)
    scores = [recommendation.score for recommendation in prediction.recommendations]
    if prediction.basis != "history" or scores != sorted(scores, reverse=True):
        raise ValueError(f"recommendations for {film.name!r} rest on {prediction.basis} and score {scores}")
    if answer_of(prediction).recommendations.keys() != set(prediction.ids):
        raise ValueError(f"an answer lacks some of the films {prediction.ids}")
    if film not in predictor.search.find(film.name):
        raise ValueError(f"a search for {film.name!r} does not find it")
    if film in [other for other, _ in predictor.similar(film.id)]:
        raise ValueError(f"{film.name!r} is among the films that are like it")


def result_for(predictor: Predictor, body: schemas.RecommendationRequest, settings: ServeSettings) -> dict[str, Any]:
    """Return the fields of a `Result`, or answer 422; runs in a worker thread."""
    check(too_many("history", body.history, settings.max_history), wrong_options(body, predictor, settings))
    (answer,) = answers_to(predictor, [body.history], body)
    fields: dict[str, Any] = from_json(b"{%b}" % answer.fields())
    return fields


def challenger_for(request: Request, body: schemas.RecommendationRequest) -> LoadedModel[Predictor] | None:
    """Return the challenger, if it knows the genres of the filters."""
    challenger: LoadedModel[Predictor] | None = request.app.state.rollout.challenger()
    genres = set(body.genres + body.exclude_genres)
    if challenger is None or not genres <= set(challenger.predictor.catalogue.genre_names):
        return None
    return challenger


async def answer_to(
    request: Request,
    model: LoadedModel[Predictor],
    challenger: LoadedModel[Predictor] | None,
    body: schemas.RecommendationRequest,
) -> tuple[Answer, list[Team | None] | None]:
    """Return the answer to one history, and the team of each film if a challenger had its part.

    The seed of the draft is drawn anew and kept nowhere: who knew it would know the teams.
    """
    predict = partial(answers_to, histories=[body.history], options=body)
    if challenger is None:
        pool = pool_of(request)
        compute = pool.run_here if is_quick(model.predictor, body) else pool.run
        (answer,) = await compute(predict, model.predictor)
        return answer, None
    (alone,), others = await request.app.state.rollout.both(request, (model, challenger), predict)
    if others is None:
        return alone, None
    return interleave(alone, *others, k=body.k, seed=secrets.randbits(64))


def is_quick(predictor: Predictor, body: schemas.RecommendationRequest) -> bool:
    """Whether an answer takes a fraction of a millisecond: less than the way to a thread and back."""
    return predictor.live_factors <= QUICK_FACTORS and len(body.history) * body.k <= QUICK_PAIRS and not body.diversity


def answers_to(predictor: Predictor, histories: Sequence[Sequence[Seen]], options: schemas.Options) -> list[Answer]:
    """Return what the predictor recommends for each history with these options, which have been checked."""
    filters = Filters(tuple(options.genres), tuple(options.exclude_genres), options.year_from, options.year_to)
    predictions = predictor.predict(histories, k=options.k, filters=filters, diversity=options.diversity)
    return list(map(answer_of, predictions))


def wrong_options(options: schemas.Options, predictor: Predictor, settings: ServeSettings) -> Iterable[FieldError]:
    """Yield what no schema can know: limits that are settings, genres of this model, fields that contradict."""
    yield from too_large("k", options.k, settings.max_k)
    genres = predictor.catalogue.genre_names
    for name in ("genres", "exclude_genres"):
        for i, genre in enumerate(getattr(options, name)):
            if genre not in genres:
                message = f"Expected one of {', '.join(genres)}"
                yield FieldError(field=f"{name}.{i}", message=message, value=genre, bound={"expected": list(genres)})
    for i, genre in enumerate(options.exclude_genres):
        if genre in options.genres:
            yield FieldError(field=f"exclude_genres.{i}", message="Expected a genre that is not wanted", value=genre)
    year, last = options.year_from, options.year_to
    if year is not None and last is not None and year > last:
        message = f"Expected no year after year_to, here at most {last}"
        yield FieldError(field="year_from", message=message, value=year, bound={"le": last})


def too_long(batch: schemas.BatchRequest, settings: ServeSettings) -> Iterable[FieldError]:
    """Yield the error of every history that is too long, and of an answer that is too large to hold in memory."""
    for i, history in enumerate(batch.histories):
        yield from too_many(f"histories.{i}", history, settings.max_history)
    most = settings.max_batch // len(batch.histories)
    if batch.k > most:
        message = (
            f"Expected at most {most} films for each of {len(batch.histories)} histories, "
            f"{settings.max_batch} in all: ask for fewer films, or in several batches"
        )
        bound = {"le": most, "max_batch": settings.max_batch}
        yield FieldError(field="k", message=message, value=batch.k, bound=bound)


def too_large(field: str, value: int, limit: int) -> Iterable[FieldError]:
    """Yield the error of a number above a limit that is a setting."""
    if value > limit:
        message = f"Input should be less than or equal to {limit}"
        yield FieldError(field=field, message=message, value=value, bound={"le": limit})


def too_many(field: str, value: Sized, limit: int) -> Iterable[FieldError]:
    """Yield the error of a text or list that is longer than a limit that is a setting."""
    if len(value) > limit:
        bound = {"max_length": limit, "actual_length": len(value)}
        yield FieldError(field=field, message=f"Expected at most {limit}, not {len(value)}", value=None, bound=bound)


def check(*groups: Iterable[FieldError]) -> None:
    """Answer 422 in the shape of a wrong field if any group holds an error."""
    if errors := [error for group in groups for error in group]:
        raise unprocessable(errors)


def by_ids(ids: Sequence[int], catalogue: Catalogue) -> tuple[list[Film], list[int]]:
    """Return the films of the ids in their order, and the ids that no film has."""
    films = [catalogue.films[catalogue.position[film_id]] for film_id in ids if film_id in catalogue.position]
    return films, [film_id for film_id in ids if film_id not in catalogue.position]
