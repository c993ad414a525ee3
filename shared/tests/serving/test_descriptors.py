"""How many files a service may open: as many as its connections need, or one line that says what to do."""

import pytest
from demo_service import DemoSettings

from portfolio_shared.serving import connections
from portfolio_shared.serving.connections import DescriptorsError, reserve_descriptors


@pytest.mark.parametrize(
    ("soft", "hard", "raised"),
    [(256, 10_000, 1200), (5000, 5000, None), (256, connections.resource.RLIM_INFINITY, 1200)],
)
def test_the_limit_of_open_files_is_raised_where_it_is_too_low(monkeypatch, soft, hard, raised):
    set_to = []
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(connections.resource, "setrlimit", lambda _, limits: set_to.append(limits))
    reserve_descriptors(DemoSettings())
    assert set_to == ([] if raised is None else [(raised, hard)])


def test_fewer_open_files_than_connections_are_one_clear_line(monkeypatch):
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: (256, 1000))
    with pytest.raises(DescriptorsError, match=r"^DEMO_MAX_CONNECTIONS=1000 needs 1200 .* DEMO_MAX_CONNECTIONS to 800"):
        reserve_descriptors(DemoSettings())
