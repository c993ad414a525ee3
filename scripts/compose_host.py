"""What deploy/host does, as scripts/compose_test.py tries it: a backup, its drill, a restore; a host of Debian."""

import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from compose_stack import FILES, PROJECT, ROOT, Stack, example_request, require, require_equal
from processes import ProcessError, output_of

HERE = ROOT / "deploy" / "host"
UNITS = sorted(path.name for path in HERE.glob("portfolio*.*"))


def restored(stack: Stack) -> None:
    """Back up; a stack beside serves its champions; forget all, restore: the log knows its rows, the services start."""
    before = {service: str(stack.model(service)["version"]) for service in stack.services}
    asked = predicted(stack, stack.services[0])
    with tempfile.TemporaryDirectory() as folder:
        backup(stack, "save", Path(folder))
        (made,) = Path(folder).glob("*Z")
        require_equal("champions", json.loads((made / "manifest.json").read_bytes())["champions"], before)
        said = backup(stack, "drill", made)
        require("Restored, and served" in said, f"the drill says: {said}")
        stack.compose("down", "--volumes")
        backup(stack, "restore", made)
        try:
            backup(stack, "restore", made)
        except ProcessError as error:
            require("is not empty" in str(error), f"a second restore failed for another reason: {error}")
        else:
            require(held=False, message="a backup was restored over what is there")
    said = stack.compose("run", "--rm", "--no-deps", "--no-TTY", stack.monitors[0], "forget", asked)
    require(said.startswith("1 prediction"), f"what was predicted before the backup is not in the log: {said}")
    stack.compose("up", "--detach")
    stack.wait_until_ready(180)
    require_equal("champions", {service: str(stack.model(service)["version"]) for service in stack.services}, before)


def predicted(stack: Stack, service: str) -> str:
    """Ask for the project's example; return the id of the prediction when it is in the log."""
    example = example_request(service)
    headers = {"Content-Type": example.content_type}
    url = stack.url(service, example.path)
    response = httpx.post(url, content=example.body, headers=headers, timeout=30, trust_env=False)
    time.sleep(2)  # rows are written every half second
    return str(response.json()["id"])


def backup(stack: Stack, how: str, folder: Path) -> str:
    """Run backup.py on this test's stack; return what it prints."""
    chosen = {"COMPOSE_PROJECT_NAME": PROJECT, "COMPOSE_FILE": os.pathsep.join(FILES), "COMPOSE_ENV_FILES": os.devnull}
    command = (sys.executable, str(HERE / "backup.py"), how, str(folder))
    return output_of(*command, folder=stack.tree, environment=stack.environment() | chosen)


def applied_twice(_: Stack) -> None:
    """Bring a container of Debian to the state of deploy/host, and again: nothing changes; systemd takes the units."""
    with debian() as name:
        require("Grand total" in applied(name), "pyinfra shows no results")
        (again,) = re.findall(r"Grand total +(\d+) +(\S+) +(\S+) +(\S+)", applied(name))
        require_equal("what is done, failed and kept the second time", again[1:], ("-", "-", again[0]))
        within(name, "systemd-analyze", "verify", *(f"/etc/systemd/system/{unit}" for unit in UNITS))
        for unit in ("portfolio.service", "portfolio-backup.timer"):
            require_equal(unit, within(name, "systemctl", "is-enabled", unit).strip(), "enabled")
        require_equal("the engine", within(name, "systemctl", "is-active", "docker").strip(), "active")
        listed = within(name, "sh", "-c", "cd /srv/portfolio/current && docker compose config --services").split()
        require("mlflow" in listed, f"the host's Compose reads the stack as {listed}")


@contextmanager
def debian() -> Iterator[str]:
    """Run a container of Debian 13 with systemd, as a rented machine has it; its name."""
    name = f"{PROJECT}-host"
    output_of("docker", "build", "--quiet", "--tag", f"{name}:test", "--file", str(HERE / "test.Dockerfile"), str(HERE))
    confined = ("--privileged", "--cgroupns", "private", "--tmpfs", "/run", "--tmpfs", "/run/lock")
    volume = ("--volume", "/var/lib/docker")  # an engine's files cannot lie on those of an engine
    output_of("docker", "run", "--detach", "--rm", "--name", name, *confined, *volume, f"{name}:test")
    try:
        # An image that stands in for Debian 13 may be of the release before.
        files = ("/etc/apt", "-name", "*sources*", "-type", "f")
        within(name, "find", *files, "-exec", "sed", "-i", "s/bookworm/trixie/", "{}", "+")
        yield name
    finally:
        output_of("docker", "rm", "--force", "--volumes", name)
        output_of("docker", "image", "rm", f"{name}:test")


def applied(name: str) -> str:
    """Apply deploy/host to a container without starting the stack; return what pyinfra says."""
    return output_of("bash", "-c", f"make --silent host HOST=@docker/{name} FLAGS=--no-start 2>&1", folder=ROOT)


def within(name: str, *command: str) -> str:
    """Run a command in a container; return what it writes."""
    return output_of("docker", "exec", name, *command)
