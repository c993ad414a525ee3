"""The films of a data set, from the text of its file to a catalogue; what is odd about them is noted."""

from collections import Counter
from collections.abc import Iterable

from portfolio_shared.data.checks import DataReport
from portfolio_shared.data.tables import FileError
from recommender.data.catalogue import Film
from recommender.data.files import RawFilm
from recommender.data.titles import parse_title

NO_GENRE = frozenset({"(no genres listed)", "unknown", ""})
CHILDREN = ("Children's", "Children")  # 100K and 1M spell this genre otherwise than their successors


def films_of(raw_films: Iterable[RawFilm], report: DataReport) -> list[Film]:
    """Return the films in order of their id, and note in the report what is odd about them.

    Raises
    ------
    FileError
        With the place of a film whose id another one has, or that has no name.
    """
    films: dict[int, Film] = {}
    renamed = 0
    for raw in raw_films:
        if raw.id in films:
            raise FileError(f"{raw.place}: another film has the id {raw.id} already; expected each id once")
        try:
            title = parse_title(raw.title)
        except ValueError as error:
            raise FileError(f"{raw.place}: {error}") from error
        renamed += CHILDREN[0] in raw.genres
        genres = sorted({CHILDREN[1] if genre == CHILDREN[0] else genre for genre in raw.genres} - NO_GENRE)
        films[raw.id] = Film(raw.id, title.name, title.year, tuple(genres), title.names)
    titles = Counter((film.name, film.year) for film in films.values())
    for what, count in (
        ("films have no year in their title.", sum(film.year is None for film in films.values())),
        ("films have no genre.", sum(not film.genres for film in films.values())),
        ("titles belong to more than one film; they were kept apart.", sum(n > 1 for n in titles.values())),
        (f"films: genre {CHILDREN[0]!r} is called {CHILDREN[1]!r}.", renamed),
    ):
        if count:
            report.notes.append(f"{count} {what}")
    return sorted(films.values(), key=lambda film: film.id)
