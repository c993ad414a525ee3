import pytest

from portfolio_shared.serving import rate_limit
from portfolio_shared.serving.rate_limit import RateLimit, client_of


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 0.0

    monkeypatch.setattr(rate_limit.time, "monotonic", lambda: Clock.now)
    return Clock


def test_client_may_send_a_burst_and_then_its_rate(clock):
    limit = RateLimit(5.0)
    assert [limit.take("a") for _ in range(11)] == [0] * 10 + [1]
    clock.now = 0.2  # a token later
    assert [limit.take("a"), limit.take("a")] == [0, 1]
    clock.now = 1000.0  # however long it is silent
    assert [limit.take("a") for _ in range(11)] == [0] * 10 + [1]


def test_clients_do_not_share_and_a_refused_one_hears_when_to_come_again(clock):
    limit = RateLimit(0.1)
    assert (limit.take("a"), limit.take("a"), limit.take("b")) == (0, 10, 0)
    clock.now = 9.0
    assert limit.take("a") == 1
    clock.now = 10.0
    assert limit.take("a") == 0


def test_table_has_a_bound_and_forgets_who_was_silent_longest(clock, monkeypatch):
    monkeypatch.setattr(rate_limit, "CLIENTS", 3)
    limit = RateLimit(0.5)
    for client in "abca":
        limit.take(client)
    limit.take("d")
    assert list(limit._buckets) == ["c", "a", "d"]


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::4", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
        ("x" * 30_000, ""),  # what a proxy lets through
        ("192.0.2.7:80", ""),
    ],
)
def test_a_network_of_ipv6_is_one_client(address, client):
    assert client_of(address) == client
