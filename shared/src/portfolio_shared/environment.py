"""Environment variables with a project's prefix: a misspelt one is refused, because it would be ignored in silence."""

import difflib
import os
import re
from collections.abc import Collection, Mapping
from typing import Any

# What Kubernetes sets for a service in the same namespace, here after the prefix: the service `housing-api` may follow.
_INVENTED = re.compile(
    r"(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)", re.IGNORECASE
)
_INVENTED_PORT = re.compile(r"(?:tcp|udp|sctp)://", re.IGNORECASE)


class UnknownVariableError(RuntimeError):
    """A variable that has the prefix and is no setting; no ValueError, which pydantic would wrap in a validator."""


def refuse_unknown_variables(prefix: str, fields: Collection[str], *, except_prefix: str | None = None) -> None:
    """Raise UnknownVariableError if the environment has a variable with `prefix` that is none of `fields`.

    Variables that Kubernetes invents for a service of the same name are no settings: ``HOUSING_SERVICE_HOST`` and the
    like, and ``HOUSING_PORT=tcp://10.0.0.1:8001``.

    Parameters
    ----------
    fields
        Names of settings, without the prefix, in any case.
    except_prefix
        Variables that start with this belong to somebody else.
    """
    valid = {f"{prefix}{field}".upper() for field in fields}
    for name, value in sorted((name.upper(), value) for name, value in os.environ.items()):
        if not name.startswith(prefix.upper()) or (except_prefix and name.startswith(except_prefix.upper())):
            continue
        if name not in valid and not is_invented(name.removeprefix(prefix.upper()), value):
            nearest = difflib.get_close_matches(name, valid, n=1, cutoff=0.0)[0]
            raise UnknownVariableError(f"{name} is not a setting; the nearest one is {nearest}. Rename or unset it.")


def is_invented(name: str, value: str) -> bool:
    """Return whether Kubernetes sets such a variable for a service; `name` is without the prefix.

    >>> is_invented("PORT", "tcp://10.0.0.1:8001"), is_invented("PORT_8001_TCP_ADDR", "10.0.0.1")
    (True, True)
    >>> is_invented("PORT", "8001"), is_invented("SERVICE_PROT", "8001")
    (False, False)
    """
    port = name.upper() == "PORT" or name.upper().endswith("_PORT")
    return bool(_INVENTED.fullmatch(name) or (port and _INVENTED_PORT.match(value)))


def without_invented_port(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of settings without a port that Kubernetes set: the default one counts."""
    port = os.environ.get(f"{prefix}PORT", "")
    invented = is_invented("PORT", port)
    return {name: value for name, value in values.items() if not (invented and name == "port" and value == port)}
