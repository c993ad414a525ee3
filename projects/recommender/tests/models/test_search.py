"""Films are found by what people type."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.data.catalogue import Catalogue, Film
from recommender.data.load import Dataset
from recommender.data.titles import parse_title
from recommender.models.search import FilmSearch, _letters, edit_distances

TITLES = {
    "Matrix, The (1999)": 278,
    "Matrix Reloaded, The (2003)": 96,
    "Amelie (Fabuleux destin d'Amélie Poulain, Le) (2001)": 120,
    "Godfather, The (1972)": 192,
    "Godfather: Part II, The (1974)": 129,
    "Ocean's Eleven (2001)": 119,
    "Spider-Man (2002)": 122,
    "WALL·E (2008)": 104,
    "Seven (a.k.a. Se7en) (1995)": 203,
    "2001: A Space Odyssey (1968)": 109,
    "Shrek (2001)": 170,
    "E.T. the Extra-Terrestrial (1982)": 122,
    "Romeo & Juliet (1968)": 20,
    "Emma (1996)": 30,
    "Emma (2020)": 3,
    "Ghost (1990)": 115,
    "千と千尋 (2001)": 1,
}


@pytest.fixture(scope="module")
def search() -> FilmSearch:
    films = []
    for number, (text, count) in enumerate(TITLES.items()):
        title = parse_title(text)
        films.append(Film(number, title.name, title.year, (), title.names, count))
    return FilmSearch(Catalogue(tuple(films)))


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("matrix 1999", "The Matrix"),
        ("matrix 2003", "The Matrix Reloaded"),
        ("the matrix", "The Matrix"),
        ("matrix", "The Matrix"),
        ("matr", "The Matrix"),
        ("matrx", "The Matrix"),
        ("amtrix", "The Matrix"),
        ("MATRIX!", "The Matrix"),
        ("amelie", "Amelie (Le Fabuleux destin d'Amélie Poulain)"),
        ("Amélie", "Amelie (Le Fabuleux destin d'Amélie Poulain)"),
        ("fabulleux destn", "Amelie (Le Fabuleux destin d'Amélie Poulain)"),
        ("godfater", "The Godfather"),
        ("godfater part", "The Godfather: Part II"),
        ("father", None),
        ("oceans eleven", "Ocean's Eleven"),
        ("ocean's", "Ocean's Eleven"),
        ("spiderman", "Spider-Man"),
        ("spider man", "Spider-Man"),
        ("walle", "WALL·E"),
        ("wall e", "WALL·E"),
        ("se7en", "Seven (a.k.a. Se7en)"),
        ("2001", "2001: A Space Odyssey"),
        ("et", "E.T. the Extra-Terrestrial"),
        ("e.t.", "E.T. the Extra-Terrestrial"),
        ("romeo and juliet", "Romeo & Juliet"),
        ("romeo & juliet", "Romeo & Juliet"),
        ("emma", "Emma"),
        ("godfthaer", "The Godfather"),
        ("千と", "千と千尋"),
        ("shrek ogre", "Shrek"),
        ("zzzzzzzz", None),
        ("", None),
        ("!?", None),
    ],
)
def test_the_first_match(search: FilmSearch, query: str, first: str | None) -> None:
    films = search.find(query)
    assert (films[0].name if films else None) == first


def test_of_equal_titles_the_better_known_film_is_first_and_a_year_decides(search: FilmSearch) -> None:
    assert [film.year for film in search.find("emma")] == [1996, 2020]
    assert search.find("emma 2020")[0].year == 2020


def test_a_year_alone_lists_its_films_after_titles_with_the_number(search: FilmSearch) -> None:
    assert [film.name for film in search.find("2001", limit=3)][:2] == ["2001: A Space Odyssey", "Shrek"]


def test_limit_and_distinct_films(search: FilmSearch) -> None:
    films = search.find("the", limit=3)
    assert len(films) == 3
    assert len({film.id for film in search.find("a", limit=99)}) == len(search.find("a", limit=99))


def slow_distance(word: str, other: str) -> int:
    """Optimal string alignment, as written in textbooks."""
    table = {(i, 0): i for i in range(len(word) + 1)} | {(0, j): j for j in range(len(other) + 1)}
    for i in range(1, len(word) + 1):
        for j in range(1, len(other) + 1):
            cost = word[i - 1] != other[j - 1]
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + cost)
            if i > 1 and j > 1 and word[i - 1] == other[j - 2] and word[i - 2] == other[j - 1]:
                table[i, j] = min(table[i, j], table[i - 2, j - 2] + 1)
    return table[len(word), len(other)]


@settings(max_examples=200, deadline=None)
@given(st.text("abc", min_size=1, max_size=7), st.lists(st.text("abc", min_size=1, max_size=7), min_size=1, max_size=5))
def test_distances_are_those_of_the_textbook(word: str, others: list[str]) -> None:
    whole, beginning = edit_distances(word, _letters(others))
    assert whole.tolist() == [slow_distance(word, other) for other in others]
    assert beginning.tolist() == [
        min(slow_distance(word, other[:n]) for n in range(len(other) + 1)) for other in others
    ]


@pytest.mark.long
@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_text_can_be_searched(text: str) -> None:
    film = Film(1, "One", 2000, (), ("One",), 1)
    assert len(FilmSearch(Catalogue((film,))).find(text)) <= 1


@pytest.mark.real_data
def test_real_titles(latest_small: Dataset) -> None:
    search = FilmSearch(latest_small.catalogue)
    for query, name in {
        "matrix 1999": "The Matrix",
        "termnator 2": "Terminator 2: Judgment Day",
        "shawshnak redemption": "The Shawshank Redemption",
        "lord of rings": "The Lord of the Rings: The Two Towers",
        "la vita e bella": "Life Is Beautiful (La Vita è bella)",
    }.items():
        assert search.find(query)[0].name == name
    sampled = np.random.default_rng(0).choice(len(latest_small.catalogue), 200, replace=False)
    for film in (latest_small.catalogue.films[position] for position in sampled):
        assert film in search.find(f"{film.names[0]} {film.year or ''}", limit=10)
