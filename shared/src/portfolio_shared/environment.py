"""Environment variables with a project's prefix: a misspelt one is refused, because it would be ignored in silence."""

import difflib
import os
from collections.abc import Collection


class UnknownVariableError(RuntimeError):
    """A variable that has the prefix and is no setting; no ValueError, which pydantic would wrap in a validator."""


def refuse_unknown_variables(prefix: str, fields: Collection[str], *, except_prefix: str | None = None) -> None:
    """Raise UnknownVariableError if the environment has a variable with `prefix` that is none of `fields`.

    Parameters
    ----------
    fields
        Names of settings, without the prefix, in any case.
    except_prefix
        Variables that start with this belong to somebody else.
    """
    valid = {f"{prefix}{field}".upper() for field in fields}
    for name in sorted({name.upper() for name in os.environ} - valid):
        if name.startswith(prefix.upper()) and not (except_prefix and name.startswith(except_prefix.upper())):
            nearest = difflib.get_close_matches(name, valid, n=1, cutoff=0.0)[0]
            raise UnknownVariableError(f"{name} is not a setting; the nearest one is {nearest}. Rename or unset it.")
