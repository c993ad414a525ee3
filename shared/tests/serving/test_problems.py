import json

import pytest

from portfolio_shared.serving.problems import FieldError, ProblemError, echo, problem_response, unprocessable


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (-1.5, -1.5),
        (2**53 - 1, 2**53 - 1),
        (2**53, "9007199254740992"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        ("x" * 100, "x" * 100),
        ("x" * 101, "x" * 97 + "..."),
        ([1, 2], "[1, 2]"),
        (10**4299, "1" + "0" * 96 + "..."),  # the longest number that a body can hold
    ],
)
def test_echo(value, expected):
    assert echo(value) == expected
    json.dumps(echo(value), allow_nan=False)


@pytest.mark.parametrize(
    ("status", "title"), [(404, "Not Found"), (413, "Content Too Large"), (422, "Unprocessable Content")]
)
def test_title_does_not_depend_on_the_version_of_python(status, title):
    assert json.loads(problem_response(ProblemError(status, "Bad."), "id").body)["title"] == title


def test_an_error_has_a_code_only_where_one_is_given():
    errors = [FieldError(field="files.0", message="Empty", code="empty"), FieldError(field="k", message="Too large")]
    listed = json.loads(bytes(problem_response(unprocessable(errors), "id").body))["errors"]
    assert [error.get("code", "none") for error in listed] == ["empty", "none"]


def test_lone_surrogate_and_infinite_bound_still_make_valid_json():
    errors = [FieldError(field="name\ud800", value="\ud800", message="Bad", bound={"lt": float("inf")})]
    body = bytes(problem_response(unprocessable(errors), "id").body)
    assert json.loads(body)["errors"] == [
        {"field": "name\ud800", "value": "\ud800", "message": "Bad", "bound": {"lt": "inf"}}
    ]
