"""What is watched of films: the truth that feedback brings, and the columns that are compared with the training."""

from pydantic import Field

from portfolio_shared.serving.schemas import Strict
from recommender.serving.schemas import FilmId


class Truth(Strict):
    """A film that somebody watched, and whether they liked it."""

    film_id: FilmId
    liked: bool | None = Field(default=None, strict=True, description="None: watched, and nothing said")
