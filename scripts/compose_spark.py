"""The films on Spark in containers, a check of scripts/compose_test.py."""

import json
from functools import partial

from compose_confinement import OUTSIDE, require_confined
from compose_stack import PROJECT, Stack, require, require_equal, sample_sha256

CLUSTER = ("spark", "spark-worker-1", "spark-worker-2")
STORED = "/data/etl/recommender"


def on_spark(stack: Stack) -> None:
    """Start a cluster of two workers: they store and sum the films, a training reads that, the service follows."""
    stack.compose("--profile", "spark", "up", "--detach", "--wait", *CLUSTER)
    for name in CLUSTER:
        require_confined(stack, name, restarts="unless-stopped")
        require_nobody_else_near(stack, name)
    before = stack.model("recommender")
    log = stack.compose("--profile", "spark", "run", "--rm", "--no-TTY", "recommender-spark")
    require(log.count("summed") == 2, f"the job on Spark has not summed two matrices:\n{log}")
    for worker in CLUSTER[1:]:
        stack.wait(f"a part of the job on {worker}", partial(took_part, stack, worker), 30)
    flags = ("--data", STORED, "--engine", "spark", "--grid-seconds", "0")
    log = stack.compose("run", "--rm", "--no-TTY", "recommender-trainer", "train", *flags)
    stack.compose("run", "--rm", "--no-TTY", "recommender-trainer", "promote")  # as good as the champion is no better
    stack.wait(f"the new model:\n{log}", lambda: stack.model("recommender")["version"] != before["version"], 30)
    require_equal("what it learned from", stack.model("recommender")["data"]["sha256"], sample_sha256("recommender"))
    stack.predict("recommender")
    stack.compose("--profile", "spark", "rm", "--stop", "--force", *CLUSTER)


def require_nobody_else_near(stack: Stack, name: str) -> None:
    """Require that a part of the cluster is in its network, with at most the one of pages, and has no way out."""
    attached = set(stack.inspect(name)["NetworkSettings"]["Networks"])
    allowed = {f"{PROJECT}_cluster"} | ({f"{PROJECT}_pages"} if name == CLUSTER[0] else set())
    require(attached == allowed, f"{name} is in {attached}")
    code = f"import socket\ntry: socket.create_connection({OUTSIDE}, 3)\nexcept OSError: print('refused')"
    answer = stack.compose("exec", "--no-TTY", name, "python", "-c", code)
    require(answer.strip() == "refused", f"{name} has connected to {OUTSIDE}")


def took_part(stack: Stack, worker: str) -> bool:
    """Return whether the page of a worker says that it ran a part of one job, which has ended."""
    code = "from urllib.request import urlopen\nprint(urlopen('http://127.0.0.1:8080/json/').read().decode())"
    page = json.loads(stack.compose("exec", "--no-TTY", worker, "python", "-c", code))
    return len(page["finishedexecutors"]) == 1
