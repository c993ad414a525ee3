"""Compile requirements/*.lock from the pyproject files: one per image, for `make up`, development and benchmarks.

Every lock is universal (Linux, macOS, Windows; Python 3.11 and newer), pins hashes and names no index.
"""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from project_table import ROOT, projects

SHARED = "shared/pyproject.toml"
GROUPS = ["--group", "pyproject.toml:dev", "--group", "pyproject.toml:reference"]
EXCLUDES = ["--excludes", "requirements/excludes.in"]
TRAINER = ["--extra", "train", *EXCLUDES, "--excludes", "requirements/trainer-excludes.in"]
OF_SOME = ("etl", "finetune")
"""Extras of a project some of whose trainings need more than its first: an engine for SQL, torch."""
OF_THEIR_OWN = ("installer", "dev", "host", "platform", "policy")
"""Locks that take the versions of no other: that of development, and tools that run none of our code."""
NOT_OURS = {"peers": "opentelemetry-.*", "mlflow-s3": "python-dateutil"}
"""What a lock has in versions of its own: BentoML's OpenTelemetry, and a dateutil that the client of S3 can use."""
OPTIONS = [
    *("--universal", "--python-version", "3.11", "--generate-hashes", "--no-annotate", "--quiet"),
    *("--custom-compile-command", "make lock", "--no-emit-package", "portfolio-shared"),
]


def locks(names: Sequence[str]) -> dict[str, list[str]]:
    """Return what each lock is compiled from, for the projects of these names.

    Examples
    --------
    >>> " ".join(name for name in locks(["housing"]) if "housing" in name)
    'housing-service housing-trainer'
    """
    sources = {name: f"projects/{name}/pyproject.toml" for name in names}
    images = {f"{name}-service": [source] for name, source in sources.items()}
    images |= {f"{name}-trainer": [source, *TRAINER] for name, source in sources.items()}
    images |= {
        f"{name}-{extra}": [source, *TRAINER, "--extra", extra]
        for name, source in sources.items()
        for extra in OF_SOME
        if extra in extras(source)
    }
    return {
        "installer": ["requirements/installer.in"],
        "dev": [*GROUPS, "--all-extras", SHARED, *sources.values(), *EXCLUDES],
        "start": ["requirements/start.in", *sources.values(), "--extra", "train", *EXCLUDES],
        "benchmark": ["--group", "pyproject.toml:benchmark"],
        "peers": ["requirements/peers.in", *sources.values()],
        **images,
        "index": [SHARED, "--extra", "serving"],
        **{server: [f"requirements/{server}.in"] for server in ("mlflow", "mlflow-s3")},
        **{tool: [f"requirements/{tool}.in"] for tool in ("audit", "docs", "host", "pipeline", "platform", "policy")},
        "spark": ["requirements/spark.in", SHARED],
    }


def extras(source: str) -> set[str]:
    """Return the extras that a pyproject file declares."""
    project = tomllib.loads((ROOT / source).read_text(encoding="utf-8"))["project"]
    return set(project["optional-dependencies"])


def same_versions(lock: str) -> str:
    """Return what holds a lock to the versions of development."""
    pins = Path("requirements/dev.lock").read_text(encoding="utf-8")
    other = NOT_OURS.get(lock)
    return re.sub(rf"^{other}==.*(\n +.*)*\n", "", pins, flags=re.MULTILINE) if other else pins


def main() -> None:
    """Write every lock; a second argument such as --upgrade is passed on."""
    uv = Path(sys.executable).with_name("uv")
    environment = {**os.environ, "UV_NO_PROGRESS": "1"}
    names = [project.name for project in projects()]
    own = [option for name in names for option in ("--no-emit-package", name)]
    for name, inputs in locks(names).items():
        output = f"requirements/{name}.lock"
        # One version of each package in all locks that run our code: that of development, which the tests ran with.
        same = ["--constraint", "-"] if name not in OF_THEIR_OWN else []
        command = [str(uv), "pip", "compile", *OPTIONS, *own, *same, *inputs, "-o", output, *sys.argv[1:]]
        pins = same_versions(name).encode() if same else None
        subprocess.run(command, check=True, env=environment, input=pins)
        print(f"{output}: {Path(output).read_text(encoding='utf-8').count('==')} pins")


if __name__ == "__main__":
    main()
