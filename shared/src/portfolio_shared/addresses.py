"""Addresses: what of one may be printed, and whether it is of this machine. Passwords and tokens are never printed."""

import ipaddress
import re
import socket

# A password that is not escaped may hold any character but white space: what stands before the last @ counts as one.
# Without an @ before the first slash it takes a colon that no port follows.
_USER = re.compile(
    r"""(?<=://) (?: [^\s/?#"]*@ | [^\s/?#@:"]*:(?!\d+[/?#])[^\s"]*@ )  # of an address
    | (?<![^\s'"=,(]) [^\s'"=,(/?#@:]+:[^\s'"/@]+@ (?=[\w.-])  # and without its scheme""",
    re.VERBOSE,
)
_TOKEN = re.compile(
    r"([?&#;][\w.-]*(?:token|sig|signature|key|secret|password|passwd|pwd|auth|credential)s?=)[^&#;\s'\"]+",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """Hide user and password of every address in a text, and what its query calls a token, key or signature.

    >>> without_secrets("no answer from http://me:s3cret@127.0.0.1:9/x?token=abc: ConnectError")
    'no answer from http://***@127.0.0.1:9/x?token=*** ConnectError'
    """
    if "@" not in text and "=" not in text:  # most lines of a log
        return text
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
