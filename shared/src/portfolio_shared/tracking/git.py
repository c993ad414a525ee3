"""Which state of the code produced a model."""

import os
import subprocess


def current_commit() -> str:
    """Return the commit of the working directory, with "-dirty" if files differ from it.

    Inside an image there is no repository: there the variable GIT_COMMIT says it. "unknown" if neither does.
    """
    if commit := os.environ.get("GIT_COMMIT"):
        return commit
    try:
        command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        result = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)  # noqa: S603 - fixed words
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return result.stdout.strip()
