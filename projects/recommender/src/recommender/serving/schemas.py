"""What the API accepts and returns: bounds, meaning and examples, and predictions in these terms."""

import json
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    TypeAdapter,
    dataclasses,
    model_validator,
)
from pydantic import Strict as PydanticStrict
from pydantic_core import PydanticCustomError

from portfolio_shared.serving.bounds import AtMost, Items
from portfolio_shared.serving.schemas import Answered, ExampleRequest, Strict
from recommender.data.catalogue import Film as CatalogueFilm
from recommender.models.prediction import Seen

FIRST_YEAR, LAST_YEAR = 1870, 2100  # what a filter accepts; the oldest film of MovieLens is from 1874
MAX_FILTER_GENRES = 50
MAX_FOUND = 50


def _no_words(value: object) -> object:
    """Refuse what Python takes for a number and nobody else does: true, "1_000"."""
    if isinstance(value, bool) or (isinstance(value, str) and not NUMBER.fullmatch(value)):
        raise ValueError(f"Expected a number, not {str(value)[:80]!r}")
    return value


NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_ID = Field(ge=1, le=2**31 - 1, description="As /v1/films finds it: MovieLens' number, or IMDb's in MovieTweetings")
FilmId = Annotated[int, _ID, BeforeValidator(_no_words)]
Length = Annotated[
    int, Field(ge=1, description="How many films; at most the setting MAX_K, by default 100"), AtMost("max_k")
]
Genres = Annotated[list[str], Items(0, MAX_FILTER_GENRES)]
Year = Annotated[int, Field(ge=FIRST_YEAR, le=LAST_YEAR)]

# Three films twice, as MovieLens and as IMDb number them: a model knows one half, and reports the other as unknown.
EXAMPLE: dict[str, Any] = {
    "history": [
        *({"film_id": 1, "rating": 4.5}, {"film_id": 260, "rating": 5}, {"film_id": 1196}),
        *({"film_id": 114709, "rating": 4.5}, {"film_id": 76759, "rating": 5}, {"film_id": 80684}),
    ],
    "k": 5,
    "exclude_genres": ["Horror"],
    "year_from": 1970,
}
EXAMPLE_REQUEST = ExampleRequest(
    # Without genres: a model of other films may have none of these.
    path="/v1/recommendations",
    body=json.dumps({"history": EXAMPLE["history"], "k": EXAMPLE["k"]}).encode(),
)


_STARS: Any = Field(
    default=None,
    validation_alias="rating",
    ge=0.5,
    le=5,
    allow_inf_nan=False,
    description="Stars, if the film was rated",
)


@dataclasses.dataclass(config=ConfigDict(extra="forbid"), frozen=True)
class SeenFilm(Seen):
    """A film of a history, as the predictor takes it: a history of 500 films is read once and not copied."""

    film_id: FilmId
    stars: Annotated[float | None, BeforeValidator(_no_words)] = _STARS


@dataclasses.dataclass(config=ConfigDict(extra="forbid"), frozen=True)
class _PlainFilm(Seen):
    """A film whose numbers are numbers, as nearly all are: no check of it calls Python."""

    film_id: Annotated[int, _ID, PydanticStrict()]
    stars: Annotated[float, PydanticStrict()] | None = _STARS


FILM_EXPECTED = PydanticCustomError(
    "film", 'Expected an object with film_id and, where there are stars, rating: {"film_id": 318, "rating": 4.5}'
)
_read_plain = TypeAdapter(Annotated[list[_PlainFilm], FailFast()]).validate_python
History = Annotated[
    list[SeenFilm], Items(setting="max_history", instead={"dataclass_type": FILM_EXPECTED}, quick=_read_plain)
]
HISTORY_RULE = "Oldest first: later films count more. Of a film that stands there twice, the last one counts"


class Options(Strict):
    """How many films, which ones, and how alike they may be."""

    k: Length = 10
    genres: Genres = Field(default=[], description="At least one of these; empty admits every film")
    exclude_genres: Genres = Field(default=[], description="None of these")
    year_from: Year | None = Field(default=None, description="First year; excludes films of unknown year")
    year_to: Year | None = Field(default=None, description="Last year; excludes films of unknown year")
    diversity: float = Field(
        default=0.0, ge=0, le=1, allow_inf_nan=False, description="0: the best films; 1: films unlike each other"
    )


class RecommendationRequest(Options):
    """What somebody has seen; an empty history gets popular films."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    history: History = Field(description=f"{HISTORY_RULE}. At most the setting MAX_HISTORY, by default 500")


class BatchRequest(Options):
    """Several histories with the same options."""

    histories: Annotated[list[History], Items(1, setting="max_histories")] = Field(
        description=f"{HISTORY_RULE}. At most the setting MAX_HISTORIES, by default 1,000; their number times k is at "
        "most the setting MAX_BATCH, by default 20,000",
        examples=[[EXAMPLE["history"], []]],
    )


class FilmsQuery(Strict):
    """Either words to search for, or the ids of films."""

    query: str | None = Field(
        default=None,
        min_length=1,
        description="Beginnings of words, words with a typo, a year; at most the setting MAX_QUERY, by default 100",
    )
    limit: int = Field(default=8, ge=1, le=MAX_FOUND, description="How many films a search returns at most")
    ids: str | None = Field(
        default=None,
        pattern=r"^[0-9]{1,10}(,[0-9]{1,10})*$",
        description="Film ids, separated by commas; at most the setting MAX_HISTORY, by default 500",
        examples=["1,260,1196"],
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> "FilmsQuery":
        if (self.query is None) == (self.ids is None):
            raise ValueError("Expected exactly one of query and ids")
        return self

    @property
    def film_ids(self) -> list[int]:
        """The ids, as numbers."""
        return [int(number) for number in self.ids.split(",")] if self.ids else []


class SimilarQuery(Strict):
    """How many films."""

    k: Length = 10


@dataclass(slots=True)
class Film:
    """A film as people know it; the genres are in alphabetical order."""

    film_id: int
    title: str
    year: int | None
    genres: tuple[str, ...]


@dataclass(slots=True)
class Reason:
    """A film of the history that speaks for a recommendation.

    `share` is its part of the score. Where the films that are named add more than the score, because others of the
    history speak against the film, it is its part of what the named ones add.
    """

    film: Film
    share: float


@dataclass(slots=True)
class Recommendation:
    """A film, its score and what speaks for it.

    Scores are comparable among the films of one model in one answer. For popular films the score is the number of
    people who rated the film, and there are no reasons. `chance`, from 0 to 1, is the share of people with such a
    history, and without this film in it, who watched it among their next ten films. It is null for films beyond the
    first 50 of the list without filters, where it was neither learned nor tested, and if the model is older than
    chances or had too few people to learn them from.
    """

    film: Film
    score: float
    reasons: list[Reason]
    chance: float | None


class Result(BaseModel):
    """The answer to one history: films, best first or in the order in which a diverse list was chosen."""

    popular: bool = Field(description="Nothing is known of the history: these are popular films")
    unknown: tuple[int, ...] = Field(description="Film ids of the history that are in no catalogue")
    recommendations: list[Recommendation]


class RecommendationResponse(Result, Answered):
    """The answer to one history, with the request's id and the model."""

    interleaved_with: str | None = Field(
        default=None, description="Version of a second model that some of the films are of; null: there is none"
    )


class BatchResponse(Answered):
    """Results in the order of the request's histories."""

    results: list[Result]


class FilmsResponse(Answered):
    """Films that fit a search, best first, or the films of the ids in their order."""

    films: list[Film]
    unknown: list[int] = Field(description="Ids that no film has")


@dataclass(slots=True)
class SimilarFilm:
    """A film and how similar it is, from -1 to 1."""

    film: Film
    similarity: float


class SimilarResponse(Answered):
    """The films most like one film, most similar first."""

    film: Film
    similar: list[SimilarFilm]


@dataclass(slots=True)
class Limits:
    """What a request may ask for; all are settings of the service."""

    max_history: int
    max_k: int
    max_histories: int
    max_batch: int
    max_query: int


class CatalogueResponse(Answered):
    """What a page needs to offer filters, and the service's limits."""

    films: int = Field(description="How many films there are")
    genres: list[str]
    year_min: int
    year_max: int
    limits: Limits


def film_of(film: CatalogueFilm) -> Film:
    """Return a film of the catalogue as the API shows it."""
    return Film(film.id, film.name, film.year, film.genres)
