"""A rate for each client, as token buckets in a table of bounded size: limiters for ASGI want a database beside it."""

import ipaddress
import math
import time
from collections import OrderedDict
from functools import lru_cache

CLIENTS = 10_000  # buckets; the client that was silent longest loses its own, and gets a full one when it comes again
BURST_SECONDS = 2  # a bucket holds what fills it in this time


class RateLimit:
    """How many requests a second each client may send in the long run; twice as many at once.

    Parameters
    ----------
    rate
        Requests a second a client.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._capacity = max(1.0, rate * BURST_SECONDS)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # client -> tokens, and when that was

    def take(self, client: str) -> int:
        """Take a token of the client: return 0, or after how many seconds there will be one."""
        now = time.monotonic()
        tokens, then = self._buckets.pop(client, (self._capacity, now))
        tokens = min(self._capacity, tokens + (now - then) * self._rate)
        taken = tokens >= 1
        self._buckets[client] = (tokens - taken, now)
        if len(self._buckets) > CLIENTS:
            self._buckets.popitem(last=False)
        return 0 if taken else math.ceil((1 - tokens) / self._rate)


@lru_cache(maxsize=1024)
def client_of(address: str) -> str:
    """Return what stands for an address in the table: of IPv6 its network, of which a client has all addresses.

    What is no address, such as that of a Unix socket or what somebody invents, is one client: the empty one.

    >>> client_of("192.0.2.7"), client_of("2001:db8:1:2:3::4")
    ('192.0.2.7', '2001:db8:1:2::/64')
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv4Address):
        return address
    return str(found.ipv4_mapped or ipaddress.ip_network((int(found), 64), strict=False))
