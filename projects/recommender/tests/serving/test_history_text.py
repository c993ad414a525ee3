"""One reading of a history: as text, as JSON, as a cell of a table, and as the API takes it."""

import json

import numpy as np
import pytest
from pydantic import ValidationError

from recommender.models.prediction import Seen
from recommender.serving import history_text
from recommender.serving.history_text import InvalidHistoryError, history_of, parse_history
from recommender.serving.schemas import RecommendationRequest

TWO = [Seen(318), Seen(296)]
RATED = [Seen(318, 4.5), Seen(296, 4.0)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("  ", []),
        ("[]", []),
        ("318", [Seen(318)]),
        ("318 296:4.5  593:5", [Seen(318), Seen(296, 4.5), Seen(593, 5.0)]),
        *((text, TWO) for text in ("318,296", "318, 296", "318;296", "318|296", "318\t296", "318\u00a0296")),
        *(
            (text, TWO)
            for text in ("[318 296]", "[318, 296]", "[318\n 296]", "318.0 296.0", '["318", 296.0]', '"318 296"')
        ),
        *((text, RATED) for text in ("318:4,5 296:4", "318:4.5, 296:4", "318:4,5;296:4", "[318:4.5 | 296:4.0]")),
        (' [318, {"film_id": 296, "stars": 0.5}, {"film_id": 1}]', [Seen(318), Seen(296, 0.5), Seen(1)]),
        ('[{"film_id": 296, "rating": 4}, {"film_id": 1, "stars": null}]', [Seen(296, 4.0), Seen(1)]),
        ("2147483647", [Seen(2**31 - 1)]),
    ],
)
def test_a_history_is_read_in_its_order(text, expected):
    assert parse_history(text) == expected


@pytest.mark.parametrize(
    ("text", "echoed"),
    [
        ("318 x", "'x'"),
        ("318:", "'318:'"),
        ("318:0", "'318:0' (Input should be greater than or equal to 0.5)"),
        ("318:5.5", "'318:5.5' (Input should be less than or equal to 5)"),
        ("318:nan", "'318:nan'"),
        ("318:4,296:5", "'318:4,296:5'"),  # two films or a decimal comma: nobody knows
        ("3.5", "'3.5'"),
        ("0", "'0' (Input should be greater than or equal to 1)"),
        ("2147483648", "less than or equal to 2147483647"),
        ("1_000", "'1_000'"),
        ("-1", "'-1'"),
        ("\uff13\uff11", "\uff13\uff11"),
        ("9" * 5000, "99..."),
        ("[318", "'[318'"),
        ("[true]", "'true'"),
        ("[3.5]", "'3.5'"),
        ("[null]", "'null'"),
        ("[318 ... 296]", "'...'"),  # as NumPy prints a long array
        ("[" * 30_000 + "]" * 30_000, "[[..."),
        ("[" * 5_000 + "{", "recursion limit"),
        ('{"a":' * 5_000, "recursion limit"),
        (f'[{{"film_id": {"9" * 5000}}}]', "no JSON (number out of range"),
        ('[{"film_id": 1', "no JSON"),
        ('[{"film_id": true}]', "True"),
        ('[{"film_id": 1, "stars": NaN}]', "nan"),
        ('[{"film_id": 1, "stars": "four"}]', "four"),
        ('[{"film_id": 1, "stars": 9}]', "less than or equal to 5"),
        ('[{"film_id": 1, "star": 4}]', "star"),
        ('[{"film_id": 1, "stars": 4, "rating": 4}]', "stars"),
        ('[{"stars": 4}]', "film_id"),
        ('{"history": [1]}', "history"),
    ],
)
def test_what_is_no_history_is_refused_with_its_words(text, echoed):
    with pytest.raises(InvalidHistoryError, match="expected film ids between spaces, from the oldest") as error:
        parse_history(text)
    assert echoed in str(error.value)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (None, []),
        *((one, [Seen(318)]) for one in (318, 318.0, np.int64(318), np.float64(318), "318", {"film_id": 318})),
        *((many, TWO) for many in ([318, 296.0], (318, 296), np.array([318, 296]), np.array([318.0, 296.0]))),
        (np.array(["318", "296"]), TWO),
        ([np.int64(318), {"film_id": 296, "stars": np.float32(4)}], [Seen(318), Seen(296, 4.0)]),
    ],
)
def test_a_cell_of_a_table_may_hold_a_list_an_array_or_one_film(cell, expected):
    assert history_of(cell) == expected


@pytest.mark.parametrize("cell", [318.5, float("nan"), True, [[318]], np.eye(2), {1: 2}, object(), [None], 2**63])
def test_a_cell_that_is_no_history_is_refused(cell):
    with pytest.raises(InvalidHistoryError, match="history: found"):
        history_of(cell)


@pytest.mark.parametrize(
    "entry",
    [
        *({"film_id": film} for film in (318, 318.0, "318", "0318", "318.0", 3.5, True, None, "x", "1_000", "", [1])),
        *({"film_id": film} for film in (0, -1, 2**31 - 1, 2**31, 2**63, 10**400, "9" * 5000, 1e300)),
        *({"film_id": 318, "rating": stars} for stars in (4, 4.5, "4.5", 4.3, None, 0, 0.49, 5.01, True, "x", "4,5")),
        *({"film_id": 318, "rating": stars} for stars in ("1e0", " 4", [4], float("nan"), float("inf"))),
        *({**other} for other in ({}, {"rating": 4}, {"film_id": 1, "raiting": 4})),
    ],
)
def test_files_and_api_agree_on_every_record(entry):
    def of_api() -> list[Seen] | None:
        try:
            request = RecommendationRequest.model_validate({"history": [entry]})
        except ValidationError:
            return None
        return [Seen(film.film_id, film.stars) for film in request.history]

    def of_file() -> list[Seen] | None:
        try:
            return parse_history(json.dumps([entry]))
        except InvalidHistoryError:
            return None

    assert of_file() == of_api()


def test_words_are_kept_up_to_a_bound(monkeypatch):
    monkeypatch.setattr(history_text, "KEPT_WORDS", 3)
    words = history_text._Words()
    assert [words[word] for word in ("1", "2", "1", "3", "4:5", "1")] == [
        Seen(1),
        Seen(2),
        Seen(1),
        Seen(3),
        Seen(4, 5.0),
        Seen(1),
    ]
    assert len(words) <= 3
