"""Addresses: what of one may be printed, and whether it is of this machine. Passwords and tokens are never printed."""

import ipaddress
import json
import re
import socket

# A password that is not escaped may hold any character but white space: what stands before the last @ counts as one.
# Without an @ before the first slash it takes a colon that no port follows. The lengths are bounded, because a text of
# another server may hold a million beginnings of an address.
_USER = re.compile(
    r"""(?<=://) (?: [^\s/?#"]{0,999}@ | [^\s/?#@:"]{0,999}:(?!\d{1,5}[/?#])[^\s"]{0,999}@ )  # of an address
    | (?<![^\s'"=,(]) [^\s'"=,(/?#@:]{1,999}:[^\s'"/@]{1,999}@ (?=[\w.-])  # and without its scheme""",
    re.VERBOSE,
)
_TOKEN = re.compile(
    r"([?&#;][\w.-]*(?:token|sig|signature|key|secret|password|passwd|pwd|auth|credential)s?=)[^&#;\s'\"]+",
    re.IGNORECASE,
)
_PARTS = re.compile(r"^(\w[\w+.-]*://|)([^/?#]*)(.*)", re.DOTALL)  # scheme, user and host, the rest
# What is secret in the addresses that we hold, as texts spell it, and what stands for it there.
_held: dict[str, str] = {}


def hold(address: str) -> None:
    """Let `without_secrets` hide what is secret in an address that we use, whatever characters it is of."""
    scheme, authority, rest = _PARTS.findall(address)[0]
    user = authority.rpartition("@")[0]
    before = "" if ":" in user else "//"  # a word alone may stand anywhere
    secrets = {f"{before}{user}@": f"{before}***@"} if user else {}
    if "@" in rest:  # where the password ends is anybody's guess
        secrets[(authority + rest).rstrip("/")] = "***"
    for secret, stand_in in secrets.items() if scheme else ():
        _held.update(dict.fromkeys((secret, repr(secret)[1:-1], json.dumps(secret)[1:-1]), stand_in))


def shown(address: str) -> str:
    """Return an address that we use as it may be printed: its scheme, host, port and path.

    >>> shown("http://me:s3cret@127.0.0.1:9/x?token=abc")
    'http://***@127.0.0.1:9/x'
    """
    scheme, authority, rest = _PARTS.findall(address)[0]
    if "@" in rest:
        return f"{scheme}***"
    _, at, host = authority.rpartition("@")
    host = re.sub(r"^([^\[:]*):(?!\d*$).*", r"\1:***", host, flags=re.DOTALL)  # what is no port may be a password
    return f"{scheme}{'***' if at else ''}{at}{host}{re.split('[?#]', rest)[0]}"


def without_secrets(text: str) -> str:
    """Hide user and password of every address in a text, and what its query calls a token, key or signature.

    >>> without_secrets("no answer from http://me:s3cret@127.0.0.1:9/x?token=abc: ConnectError")
    'no answer from http://***@127.0.0.1:9/x?token=*** ConnectError'
    """
    if "@" not in text and "=" not in text:  # most lines of a log
        return text
    for secret in sorted(_held, key=len, reverse=True):
        text = text.replace(secret, _held[secret])
    return _TOKEN.sub(r"\1***", _USER.sub("***@", text))


def is_here(host: str) -> bool:
    """Return whether a host is this machine: by a name of the loopback, by its own name, or by an address."""
    name = host.strip("[]").rstrip(".").lower()
    if name in ("localhost", socket.gethostname().lower()) or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
