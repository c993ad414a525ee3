"""Compile requirements/*.lock from the pyproject files: one lock per image, one for development.

Every lock is universal (Linux, macOS, Windows; Python 3.11 and newer), pins hashes and names no index.
"""

import os
import subprocess
import sys
from pathlib import Path

SHARED = "shared/pyproject.toml"
HOUSING = "projects/housing/pyproject.toml"
RECOMMENDER = "projects/recommender/pyproject.toml"
IMAGES = "projects/image-classifier/pyproject.toml"

TRAINER = ["--extra", "train", "--excludes", "requirements/trainer-excludes.in"]

LOCKS: dict[str, list[str]] = {
    "installer": ["requirements/installer.in"],
    "dev": ["--group", "pyproject.toml:dev", "--all-extras", SHARED, HOUSING, RECOMMENDER, IMAGES],
    "housing-service": [HOUSING],
    "housing-trainer": [HOUSING, *TRAINER],
    "recommender-service": [RECOMMENDER],
    "recommender-trainer": [RECOMMENDER, *TRAINER],
    "image-classifier-service": [IMAGES],
    "image-classifier-trainer": [IMAGES, *TRAINER],
    "index": [SHARED, "--extra", "serving"],
    "mlflow": ["requirements/mlflow.in"],
}

OPTIONS = [
    *("--universal", "--python-version", "3.11", "--generate-hashes", "--no-annotate", "--quiet"),
    *("--custom-compile-command", "make lock"),
    *(
        option
        for name in ("portfolio-shared", "housing", "recommender", "image-classifier")
        for option in ("--no-emit-package", name)
    ),
]


def main() -> None:
    """Write every lock; a second argument such as --upgrade is passed on."""
    uv = Path(sys.executable).with_name("uv")
    environment = {**os.environ, "UV_NO_PROGRESS": "1"}
    for name, inputs in LOCKS.items():
        output = f"requirements/{name}.lock"
        # One version of each package in all locks: that of development, which the tests ran with.
        same = ["--constraint", "requirements/dev.lock"] if name not in ("installer", "dev") else []
        command = [str(uv), "pip", "compile", *OPTIONS, *same, *inputs, "-o", output, *sys.argv[1:]]
        subprocess.run(command, check=True, env=environment)
        print(f"{output}: {Path(output).read_text().count('==')} pins")


if __name__ == "__main__":
    main()
