"""What the columns of a person's own tables mean, by their headings."""

import difflib
import re
from collections.abc import Mapping

from portfolio_shared.data.tables import FileError, Table

RATING_COLUMNS = {"user": "userId", "film": "movieId", "value": "rating", "time": "timestamp"}
FILM_COLUMNS = {"film": "movieId", "title": "title", "genres": "genres"}
"""What is read of a file, to the heading that MovieLens gives it."""
SPELLINGS = {
    "user": ("userid", "user", "uid"),
    "film": ("movieid", "movie", "filmid", "film", "itemid", "item"),
    "value": ("rating", "stars", "score"),
    "time": ("timestamp", "time", "unixtimestamp", "datetime", "date", "ratedat"),
    "title": ("title", "movietitle", "filmtitle", "name"),
    "genres": ("genres", "genre"),
}
WHY = {"time": " (seconds since 1970, or dates): the last ratings of each person are hidden for the test"}


def meaning(heading: str) -> str | None:
    """Return what a column holds, whatever the case and the signs between the words of its heading.

    Examples
    --------
    >>> meaning("movie_id"), meaning("User ID"), meaning("imdbId")
    ('film', 'user', None)
    """
    plain = re.sub(r"[^a-z0-9]", "", heading.casefold())
    return next((name for name, spellings in SPELLINGS.items() if plain in spellings), None)


def columns_of(table: Table, wanted: Mapping[str, str]) -> dict[str, int]:
    """Return where each wanted column is, a key of `SPELLINGS`, given with its usual heading.

    Raises
    ------
    FileError
        If one is missing, or two headings mean the same.
    """
    places: dict[str, int] = {}
    for name, usual in wanted.items():
        found = [heading for heading in table.headings if meaning(heading) == name]
        if len(found) > 1:
            raise FileError(f"{table.path}: {' and '.join(found)} are both taken for {usual}; rename or drop one")
        if not found:
            others = [heading for heading in table.headings if meaning(heading) is None]
            close = difflib.get_close_matches(usual, others, n=1, cutoff=0.5)
            hint = f"; rename {close[0]!r} if that is it" if close else ""
            names = ", ".join(table.headings)[:500]
            raise FileError(f"{table.path}: no column {usual}{WHY.get(name, '')}; found {names}{hint}")
        places[name] = table.headings.index(found[0])
    return places
