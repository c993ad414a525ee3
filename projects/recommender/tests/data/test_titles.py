"""Titles as the data sets have them, the odd ones included."""

import pytest

from recommender.data.titles import parse_title


@pytest.mark.parametrize(
    ("text", "name", "year"),
    [
        ("Toy Story (1995)", "Toy Story", 1995),
        ("American President, The (1995)", "The American President", 1995),
        ("Assembly (Ji jie hao) (2007) ", "Assembly (Ji jie hao)", 2007),
        ("Babylon 5", "Babylon 5", None),
        ("Death Note: Desu nôto (2006\u20132007)", "Death Note: Desu nôto", 2006),
        ("Fawlty Towers (1975-1979)", "Fawlty Towers", 1975),
        ("Big Little Lies (2017- )", "Big Little Lies", 2017),
        ("(500) Days of Summer (2009)", "(500) Days of Summer", 2009),
        ("2001: A Space Odyssey (1968)", "2001: A Space Odyssey", 1968),
        ("1984 (1956)", "1984", 1956),
        ("Norte, El (1984)", "El Norte", 1984),
        ("Avventura, L' (Adventure, The) (1960)", "L'Avventura (The Adventure)", 1960),
        ("Me, Myself & Irene (2000)", "Me, Myself & Irene", 2000),
        (
            "Adventures of Mary-Kate and Ashley, The: The Case (1995)",
            "The Adventures of Mary-Kate and Ashley: The Case",
            1995,
        ),
        ("unknown", "unknown", None),
    ],
)
def test_name_and_year(text: str, name: str, year: int | None) -> None:
    title = parse_title(text)
    assert (title.name, title.year) == (name, year)


def test_other_names_are_searchable_without_a_k_a() -> None:
    assert parse_title("Seven (a.k.a. Se7en) (1995)").names == ("Seven", "Se7en")
    assert parse_title("Amelie (Fabuleux destin d'Amélie Poulain, Le) (2001)").names == (
        "Amelie",
        "Le Fabuleux destin d'Amélie Poulain",
    )
    assert parse_title("One (Two) (Three, The) (1990)").names == ("One", "Two", "The Three")


@pytest.mark.parametrize("text", ["", "  "])
def test_a_film_without_a_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="needs a name"):
        parse_title(text)
