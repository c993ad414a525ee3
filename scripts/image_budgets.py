"""Check the built images: size over the base image, who runs them, what must not be inside; and the build context.

Exit status 1 if a budget is broken. The images are those of `docker compose build`.
"""

import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from processes import ProcessError, output_of
from project_table import projects

MB = 1_000_000
CONTEXT_BYTES = 10 * MB  # of which at most 8 are data and weights that ship
# One line for each thing that only a build needs; nothing if all is well.
CONTENTS = r"""
for tool in cc gcc g++ uv git curl; do command -v $tool; done
find /root/.cache /tmp /var/cache/apt/archives /var/lib/apt/lists -type f -size +0 2>/dev/null
find /opt -type d \( -name tests -o -name .git \) 2>/dev/null
find / -xdev -path /proc -prune -o -name '.env' -print -o -name 'pip.conf' -print 2>/dev/null
true
"""
# Of a service: what a training starts from, which its trainer's image holds.
SERVICE_CONTENTS = r"find /opt/code \( -path '/opt/code/*/data/sample' -o -path '/opt/code/*/models/pretrained' \)"


def main() -> int:
    """Print a table and every fault; return the exit status."""
    faults = []
    limits = budgets()
    size = context_bytes()
    print(f"{'build context':26} {size / MB:8.2f} MB of {CONTEXT_BYTES / MB:g}")
    if size > CONTEXT_BYTES:
        faults.append(f"the build context has {size / MB:.2f} MB: keep out what no image needs, in .dockerignore")
    services = json.loads(output_of("docker", "compose", "config", "--format", "json"))["services"]
    for service in services.values():
        if "build" not in service:
            continue
        name = service["image"].rsplit("/", 1)[-1].rsplit(":", 1)[0]
        image = inspect(service["image"])
        megabytes = over_base(image) / MB
        budget = limits.get(name)
        print(f"{name:26} {megabytes:8.0f} MB" + (f" of {budget}" if budget else ""))
        if budget and megabytes > budget:
            faults.append(f"{name} has {megabytes:.0f} MB over its base, {budget} is the budget")
        contents = CONTENTS + SERVICE_CONTENTS if name.endswith("-service") else CONTENTS
        faults += [f"{name}: {fault}" for fault in faults_of(service["image"], image, contents)]
    for fault in faults:
        print(f"FAULT  {fault}", file=sys.stderr)
    return 1 if faults else 0


def budgets() -> dict[str, int]:
    """Return megabytes over the base image; an image that is not named has no budget and is listed all the same."""
    sizes = {f"{project.name}-service": project.service_mb for project in projects()}
    return sizes | {f"{project.name}-trainer": project.trainer_mb for project in projects() if project.trainer_mb}


def context_bytes() -> int:
    """Return the size of the files that a build is sent."""
    command = ["docker", "build", "--quiet", "--file", "-", "--output", "type=tar,dest=-", "."]
    with tempfile.TemporaryFile() as archive:
        result = subprocess.run(
            command, input=b"FROM scratch\nCOPY . /\n", stdout=archive, stderr=subprocess.PIPE, check=False
        )
        if result.returncode:
            raise ProcessError(result.stderr.decode(errors="replace"))
        archive.seek(0)
        with tarfile.open(fileobj=archive) as members:
            return sum(member.size for member in members)


def over_base(image: dict[str, Any]) -> int:
    """Return what an image adds to the base image that its first layers are."""
    base = inspect(base_image())
    layers = base["RootFS"]["Layers"]
    if image["RootFS"]["Layers"][: len(layers)] != layers:
        raise ProcessError(f"{image['RepoTags']} was not built on this {base_image()}: build it anew")
    return unpacked(image["Id"]) - unpacked(base["Id"])


def unpacked(reference: str) -> int:
    """Return the bytes of an image's layers; what `inspect` calls size is the packed size in some image stores."""
    sizes = output_of("docker", "history", "--human=false", "--format", "{{.Size}}", reference)
    return sum(int(size) for size in sizes.split())


def base_image() -> str:
    """Return the image that every Dockerfile starts from, read from one of them."""
    lines = Path("docker/service.Dockerfile").read_text(encoding="utf-8").splitlines()
    return next(line.split()[1] for line in lines if line.startswith("FROM python:"))


def faults_of(reference: str, image: dict[str, Any], contents: str) -> list[str]:
    """Return what is wrong with an image beside its size; `contents` is a script that names what must not be in it."""
    faults = []
    user = image["Config"].get("User", "")
    if user.partition(":")[0] in ("", "0", "root"):
        faults.append(f"runs as {user or 'root'}")
    if not image["Config"].get("Labels", {}).get("org.opencontainers.image.licenses"):
        faults.append("has no label org.opencontainers.image.licenses")
    history = output_of("docker", "history", "--no-trunc", "--format", "{{.CreatedBy}}", reference).lower()
    faults += [f"its history mentions a {word}" for word in ("password", "token", "secret=") if word in history]
    options = ["--rm", "--network", "none", "--user", "0", "--entrypoint", "sh"]
    if lines := output_of("docker", "run", *options, reference, "-c", contents).splitlines():
        faults.append(f"{len(lines)} things that it does not need, such as {lines[0]}")
    return faults


def inspect(reference: str) -> dict[str, Any]:
    """Return what Docker knows of an image; one that is not here is pulled."""
    try:
        text = output_of("docker", "image", "inspect", reference)
    except ProcessError:
        output_of("docker", "pull", "--quiet", reference)
        text = output_of("docker", "image", "inspect", reference)
    image: dict[str, Any] = json.loads(text)[0]
    return image


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ProcessError, OSError) as error:
        sys.exit(f"The images were not checked: {error}")
