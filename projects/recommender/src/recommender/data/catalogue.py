"""The films: what is known about each, and which of them a filter admits. Training and serving use it alike."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic_core import to_json


@dataclass(frozen=True, slots=True)
class Film:
    """One film.

    Attributes
    ----------
    id
        Number of the film in the data set (`movieId`).
    name
        To show, articles in front, without the year.
    year
        Of release, or None if it is not known.
    genres
        In alphabetical order; empty if none is listed.
    names
        What it is searched by: the main name first, then other ones.
    n_ratings
        How many people in the training data rated it.
    """

    id: int
    name: str
    year: int | None
    genres: tuple[str, ...]
    names: tuple[str, ...]
    n_ratings: int = 0


@dataclass(frozen=True)
class Filters:
    """Which films may be recommended.

    Attributes
    ----------
    genres
        A film has at least one of them; empty admits every film.
    without_genres
        A film has none of them.
    year_from, year_to
        First and last year, both included. A film of unknown year fails either bound.
    """

    genres: tuple[str, ...] = ()
    without_genres: tuple[str, ...] = ()
    year_from: int | None = None
    year_to: int | None = None


@dataclass(frozen=True)
class Catalogue:
    """All films in ascending order of their id; "item i" anywhere in the project is the film at position i."""

    films: tuple[Film, ...]

    def __post_init__(self) -> None:
        ids = [film.id for film in self.films]
        if not ids or any(later <= earlier for earlier, later in itertools.pairwise(ids)):
            raise ValueError("a catalogue needs films in ascending order of their id, each id once")

    def __len__(self) -> int:
        return len(self.films)

    @cached_property
    def position(self) -> dict[int, int]:
        """Position of each film by its id."""
        return {film.id: position for position, film in enumerate(self.films)}

    @cached_property
    def genre_names(self) -> tuple[str, ...]:
        """Every genre that a film has, in alphabetical order: the columns of `genres`."""
        return tuple(sorted({genre for film in self.films for genre in film.genres}))

    @cached_property
    def genres(self) -> NDArray[np.bool_]:
        """Bool, shape (n_films, n_genres)."""
        of_film = [[genre in film.genres for genre in self.genre_names] for film in self.films]
        return np.asfortranarray(of_film, dtype=np.bool_)  # filters read it by genre

    @cached_property
    def years(self) -> NDArray[np.int64]:
        """Int, shape (n_films,): year of release, 0 where it is not known."""
        return np.array([film.year or 0 for film in self.films], dtype=np.int64)

    @cached_property
    def n_ratings(self) -> NDArray[np.int64]:
        """Int, shape (n_films,): people in the training data who rated the film."""
        return np.array([film.n_ratings for film in self.films], dtype=np.int64)

    @cached_property
    def as_json(self) -> tuple[bytes, ...]:
        """Each film as answers show it."""
        shown = [
            {"film_id": film.id, "title": film.name, "year": film.year, "genres": film.genres} for film in self.films
        ]
        return tuple(map(to_json, shown))

    def counted(self, counts: NDArray[np.int64]) -> "Catalogue":
        """Return the films with other numbers of ratings, shape (n_films,)."""
        films = zip(self.films, counts.tolist(), strict=True)
        return Catalogue(tuple(replace(film, n_ratings=count) for film, count in films))

    def admitted(self, filters: Filters) -> NDArray[np.bool_]:
        """Return which films pass the filters, shape (n_films,).

        Raises
        ------
        ValueError
            If a genre is unknown.
        """
        passed = np.ones(len(self), dtype=np.bool_)
        if filters.genres:
            passed &= self._have_one_of(filters.genres)
        passed &= ~self._have_one_of(filters.without_genres)
        if filters.year_from is not None:
            passed &= self.years >= filters.year_from
        if filters.year_to is not None:
            passed &= (self.years <= filters.year_to) & (self.years > 0)
        return passed

    def _have_one_of(self, genres: Sequence[str]) -> NDArray[np.bool_]:
        have = np.zeros(len(self), dtype=np.bool_)
        for genre in genres:
            if genre not in self.genre_names:
                raise ValueError(f"no film has the genre {genre!r}; there are {', '.join(self.genre_names)}")
            have |= self.genres[:, self.genre_names.index(genre)]
        return have


def save_catalogue(catalogue: Catalogue, path: Path) -> None:
    """Write the films as JSON, one line each."""
    lines = ",\n".join(json.dumps(asdict(film), ensure_ascii=False) for film in catalogue.films)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def load_catalogue(path: Path) -> Catalogue:
    """Read what `save_catalogue` wrote."""
    films = json.loads(path.read_text(encoding="utf-8"))
    return Catalogue(
        tuple(Film(**{**film, "genres": tuple(film["genres"]), "names": tuple(film["names"])}) for film in films)
    )
