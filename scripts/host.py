"""Bring a Debian host to the state of deploy/host by pyinfra: engine, release, unit, backup.

`make host HOST=root@demo.example` applies the last commit. HOST is what pyinfra takes: a name for SSH, or
@docker/CONTAINER. What is not committed is not deployed. Flags that are not named here go to pyinfra, such as --dry,
--sudo or --ssh-key.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from processes import ProcessError, output_of
from project_table import ROOT

PYINFRA = ROOT / ".state" / "host" / "bin" / "pyinfra"
SHIPPED = [
    *(".dockerignore", "LICENSE", "Makefile", "compose.yaml", "deploy", "docker", "projects", "pyproject.toml"),
    *("requirements", "scripts", "shared"),
]
"""What images are built from, and what runs them."""


def main() -> int:
    """Apply; return the exit status of pyinfra, or 2 where there is nothing to apply to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("host", help="such as root@demo.example, or @docker/CONTAINER")
    parser.add_argument("--commit", default="HEAD", help="what to deploy; an earlier one is the way back")
    parser.add_argument("--env", type=Path, help="file of settings, as .env.example has them")
    parser.add_argument("--no-start", action="store_true", help="install everything, and build and start nothing")
    given, others = parser.parse_known_args()
    if not given.host:
        parser.error("say where: make host HOST=root@demo.example")
    try:
        with tempfile.TemporaryDirectory() as folder:
            return apply(given, others, Path(folder))
    except (ProcessError, OSError) as error:
        print(error, file=sys.stderr)
        return 2


def apply(given: argparse.Namespace, others: list[str], folder: Path) -> int:
    """Pack the commit and its settings into a folder, and let pyinfra do the rest."""
    commit = output_of("git", "-C", str(ROOT), "rev-parse", "--verify", f"{given.commit}^{{commit}}").strip()
    archive = folder / "release.tar"
    output_of("git", "-C", str(ROOT), "archive", "--output", str(archive), commit, *SHIPPED)
    text = settings_of(commit, given.env.read_text(encoding="utf-8") if given.env else "")
    (folder / ".env").write_text(text, encoding="utf-8")
    data = {
        "commit": commit,
        "archive": archive,
        "settings": folder / ".env",
        "start": str(not given.no_start).lower(),
        "images": "pull --quiet" if "\nIMAGES=" in f"\n{text}" else "build --quiet",
    }
    options = [option for name, value in data.items() for option in ("--data", f"{name}={value}")]
    command = [str(PYINFRA), "--yes", *others, *options, given.host, str(ROOT / "deploy" / "host" / "deploy.py")]
    return subprocess.run(command, env=os.environ | {"PYTHONWARNINGS": "ignore"}, check=False).returncode


def settings_of(commit: str, text: str) -> str:
    r"""Return the settings of a release: those of a file, and its commit as the tag of images unless they name one.

    Examples
    --------
    >>> print(settings_of("0123abc", "DATASET=full\n"), end="")
    DATASET=full
    GIT_COMMIT=0123abc
    TAG=0123abc
    """
    lines = [*text.splitlines(), f"GIT_COMMIT={commit}"]
    if not any(line.startswith("TAG=") for line in lines):
        lines.append(f"TAG={commit}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
