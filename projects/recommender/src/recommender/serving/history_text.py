"""A history as text, for files and tables: `318 296:4.5 593`, or the same as JSON."""

import json

from recommender.models.predictor import Seen

EXPECTED = (
    'expected film ids from the oldest to the newest, such as "318 296:4.5" or [318, {"film_id": 296, "stars": 4.5}]'
)


class InvalidHistoryError(ValueError):
    """A text that is no history; the message echoes what is wrong and says what was expected."""


def parse_history(text: str) -> list[Seen]:
    """Read a history.

    Parameters
    ----------
    text
        Film ids between spaces, the oldest first, each with its stars after a colon where there are any; or a JSON
        list of ids and of objects with `film_id` and, where there are any, `stars`. Empty text is an empty history.

    Raises
    ------
    InvalidHistoryError
        If it is neither, or a number of stars is not from 0.5 to 5.

    Examples
    --------
    >>> parse_history("318 296:4.5")
    [Seen(film_id=318, stars=None), Seen(film_id=296, stars=4.5)]
    >>> parse_history('[{"film_id": 296, "stars": 4.5}]')
    [Seen(film_id=296, stars=4.5)]
    """
    if text.lstrip().startswith("["):
        try:
            entries = json.loads(text)
        except json.JSONDecodeError as error:
            raise InvalidHistoryError(f"history {text[:80]!r} is no JSON ({error}); {EXPECTED}") from error
        return [_from_json(entry) for entry in entries]
    return [_from_word(word) for word in text.split()]


def _from_word(word: str) -> Seen:
    film, colon, stars = word.partition(":")
    try:
        return _checked(int(film), float(stars) if colon else None)
    except ValueError as error:
        raise _invalid(word) from error


def _from_json(entry: object) -> Seen:
    fields: dict[str, object] = entry if isinstance(entry, dict) else {"film_id": entry}
    film, stars = fields.get("film_id"), fields.get("stars")
    if isinstance(film, bool) or isinstance(stars, bool) or fields.keys() - {"film_id", "stars"}:
        raise _invalid(entry)
    if not (isinstance(film, int) and isinstance(stars, int | float | None)):
        raise _invalid(entry)
    try:
        return _checked(film, stars)
    except ValueError as error:
        raise _invalid(entry) from error


def _checked(film: int, stars: float | None) -> Seen:
    if stars is not None and not 0.5 <= stars <= 5.0:
        raise ValueError(stars)
    return Seen(film, None if stars is None else float(stars))


def _invalid(entry: object) -> InvalidHistoryError:
    return InvalidHistoryError(f"history: found {str(entry)[:80]!r}; {EXPECTED}, stars from 0.5 to 5")
