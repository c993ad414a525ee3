"""Print which projects a change concerns, for the matrix of the workflow: projects=["housing"].

A change outside of projects/ concerns all of them, and so does one that is compared with no commit. A file that is
moved concerns the project that it leaves as well.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def concerned(files: Sequence[str] | None, projects: Sequence[str]) -> list[str]:
    """Return the projects that the changed files concern; None means that the change is unknown.

    Examples
    --------
    >>> concerned(["projects/housing/README.md"], ["housing", "recommender"])
    ['housing']
    >>> concerned(["projects/housing/README.md", "shared/pyproject.toml"], ["housing", "recommender"])
    ['housing', 'recommender']
    """
    if files is None or any(not file.startswith("projects/") for file in files):
        return list(projects)
    changed = {file.split("/")[1] for file in files}
    return [project for project in projects if project in changed]


def changed_files(base: str) -> list[str] | None:
    """Return the files that differ from where `base` and HEAD parted, or None if there is no such commit."""
    command = ["git", "diff", "--name-only", "--no-renames", f"{base}...HEAD", "--"]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    return result.stdout.splitlines() if base and result.returncode == 0 else None


if __name__ == "__main__":
    names = sorted(path.parent.name for path in Path("projects").glob("*/pyproject.toml"))
    print(f"projects={json.dumps(concerned(changed_files(sys.argv[1]), names))}")
