import json

import pytest

from portfolio_shared.serving.problems import FieldError, ProblemError, echo, phrase, problem_response, unprocessable


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
    ],
)
def test_echo(value: object, expected: object) -> None:
    assert echo(value) == expected
    json.dumps(echo(value), allow_nan=False)


def test_echo_cuts_the_longest_number_that_a_body_can_hold() -> None:
    assert len(str(echo(10**4299))) == 100


def test_phrases_do_not_depend_on_the_version_of_python() -> None:
    assert [phrase(status) for status in (404, 413, 415, 422, 429)] == [
        "Not Found",
        "Content Too Large",
        "Unsupported Media Type",
        "Unprocessable Content",
        "Too Many Requests",
    ]


def test_response_is_problem_json_with_headers() -> None:
    error = ProblemError(429, phrase(429), "Full.", headers={"Retry-After": "1"})
    response = problem_response(error, "id-1")
    assert response.status_code == 429
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"] == "1"
    assert json.loads(bytes(response.body)) == {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "Full.",
        "instance": "id-1",
    }


def test_an_error_has_a_code_only_where_one_is_given() -> None:
    errors = [FieldError(field="files.0", message="Empty", code="empty"), FieldError(field="k", message="Too large")]
    listed = json.loads(bytes(problem_response(unprocessable(errors), "id").body))["errors"]
    assert [error.get("code", "none") for error in listed] == ["empty", "none"]


def test_lone_surrogate_and_infinite_bound_still_make_valid_json() -> None:
    errors = [FieldError(field="name\ud800", value="\ud800", message="Bad", bound={"lt": float("inf")})]
    body = bytes(problem_response(unprocessable(errors), "id").body)
    assert json.loads(body)["errors"] == [
        {"field": "name\ud800", "value": "\ud800", "message": "Bad", "bound": {"lt": "inf"}}
    ]


def test_unprocessable_needs_an_error_and_counts_them() -> None:
    with pytest.raises(ValueError, match="at least one"):
        unprocessable([])
    two = [FieldError(field="a", message="Too small"), FieldError(field="b", message="Too large")]
    assert unprocessable(two).detail == "2 values are refused. a: Too small"
    assert unprocessable(two).errors == tuple(two)
