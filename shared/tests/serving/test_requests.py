"""What a client may send, and what it reads when a value, a path or a method is wrong."""

import json
import logging

import pytest
from demo_service import (
    assert_problem,
    fields,
    house,
)


def test_prediction_carries_id_and_model(client):
    request, headers = {"houses": [house()]}, {"X-Request-ID": "order-1.a_B"}
    response, again = (client.post("/v1/prices", json=request, headers=headers) for _ in range(2))
    answer = response.json()
    assert answer == {"id": answer["id"], "model": {"name": "demo", "version": "7"}, "prices": [12000.0]}
    assert answer["id"] != again.json()["id"]  # a client that repeats its own id writes over nothing
    assert response.headers["x-request-id"] == "order-1.a_B"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "<script>", "a\u00e9", 'a"b'])
def test_request_id_that_could_harm_a_log_is_replaced(client, sent):
    response = client.get("/healthz", headers=[(b"X-Request-ID", sent.encode())])
    assert response.headers["x-request-id"] != sent
    assert len(bytes.fromhex(response.headers["x-request-id"])) == 16


def test_longest_request_id_is_kept(client):
    assert client.get("/healthz", headers={"X-Request-ID": "x" * 128}).headers["x-request-id"] == "x" * 128


def test_bound_field_and_value_are_named(client):
    problem = assert_problem(client.post("/v1/prices", json={"houses": [house(), house(year_built=1700)]}), 422)
    assert problem["title"] == "Unprocessable Content"
    assert problem["errors"] == [
        {
            "field": "houses.1.year_built",
            "value": 1700,
            "message": "Input should be greater than or equal to 1872",
            "bound": {"ge": 1872},
        }
    ]
    assert "houses.1.year_built" in problem["detail"]


def test_business_rule_has_the_same_shape(client):
    problem = assert_problem(client.post("/v1/prices", json={"houses": [house(area=10_000)]}), 422)
    assert problem["errors"] == [
        {"field": "houses.0.area", "value": 10_000.0, "message": "Too large", "bound": {"le": 9999}}
    ]


def test_missing_field_has_no_value_and_does_not_echo_its_parent(client):
    problem = assert_problem(client.post("/v1/prices", json={"houses": [{"area": 5}]}), 422)
    assert problem["errors"][0]["field"] == "houses.0.year_built"
    assert problem["errors"][0]["value"] is None


def test_unknown_field_is_refused_and_long_values_are_cut(client):
    problem = assert_problem(client.post("/v1/prices", json={"houses": [house(color="r" * 500)]}), 422)
    assert problem["errors"][0]["field"] == "houses.0.color"
    assert len(problem["errors"][0]["value"]) == 100
    problem = assert_problem(client.post("/v1/prices", json={"houses": [house(**{"c" * 500: 1})]}), 422)
    assert problem["errors"][0]["field"] == f"houses.0.{'c' * 88}..."
    assert len(problem["detail"]) < 200


def test_many_errors_are_counted_but_not_all_listed(client):
    problem = assert_problem(client.post("/v1/prices", json={"houses": [{}] * 40}), 422)
    assert problem["detail"].startswith("More than 50 values are refused (the first 50 are listed).")
    assert len(problem["errors"]) == 50


def test_path_parameter(client):
    problem = assert_problem(client.get("/v1/users/anna"), 422)
    assert problem["errors"][0]["field"] == "user_id"
    assert problem["errors"][0]["value"] == "anna"


def test_empty_body_is_named(client):
    problem = assert_problem(client.post("/v1/prices", headers={"Content-Type": "application/json"}), 422)
    assert problem["errors"][0]["field"] == "body"


def post_text(client, body, content_type="application/json"):
    return client.post("/v1/prices", content=body, headers={"Content-Type": content_type})


@pytest.mark.parametrize(
    "body",
    [
        b'{"houses": [{"area": NaN, "year_built": 1990}]}',
        b'{"houses": [{"area": Infinity, "year_built": 1990}]}',
        b'{"houses": [{"area": -Infinity, "year_built": 1990}]}',
        b'{"houses": [',
        b"\xff\xfe",
        b'"\\ud800"',
        b"[" * 1500,
        b'{"houses": ' + b"9" * 1900 + b"x}",
    ],
)
def test_what_is_not_json_is_400_with_the_place(client, body):
    problem = assert_problem(post_text(client, body), 400)
    assert "line 1 column" in problem["detail"]


@pytest.mark.parametrize("body", [b'{"houses": [{"area": 1, "year_built": 1990}]}', b""], ids=["JSON", "nothing"])
def test_a_byte_order_mark_before_json_is_ignored(client, body):
    status = 200 if body else 400
    assert post_text(client, b"\xef\xbb\xbf" + body).status_code == status


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_wide_encodings_are_named(client, encoding):
    body = json.dumps({"houses": [house()]}).encode(encoding)
    assert "UTF-16 or UTF-32: send UTF-8" in assert_problem(post_text(client, body), 400)["detail"]


@pytest.mark.parametrize(
    ("path", "field", "expected"),
    [
        ("/v1/prices?explain=true", "explain", []),
        ("/v1/slow?seconds=0&second=1", "second", ["seconds"]),
        ("/v1/slow?=1", "", ["seconds"]),
        (f"/v1/slow?{'x' * 5000}", f"{'x' * 97}...", ["seconds"]),
        ("/v1/model?v", "v", []),
        ("/readyz?x=1", "x", []),
        ("/healthz?x=1", "x", []),
        ("/metrics?name[]=up", "name[]", []),
    ],
)
def test_unknown_parameter_of_the_query_is_refused_with_those_that_are_known(client, path, field, expected):
    method = "POST" if "/prices" in path or "/slow" in path else "GET"
    problem = assert_problem(
        client.request(method, path, json={"houses": [house()]} if "/prices" in path else None), 422
    )
    (error,) = problem["errors"]
    assert (error["field"], error["bound"]) == (field, {"expected": str(expected)})
    assert all(name in error["message"] for name in expected or ["this path has none"])


def test_a_parameter_that_comes_twice_is_refused(client):
    problem = assert_problem(client.post("/v1/slow?seconds=0&seconds=1"), 422)
    assert (problem["errors"][0]["field"], problem["errors"][0]["message"]) == ("seconds", "Expected once only")


def test_another_encoding_is_named_with_its_place(client):
    body = '{"houses": [{"größe": 1}]}'.encode("latin-1")
    assert "not UTF-8: see byte 17" in assert_problem(post_text(client, body), 400)["detail"]


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/assets/swagger-ui.css", "/web/page.js", "/static/style.css"])
def test_a_link_to_a_page_may_carry_any_parameter(client, path):
    assert client.get(f"{path}?utm_source=letter").status_code == 200


def test_number_that_overflows_to_infinity_is_refused(client):
    problem = assert_problem(post_text(client, b'{"houses": [{"area": 1e999, "year_built": 1990}]}'), 422)
    assert problem["errors"][0]["field"] == "houses.0.area"
    assert problem["errors"][0]["value"] == "inf"


def test_number_without_end_is_a_problem_and_not_a_failure(client):
    body = b'{"houses": [{"area": 1, "year_built": ' + b"9" * 1900 + b"}]}"
    problem = assert_problem(post_text(client, body), 422)
    assert problem["errors"][0]["field"] == "houses.0.year_built"
    assert len(json.dumps(problem["errors"][0]["value"])) <= 102


def test_wrong_content_type_says_which_one_is_right(client):
    problem = assert_problem(post_text(client, b'{"houses": []}', "text/plain"), 415)
    assert "text/plain" in problem["detail"]
    assert "application/json" in problem["detail"]


def test_unknown_path(client):
    problem = assert_problem(client.get("/v1/nothing?token=secret"), 404)
    assert "secret" not in json.dumps(problem)
    assert "/docs" in problem["detail"]


def test_trailing_slash_is_not_redirected(client):
    assert_problem(client.post("/v1/prices/", json={}), 404)


def test_detail_of_a_project_is_kept(client):
    assert assert_problem(client.get("/v1/users/404"), 404)["detail"] == "no user 404 in this model"


def test_wrong_method_lists_the_methods_of_every_route_at_the_path(client):
    response = client.put("/v1/users/3")
    assert_problem(response, 405)
    assert response.headers["allow"] == "DELETE, GET, HEAD"


@pytest.mark.parametrize("path", ["/web/page.js", "/docs/assets/swagger-ui.css"])
def test_wrong_method_on_a_file(client, path):
    response = client.post(path)
    assert_problem(response, 405)
    assert response.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/web/../secret", "/web/%2e%2e/secret", "/static/none.css", "/web/%00"])
def test_files_outside_the_folders_do_not_exist(client, path):
    assert_problem(client.get(path), 404)


def test_unexpected_exception_tells_the_client_nothing_but_the_id(client, caplog):
    problem = assert_problem(client.get("/v1/broken"), 500)
    assert "internal detail" not in json.dumps(problem)
    assert problem["instance"] in problem["detail"]
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]  # written before the answer
    assert record.exc_info is not None
    assert fields(record)["request_id"] == problem["instance"]
