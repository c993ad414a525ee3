import pytest

from recommender.models.predictor import Seen
from recommender.serving.history_text import InvalidHistoryError, parse_history


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("  ", []),
        ("318", [Seen(318)]),
        ("318 296:4.5  593:5", [Seen(318), Seen(296, 4.5), Seen(593, 5.0)]),
        ("[]", []),
        ("[318, 296]", [Seen(318), Seen(296)]),
        (' [318, {"film_id": 296, "stars": 0.5}, {"film_id": 1}]', [Seen(318), Seen(296, 0.5), Seen(1)]),
        ('[{"film_id": 296, "stars": null}]', [Seen(296)]),
    ],
)
def test_a_history_is_read_in_its_order(text, expected):
    assert parse_history(text) == expected


@pytest.mark.parametrize(
    ("text", "echoed"),
    [
        ("318 x", "'x'"),
        ("318,296", "'318,296'"),
        ("318:", "'318:'"),
        ("318:0", "'318:0'"),
        ("318:5.5", "'318:5.5'"),
        ("318:nan", "'318:nan'"),
        ("3.5", "'3.5'"),
        ("[318", "no JSON"),
        ("[true]", "'True'"),
        ("[3.5]", "'3.5'"),
        ('["318"]', "'318'"),
        ('[{"film_id": 1, "stars": "4"}]', "stars"),
        ('[{"film_id": 1, "stars": 9}]', "stars"),
        ('[{"film_id": 1, "star": 4}]', "star"),
        ('[{"stars": 4}]', "stars"),
        ("[null]", "'None'"),
    ],
)
def test_what_is_no_history_is_refused_with_its_words(text, echoed):
    with pytest.raises(InvalidHistoryError, match="expected film ids from the oldest to the newest") as error:
        parse_history(text)
    assert echoed in str(error.value)
