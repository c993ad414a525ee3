"""Filters admit what they say, and a catalogue survives its file."""

from pathlib import Path

import numpy as np
import pytest

from recommender.data.catalogue import Catalogue, Film, Filters, load_catalogue, save_catalogue

CATALOGUE = Catalogue(
    (
        Film(1, "Un", 1990, ("Comedy", "Drama"), ("Un",), 5),
        Film(4, "Duo", None, (), ("Duo",)),
        Film(6, "Três", 2001, ("Horror",), ("Três", "Three"), 2),
    )
)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), [True, True, True]),
        (Filters(genres=("Drama", "Horror")), [True, False, True]),
        (Filters(without_genres=("Comedy",)), [False, True, True]),
        (Filters(genres=("Drama",), without_genres=("Comedy",)), [False, False, False]),
        (Filters(year_from=1990), [True, False, True]),
        (Filters(year_to=1990), [True, False, False]),
        (Filters(year_from=1991, year_to=2001), [False, False, True]),
    ],
)
def test_filters(filters: Filters, expected: list[bool]) -> None:
    np.testing.assert_array_equal(CATALOGUE.admitted(filters), expected)


@pytest.mark.parametrize("filters", [Filters(genres=("Comdy",)), Filters(without_genres=("Comdy",))])
def test_an_unknown_genre_is_refused_with_those_there_are(filters: Filters) -> None:
    with pytest.raises(ValueError, match="'Comdy'; there are Comedy, Drama, Horror"):
        CATALOGUE.admitted(filters)


def test_films_must_be_in_order_and_unique() -> None:
    film = CATALOGUE.films[0]
    for films in ((), (film, film), CATALOGUE.films[::-1]):
        with pytest.raises(ValueError, match="ascending order"):
            Catalogue(films)


def test_round_trip(tmp_path: Path) -> None:
    save_catalogue(CATALOGUE, tmp_path / "films.json")
    assert load_catalogue(tmp_path / "films.json") == CATALOGUE
    assert "Três" in (tmp_path / "films.json").read_text(encoding="utf-8")


def test_positions_and_genres() -> None:
    assert CATALOGUE.position == {1: 0, 4: 1, 6: 2}
    assert CATALOGUE.genre_names == ("Comedy", "Drama", "Horror")
    np.testing.assert_array_equal(CATALOGUE.genres.astype(int), [[1, 1, 0], [0, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(CATALOGUE.years, [1990, 0, 2001])
