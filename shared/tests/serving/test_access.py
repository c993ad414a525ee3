import asyncio
import logging
import sys
from typing import Any

import pytest
import uvicorn
from demo_service import DemoSettings, access_records, create_app, fields, house, serving
from pydantic import ValidationError

from portfolio_shared.serving import server
from portfolio_shared.serving.access import Access, ExposedError, require_keys
from portfolio_shared.serving.api_keys import KeysError, new_key
from portfolio_shared.serving.problems import ProblemError

KEY, ENTRY = new_key("ann")
ANYWHERE = {"host": "192.0.2.1", "open_without_keys": True}


def asked(
    access: Access, path: str = "/v1/prices", method: str = "GET", client: str = "192.0.2.7", **headers: str
) -> tuple[int, dict[str, Any]]:
    """Return the status of the refusal, 200 for none, with the state of the request."""
    sent = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"path": path, "method": method, "headers": sent, "client": (client, 1), "state": {}}
    try:
        access.check(scope)
    except ProblemError as problem:
        return problem.status_code, scope["state"] | dict(problem.headers or {})
    return 200, scope["state"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_on_the_loopback_no_key_is_needed(host):
    require_keys(DemoSettings(host=host))
    assert asked(Access(DemoSettings(host=host)), host="localhost:8001") == (200, {})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])  # noqa: S104
def test_beyond_the_loopback_a_service_without_keys_does_not_start(host):
    with pytest.raises(ExposedError, match="no keys: name them in DEMO_API_KEY_FILE") as refused:
        require_keys(DemoSettings(host=host))
    assert "\n" not in str(refused.value)
    require_keys(DemoSettings(host=host, api_keys=ENTRY))


def test_malformed_keys_end_the_start_also_on_the_loopback():
    with pytest.raises(KeysError):
        require_keys(DemoSettings(api_keys="ann"))


def test_service_that_is_to_be_open_without_keys_says_so(caplog):
    require_keys(DemoSettings(**ANYWHERE))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "192.0.2.1:0 answers whoever reaches it" in caplog.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": f"Bearer {KEY}"}, 200),
        ({"authorization": f"bearer  {KEY}"}, 200),
        ({"x_api_key": KEY}, 200),
        ({"authorization": "Basic YTpi", "x_api_key": KEY}, 200),  # that of a proxy in front
        ({}, 401),
        ({"authorization": KEY}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"x_api_key": KEY[:-1]}, 401),
        ({"x_api_key": ENTRY}, 401),
        ({"x_api_key": "\xff"}, 401),
    ],
)
def test_key_comes_in_either_header(headers, status):
    found, state = asked(Access(DemoSettings(api_keys=ENTRY)), host="localhost", **headers)
    assert found == status
    assert state.get("client") == ("ann" if status == 200 else None)
    assert ("WWW-Authenticate" in state) == (status == 401)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *((path, 200) for path in ("/", "/static/page.js", "/web/page.js", "/healthz", "/readyz")),
        *((path, 401) for path in ("/metrics", "/docs", "/docs/start.js", "/openapi.json", "/v1/model", "/nowhere")),
        *((path, 401) for path in ("/healthz/", "/static", "//", "/readyz/..")),
    ],
)
def test_page_and_probes_alone_need_no_key(path, status):
    assert asked(Access(DemoSettings(api_keys=ENTRY)), path, host="localhost")[0] == status


@pytest.mark.parametrize(
    ("settings", "host", "status"),
    [
        *(({}, host, 200) for host in ("localhost", "LOCALHOST:8001", "127.0.0.1:1", "[::1]:8001", "localhost.:80")),
        *(({}, host, 421) for host in ("evil.example", "evil.example:8001", "127.0.0.1.evil.example", "a@localhost")),
        *(({}, host, 421) for host in ("", "[::1", "localhost:8001:1", "localhost, evil.example", "\xe9")),
        ({"host": "127.0.0.2"}, "127.0.0.2:8001", 200),
        ({"host": "::1"}, "[::1]:8001", 200),
        ({"allowed_hosts": "demo.example, other.example,"}, "demo.example", 200),
        ({"allowed_hosts": "demo.example, other.example,"}, "Other.example:443", 200),
        ({"allowed_hosts": "demo.example"}, "localhost", 200),
        ({"allowed_hosts": "demo.example"}, "evil.example", 421),
        (ANYWHERE, "any.example", 200),
        ({**ANYWHERE, "allowed_hosts": "demo.example"}, "demo.example:8001", 200),
        ({**ANYWHERE, "allowed_hosts": "demo.example"}, "127.0.0.1:8000", 200),
        ({**ANYWHERE, "allowed_hosts": "demo.example"}, "evil.example", 421),
    ],
)
def test_service_answers_to_its_own_names_alone(settings, host, status):
    access = Access(DemoSettings(**settings))
    assert [asked(access, host=host)[0] for _ in range(2)] == [status] * 2
    assert asked(access, "/readyz", host=host)[0] == 200  # a probe knows no name


@pytest.mark.parametrize(
    ("settings", "status"), [({}, 421), ({**ANYWHERE, "allowed_hosts": "demo.example"}, 421), (ANYWHERE, 200)]
)
def test_where_names_count_a_request_has_one(settings, status):
    access = Access(DemoSettings(**settings))
    assert (asked(access)[0], asked(access, "/readyz")[0]) == (status, 200)


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("http://localhost:8001", "localhost:8001", 200),
        ("https://LOCALHOST", "localhost", 200),  # behind a proxy that speaks TLS
        ("http://demo.example:9000", "localhost:8001", 200),  # named
        ("http://localhost:5500", "localhost:8001", 403),  # another program's page on this machine
        ("http://127.0.0.1:8001", "localhost:8001", 403),
        ("http://evil.example", "localhost:8001", 403),
        ("http://demo.example.evil.example", "localhost:8001", 403),
        ("null", "localhost:8001", 403),
        ("file://", "localhost:8001", 403),
        ("http://[", "localhost:8001", 403),
    ],
)
def test_page_of_another_origin_may_read_what_browsers_let_it_and_write_nothing(origin, host, status):
    access = Access(DemoSettings(allowed_hosts="demo.example"))
    assert asked(access, method="POST", host=host, origin=origin)[0] == status
    assert asked(access, method="GET", host=host, origin=origin)[0] == 200
    assert asked(access, method="POST", host=host)[0] == 200  # no browser


def test_rate_is_of_the_key_or_else_of_the_address():
    access = Access(DemoSettings(api_keys=ENTRY, rate_limit=1.0))
    own = {"host": "localhost", "x_api_key": KEY}
    assert [asked(access, **own)[0] for _ in range(3)] == [200, 200, 429]
    assert asked(access, client="192.0.2.8", **own)[0] == 429  # the same key from elsewhere
    assert [asked(access, host="localhost", x_api_key="guess")[0] for _ in range(3)] == [401, 401, 429]
    status, headers = asked(access, host="localhost", x_api_key="guess")
    assert (status, headers["Retry-After"]) == (429, "1")
    assert asked(access, client="192.0.2.9", host="localhost")[0] == 401
    assert asked(access, "/readyz")[0] == 200


@pytest.mark.parametrize(
    ("settings", "limited"),
    [
        ({}, False),
        ({"api_keys": ENTRY}, False),
        (ANYWHERE, False),  # a published port of a container: all come from one address
        ({"host": "192.0.2.1", "api_keys": ENTRY}, True),
        ({"host": "192.0.2.1", "api_keys": ENTRY, "rate_limit": 0}, False),
    ],
)
def test_rate_is_limited_by_default_where_others_come_with_keys(settings, limited):
    access = Access(DemoSettings(**settings))
    statuses = {asked(access, host="localhost", x_api_key=KEY)[0] for _ in range(400)}
    assert statuses == ({200, 429} if limited else {200})


def test_log_says_whose_key_it_was_and_nothing_says_the_key(models, web, caplog):
    caplog.set_level(logging.DEBUG)
    with serving(create_app(DemoSettings(api_keys=ENTRY), models, web)) as client:
        refused = client.post("/v1/prices", json={"houses": [house()]}, headers={"X-API-Key": f"{KEY}x"})
        answer = client.post("/v1/prices", json={"houses": [house()]}, headers={"X-API-Key": KEY})
        metrics = client.get("/metrics", headers={"Authorization": f"Bearer {KEY}"}).text
        assert client.get("/metrics").status_code == client.head("/v1/model").status_code == 401
    assert (refused.status_code, refused.headers["content-type"]) == (401, "application/problem+json")
    assert answer.status_code == 200
    first, second = access_records(caplog)[:2]
    assert (fields(first)["status"], "client" in fields(first)) == (401, False)
    assert (fields(second)["status"], fields(second)["client"]) == (200, "ann")
    assert 'status="401"' in metrics
    told = [caplog.text, str([vars(record) for record in caplog.records]), answer.text, refused.text, metrics]
    assert not [text for text in told if KEY in text or ENTRY in text]


def test_no_answer_lets_a_page_of_another_origin_read_it(client):
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    answers = [client.get("/v1/model", headers=asked), client.options("/v1/prices", headers=asked)]
    answers.append(client.post("/v1/prices", json={"houses": [house()]}, headers=asked))
    assert [answer.status_code for answer in answers] == [200, 405, 403]
    assert not [name for answer in answers for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    ("trusted", "client"), [("", "127.0.0.1"), ("127.0.0.1", "192.0.2.7"), ("10.0.0.1", "127.0.0.1")]
)
def test_a_proxy_is_believed_where_it_is_named(monkeypatch, models, web, trusted, client):
    started: list[uvicorn.Config] = []
    monkeypatch.setattr(server.Server, "run", lambda self, **_: started.append(self.config) or sys.exit(0))
    monkeypatch.setattr(server.signal, "signal", lambda *_: None)
    monkeypatch.setattr(server.sys, "setswitchinterval", lambda _: None)
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    seen = []

    async def app(scope, *_):
        seen.append(scope["client"][0])

    with pytest.raises(SystemExit):
        server.run(app, DemoSettings(trusted_proxies=trusted))
    started[0].load()
    scope = {"type": "http", "client": ("127.0.0.1", 1), "headers": [(b"x-forwarded-for", b"192.0.2.7")]}
    asyncio.run(started[0].loaded_app(scope, None, None))
    assert seen == [client]


@pytest.mark.parametrize("names", ["http://demo.example", "demo.example:8001", "demo example", "demo.example/x"])
def test_what_is_more_than_a_name_is_no_name(names):
    with pytest.raises(ValidationError, match="allowed_hosts"):
        DemoSettings(allowed_hosts=names)
