"""A history as files and tables have it: `318 296:4.5 593`, a list, or the JSON of the API; rules are the API's."""

import re

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from recommender.models.prediction import Seen
from recommender.serving.schemas import SeenFilm

EXPECTED = (
    "expected film ids between spaces, from the oldest to the newest, with stars from 0.5 to 5 where there are any, "
    'such as "318 296:4.5" or [318, {"film_id": 296, "rating": 4.5}]'
)
PLAIN = re.compile(r"[0-9:. ]*")
WORD = re.compile(r"([0-9]{1,20}(?:\.0{1,9})?)(?::([0-9](?:[.,][0-9]{1,9})?))?")
BETWEEN, BETWEEN_RATED = re.compile(r"[\s,;|]+"), re.compile(r"[\s;|]+|,\s+")  # in 296:4,5 the comma is a decimal one
KEPT_WORDS = 100_000  # some 20 MB
ECHOED = 80  # characters of what is wrong
SEEN = TypeAdapter(SeenFilm)


class InvalidHistoryError(ValueError):
    """What is no history; the message echoes what is wrong and says what was expected."""


def parse_history(text: str) -> list[Seen]:
    """Read a history.

    Parameters
    ----------
    text
        Film ids, the oldest first, each with its stars after a colon where there are any; between them spaces, commas,
        semicolons or bars, and around all of them square brackets or nothing. Or a JSON list of ids and of objects
        as the API takes them, with `film_id` and, where there are any, `rating` (or `stars`). Empty text is an empty
        history.

    Raises
    ------
    InvalidHistoryError
        If it is neither, or the API would refuse an id or a number of stars.

    Examples
    --------
    >>> parse_history("318 296:4.5")
    [Seen(film_id=318, stars=None), Seen(film_id=296, stars=4.5)]
    >>> parse_history('[{"film_id": 296, "rating": 4.5}]')
    [Seen(film_id=296, stars=4.5)]
    """
    if PLAIN.fullmatch(text):
        return list(map(_from_word, text.split()))
    if "{" in text or '"' in text:
        try:
            entries = from_json(text)
        except ValueError as error:
            raise InvalidHistoryError(f"history {text[:ECHOED]!r} is no JSON ({error}); {EXPECTED}") from error
        return history_of(entries)
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    words = (BETWEEN_RATED if ":" in text else BETWEEN).split(text)
    return [_from_word(word) for word in words if word]


def history_of(value: object) -> list[Seen]:
    """Read a history out of a table's cell: a text, a list, one film alone, or nothing.

    Raises
    ------
    InvalidHistoryError
        As `parse_history`.

    Examples
    --------
    >>> history_of([318.0, {"film_id": 296, "rating": 4.5}])
    [Seen(film_id=318, stars=None), Seen(film_id=296, stars=4.5)]
    >>> history_of(None)
    []
    """
    value = value.tolist() if hasattr(value, "tolist") else value  # of NumPy, an array or one number
    if isinstance(value, str):
        return parse_history(value)
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return [_from_entry(entry.tolist() if hasattr(entry, "tolist") else entry) for entry in value]
    return [_from_entry(value)]


class _Words(dict[str, Seen]):
    """Words that were read: films and stars come again and again."""

    def __missing__(self, word: str) -> Seen:
        if not (parts := WORD.fullmatch(word)):
            raise _invalid(word)
        film, stars = parts.groups()
        seen = _checked({"film_id": film, "rating": stars and stars.replace(",", ".")}, word)
        if len(self) >= KEPT_WORDS:
            self.clear()
        self[word] = seen
        return seen


_from_word = _Words().__getitem__


def _from_entry(entry: object) -> Seen:
    if not isinstance(entry, dict):
        return _checked({"film_id": entry}, entry)
    if "stars" in entry and "rating" not in entry:
        return _checked({"rating" if name == "stars" else name: value for name, value in entry.items()}, entry)
    return _checked(entry, entry)


def _checked(fields: dict[str, object], echoed: object) -> Seen:
    """Return a film that keeps to the rules of the API."""
    try:
        film = SEEN.validate_python(fields)
    except ValidationError as error:
        raise _invalid(echoed, error.errors(include_url=False)[0]["msg"]) from error
    return Seen(film.film_id, film.stars)


def _invalid(entry: object, why: str = "") -> InvalidHistoryError:
    shown = repr(entry)
    shown = shown if len(shown) <= ECHOED else f"{shown[:ECHOED]}..."
    return InvalidHistoryError(f"history: found {shown}{why and f' ({why})'}; {EXPECTED}")
