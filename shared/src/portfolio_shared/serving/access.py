"""Who may ask: keys, hosts and origins, checked before a body is waited for, and rates, counted before it is read."""

import ipaddress
import logging
import re

from starlette.types import Scope

from portfolio_shared.serving.api_keys import ApiKeys
from portfolio_shared.serving.problems import ProblemError
from portfolio_shared.serving.rate_limit import RateLimit, client_of
from portfolio_shared.serving.routes import path_of
from portfolio_shared.serving.settings import ServiceSettings

PROBES = frozenset({"/healthz", "/readyz"})  # whoever restarts a service has no key, and asks by any name
PAGE = ("/static/", "/web/")  # what shows a form for the key cannot ask for it
READS = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
RATE_BEYOND_LOOPBACK = 100.0
KNOWN_HOSTS = 64  # headers that are kept as found right
LONGEST_ADDRESS = 64  # characters, an interface of IPv6 among them

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]/?#@\s]+)(?::\d*)?")  # and a port
_ORIGIN = re.compile(rf"https?://({_HOST.pattern})")

_log = logging.getLogger(__name__)


class ExposedError(RuntimeError):
    """A service that anybody in the network could ask, which nobody has allowed."""


class Access:
    """What a service asks of every request before it answers: a name that is its own, an origin, a key, a rate.

    Raises
    ------
    KeysError
        If the keys are malformed or cannot be read.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._variable = f"{settings.model_config['env_prefix']}ALLOWED_HOSTS"
        self._named = frozenset(name for part in settings.allowed_hosts.split(",") if (name := part.strip().lower()))
        here = is_loopback(settings.host)
        own = LOOPBACK_NAMES | {_bracketed(settings.host.lower())} if here else LOOPBACK_NAMES
        self._hosts = self._named | own if here or self._named else None  # None: any
        self._known: set[bytes] = set()
        keys = ApiKeys(settings)
        self._keys = keys if keys.asked else None
        rate = settings.rate_limit
        if rate is None:
            rate = RATE_BEYOND_LOOPBACK if self._keys and not here else 0.0
        self._rate = RateLimit(rate) if rate else None

    def check(self, scope: Scope, *, counts: bool = True) -> None:
        """Raise `ProblemError` for a request that may not be answered; write whose key it has into its state.

        With `counts` off the rate is left alone: for a request whose body is still to come, and which is checked again.
        """
        path = path_of(scope)
        if path in PROBES:
            return
        host = origin = given = b""
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"origin":
                origin = value
            elif name == b"x-api-key":
                given = value
            elif name == b"authorization" and not given and value[:7].lower() == b"bearer ":
                given = value[7:].strip()
        if self._hosts is not None and host not in self._known:
            self._check_host(host)  # of HTTP/1.0, which need not have it, too
        if origin and scope["method"] not in READS:
            self._check_origin(origin, host)
        if self._keys is not None or self._rate is not None:
            self._check_client(scope, path, given, counts=counts)

    def _check_host(self, host: bytes) -> None:
        found = _HOST.fullmatch(host.decode("latin-1").lower())
        if found is None or self._hosts is None or found[1].rstrip(".") not in self._hosts:
            detail = f"The service has another name than the header Host says. {self._variable} lists its names."
            raise ProblemError(421, detail)
        if len(self._known) < KNOWN_HOSTS:
            self._known.add(host)

    def _check_origin(self, origin: bytes, host: bytes) -> None:
        """Refuse what a page of another origin sends; a browser alone says which it is, or that it is `null`."""
        found = _ORIGIN.fullmatch(origin.decode("latin-1").lower())
        if found is None or (found[1] != host.decode("latin-1").lower() and found[2] not in self._named):
            detail = "A page of another origin may not write here. If it may, name its host in "
            raise ProblemError(403, f"{detail}{self._variable}.")

    def _check_client(self, scope: Scope, path: str, given: bytes, *, counts: bool) -> None:
        name = self._keys.name_of(given) if self._keys is not None and given else None
        if self._rate is not None and counts:
            address = scope["client"][0][:LONGEST_ADDRESS] if scope["client"] else ""
            if wait := self._rate.take(f"key {name}" if name is not None else client_of(address)):
                detail = "This client asks more often than it may. Try again after the time in Retry-After."
                raise ProblemError(429, detail, headers={"Retry-After": str(wait)})
        if name is not None:
            scope["state"]["client"] = name
        elif self._keys is not None and path != "/" and not path.startswith(PAGE):
            detail = "This key is none of the service's, or none any more." if given else "The service asks for a key."
            detail += " Send one as `Authorization: Bearer KEY` or `X-API-Key: KEY`."
            challenge = 'Bearer error="invalid_token"' if given else "Bearer"
            raise ProblemError(401, detail, headers={"WWW-Authenticate": challenge})


def require_keys(settings: ServiceSettings) -> None:
    """Refuse to open a service to a network without keys, unless a setting allows that: then say so in the log.

    Raises
    ------
    ExposedError
        If others than this machine could reach it, and there are no keys.
    KeysError
        If the keys are malformed or cannot be read.
    """
    if ApiKeys(settings).asked or is_loopback(settings.host):
        return
    prefix, address = settings.model_config["env_prefix"], f"{settings.host}:{settings.port}"
    if not settings.open_without_keys:
        raise ExposedError(
            f"{address} can be reached from other machines, and there are no keys: name them in {prefix}API_KEY_FILE "
            f"(the command `key NAME` makes one), listen on 127.0.0.1, or set {prefix}OPEN_WITHOUT_KEYS=true"
        )
    _log.warning("%s answers whoever reaches it: there are no keys (%sOPEN_WITHOUT_KEYS)", address, prefix)


def is_loopback(host: str) -> bool:
    """Return whether a server that listens on this host is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
