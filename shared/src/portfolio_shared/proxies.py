"""How a request leaves this process: never through a proxy to this machine, and what a proxy says is told as its word.

httpx reads the environment by itself, but sends what is for this machine through a proxy, fails on one that it does not
need, and knows neither networks in NO_PROXY nor the variables that requests reads.
"""

import ipaddress
import os
import ssl
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from portfolio_shared.addresses import hold, is_here, shown, without_secrets

CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
SOCKS = ("socks5", "socks5h")
_HERE = ("localhost", "127.0.0.0/8", "127.0.0.1", "::1")
# How a proxy refuses, or says that it cannot reach a host; and how MLflow, its login included, answers with these.
_OF_PROXIES = (403, 407, 502, 503, 504)
_OF_MLFLOW = ("{", "Invalid Host header", "Permission denied")


class NetworkSettingsError(RuntimeError):
    """A proxy, certificate file or address that somebody has set cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Proxy:
    """What stands between this machine and a server, and the variable that says so."""

    variable: str
    address: str

    def __str__(self) -> str:
        return f"the proxy {shown(self.address)} of {self.variable}"

    @property
    def scheme(self) -> str:
        """Its protocol, in lower case."""
        return self.address.partition("://")[0].lower()


def proxy_for(url: str) -> Proxy | None:
    """Return the proxy of the environment that a request to this address goes through, if any."""
    parts = split_address(url)
    if is_here(parts.hostname or "") or _is_exempt(parts):
        return None
    proxies = getproxies()
    for scheme in (parts.scheme, "all"):
        if address := proxies.get(scheme):
            names = (f"{scheme}_proxy", f"{scheme}_proxy".upper())
            variable = next((name for name in names if os.environ.get(name)), "the system's settings")
            address = address if "://" in address else f"http://{address}"
            hold(address)
            return Proxy(variable, address)
    return None


def split_address(url: str) -> SplitResult:
    """Return the parts of an address; raise NetworkSettingsError, without its password, if it is none."""
    hold(url)
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.port != 0 and "@" not in "".join(parts[2:]):  # an @ there may end a password
            return parts
    way = "expected scheme://host:port; in a password, write %23 for #, %2F for /, %3F for ? and %40 for @"
    raise NetworkSettingsError(f"{shown(url)!r} is no address: {way}")


def no_proxy(*addresses: str) -> dict[str, str]:
    """Return the environment under which other programs and libraries reach this machine without a proxy.

    Parameters
    ----------
    *addresses
        Of servers: those that run here are exempt under the name that they are given.
    """
    hosts = [split_address(address).hostname or "" for address in addresses]
    here = [*_HERE, *(host for host in hosts if is_here(host))]
    lower, upper = (os.environ.get(name) for name in ("no_proxy", "NO_PROXY"))
    given = {"no_proxy": lower or upper or "", "NO_PROXY": upper or lower or ""}
    return {
        # A star exempts every host, but only where it stands alone.
        name: "*" if _is_star(value) else ",".join(dict.fromkeys([*value.split(","), *here])).strip(",")
        for name, value in given.items()
    }


def require_usable(proxy: Proxy, **packages: str) -> None:
    """Raise NetworkSettingsError unless a proxy can be used.

    Parameters
    ----------
    **packages
        What a SOCKS proxy needs: module = distribution.
    """
    try:
        split_address(proxy.address)
    except NetworkSettingsError as error:
        raise NetworkSettingsError(f"{proxy.variable} cannot be used: {error}") from None
    if proxy.scheme in ("http", "https"):
        return
    setting = f"{proxy.variable}={shown(proxy.address)}"
    if proxy.scheme not in SOCKS:
        raise NetworkSettingsError(f"{setting}: expected a proxy http://, https://, socks5:// or socks5h://")
    if missing := [name for module, name in packages.items() if find_spec(module) is None]:
        raise NetworkSettingsError(
            f"{setting}: a SOCKS proxy needs a package: run `{sys.executable} -m pip install "
            f"{' '.join(missing)}`, or unset {proxy.variable}, or name the host in NO_PROXY"
        )


def mlflow_credentials() -> httpx.BasicAuth | None:
    """Return who we are to an MLflow server with a login, as MLflow's own clients read it, or None."""
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{name}") for name in ("USERNAME", "PASSWORD"))
    return httpx.BasicAuth(user, password) if user and password else None


def open_client(base_url: str, *, timeout: httpx.Timeout, auth: httpx.Auth | None = None) -> httpx.Client:
    """Return a client of one server, through the environment's proxy unless the server runs here.

    Parameters
    ----------
    auth
        Who we are to it, unless the address says so itself.

    Raises
    ------
    NetworkSettingsError
        If the address, the proxy or the file of certificates cannot be used.
    """
    proxy = proxy_for(base_url)
    if proxy is not None:
        require_usable(proxy, socksio="socksio")
    # Without https nothing is verified, and certificates take longer to read than an answer takes to come.
    context = certificates() if base_url.lower().startswith("https:") else None
    # Kept connections save nothing: a server closes them before the next look at the alias.
    limits = httpx.Limits(max_keepalive_connections=0)
    try:
        address = httpx.URL(base_url)
        return httpx.Client(
            base_url=address.copy_with(query=None, fragment=None),
            params=address.params,  # such as the token that a gateway asks for
            auth=None if address.userinfo else auth,
            timeout=timeout,
            limits=limits,
            verify=context or False,
            proxy=None if proxy is None else httpx.Proxy(proxy.address, ssl_context=_for_proxy(proxy)),
            trust_env=False,
        )
    except (httpx.InvalidURL, ValueError) as error:
        of = f"of {shown(base_url)}" + (f" or {proxy}" if proxy else "")
        raise NetworkSettingsError(f"the address {of} cannot be used; expected scheme://host:port") from error


def certificates() -> ssl.SSLContext:
    """Return what servers are verified by: the file that the environment names, or that of the package certifi."""
    require_certificates(*CERTIFICATES)
    named = [(name, value) for name in CERTIFICATES if (value := os.environ.get(name))]
    if not named:
        return httpx.create_ssl_context(trust_env=True)
    variable, path = named[0]
    try:
        if Path(path).is_dir():
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except OSError as error:
        raise NetworkSettingsError(f"{variable}={path} holds no certificates ({error}): correct or unset it") from error


def require_certificates(*variables: str) -> None:
    """Raise NetworkSettingsError if one of the variables names a file or folder of certificates that is not there."""
    for variable in variables:
        if (path := os.environ.get(variable)) and not Path(path).exists():
            raise NetworkSettingsError(f"{variable}={path}: there is no such file of certificates: correct or unset it")


def describe_failure(url: str, error: Exception) -> str:
    """Return why no answer came, in one line that names the proxy in between, if any."""
    text = without_secrets(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
    if (proxy := proxy_for(url)) is None:
        return text
    if isinstance(error, httpx.ProxyError):
        return f"{proxy} refused: {error}; let {urlsplit(url).hostname} through there, or name it in NO_PROXY"
    return f"{text}, asked through {proxy}; name the host in NO_PROXY to ask it directly"


def answered_by(url: str, status: int, text: str) -> str:
    """Return who gave an answer that was not expected: the server at `url`, or the proxy before it."""
    server, proxy = shown(url), proxy_for(url)
    if proxy is None:
        return server
    if is_of_proxy(url, status, text):
        return f"{proxy}, asked for {server} (let it through there, or name its host in NO_PROXY),"
    return f"{server}, through {proxy},"


def is_of_proxy(url: str, status: int, text: str) -> bool:
    """Return whether an answer is one of a proxy that refuses or cannot reach the server, and none of MLflow's."""
    return proxy_for(url) is not None and status in _OF_PROXIES and not text.lstrip().startswith(_OF_MLFLOW)


def _for_proxy(proxy: Proxy) -> ssl.SSLContext | None:
    return certificates() if proxy.scheme == "https" else None


def _is_exempt(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    named = f"{host}:{parts.port}" if parts.port else host
    exempt = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if _is_star(exempt) or proxy_bypass(host) or proxy_bypass(named):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in map(_network, exempt.split(",")) if network is not None)


def _is_star(exempt: str) -> bool:
    return exempt.strip() == "*"


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry.strip(), strict=False)
    except ValueError:  # a name
        return None
