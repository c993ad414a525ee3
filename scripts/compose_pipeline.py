"""The pipeline in containers, a check of scripts/compose_test.py."""

import json
from typing import Any

import httpx

from compose_confinement import require_confined
from compose_stack import PROJECT, Stack, require, require_equal
from processes import free_port

PAGE, DAEMON, RUNNER = "pipeline", "pipeline-daemon", "pipeline-runner"
NETWORKS: dict[str, set[str]] = {PAGE: {"pages"}, DAEMON: set(), RUNNER: {"backend", "downloads"}}
"""Of each beside that in which they ask the runner, where there is nobody else."""
STEPS = ("data", "etl", "train", "gate", "monitor")
LOCATION = {"repositoryName": "__repository__", "repositoryLocationName": "portfolio"}
LAUNCH = """mutation($run: ExecutionParams!) {
  launchRun(executionParams: $run) { __typename ... on LaunchRunSuccess { run { runId } } }
}"""
ENDED = """query($id: ID!) { runOrError(runId: $id) { ... on Run { status
  assetMaterializations { assetKey { path } metadataEntries { label ... on TextMetadataEntry { text } } } } } }"""
TICKS = """query($of: ScheduleSelector!) { scheduleOrError(scheduleSelector: $of) { ... on Schedule {
  scheduleState { status ticks(statuses: [SUCCESS]) { runIds } } } } }"""


def pipelined(stack: Stack) -> None:
    """Start the pipeline: its schedule fires, its page runs the steps of a project, what is no failure is none."""
    stack.ports[PAGE] = free_port()
    try:
        stack.compose("--profile", "pipeline", "up", "--detach", "--wait", PAGE, DAEMON)
        for name, others in NETWORKS.items():
            require_confined(stack, name, restarts="unless-stopped")
            attached = set(stack.inspect(name)["NetworkSettings"]["Networks"])
            require(attached == {f"{PROJECT}_{each}" for each in (*others, "pipeline")}, f"{name} is in {attached}")
        require_silent(stack)
        require_own_pages(stack)
        steps(stack, stack.services[0])
        stack.wait("a tick of the schedule", lambda: bool(schedule(stack)["ticks"]))
        require_equal("the schedule", schedule(stack)["status"], "RUNNING")
    finally:
        stack.compose("--profile", "pipeline", "stop", "--timeout", "10", PAGE, DAEMON, RUNNER)
        stack.compose("--profile", "pipeline", "rm", "--force", PAGE, DAEMON, RUNNER)
        del stack.ports[PAGE]


def require_silent(stack: Stack) -> None:
    """Require that the runner, which starts whatever it is told to, does not listen where the services are."""
    ask = f"import socket, sys; sys.exit(socket.socket().connect_ex((socket.gethostbyname('{RUNNER}'), 4000)) == 0)"
    stack.compose("exec", "--no-TTY", "index", "python", "-c", ask)


def require_own_pages(stack: Stack) -> None:
    """Require that the page answers nobody by another name, and no page of somebody else."""
    for header in ({"Host": "elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}):
        refused = httpx.get(stack.url(PAGE, "/graphql?query={version}"), headers=header, trust_env=False)
        require_equal(f"the page, asked with {header}", refused.status_code, httpx.codes.FORBIDDEN)


def steps(stack: Stack, service: str) -> None:
    """Run all steps of a project: its service has told of drift, and of too few truths to learn from."""
    package = service.replace("-", "_")
    selector = LOCATION | {"jobName": "steps", "assetSelection": [{"path": [package, step]} for step in STEPS]}
    launched = ask(stack, LAUNCH, run={"selector": selector, "runConfigData": {}, "mode": "default"})["launchRun"]
    require_equal("the run", launched["__typename"], "LaunchRunSuccess")
    identity = launched["run"]["runId"]

    def run() -> dict[str, Any]:
        return dict(ask(stack, ENDED, id=identity)["runOrError"])

    stack.wait("the end of the run", lambda: run()["status"] in ("SUCCESS", "FAILURE"), 120)
    ended = run()
    log = stack.compose("--profile", "pipeline", "logs", "--no-log-prefix", "--tail", "60", RUNNER)
    require(ended["status"] == "SUCCESS", f"a run of {service} has failed:\n{log}")
    outcomes = {
        made["assetKey"]["path"][-1]: entry["text"]
        for made in ended["assetMaterializations"]
        for entry in made["metadataEntries"]
        if entry["label"] == "outcome"
    }
    expected = {"data": "done", "etl": "done", "gate": "too little feedback", "monitor": "alarm"}
    require_equal(f"the outcomes of {service}", outcomes, expected)


def schedule(stack: Stack) -> dict[str, Any]:
    """Return the state of the schedule, and its ticks."""
    found = ask(stack, TICKS, of=LOCATION | {"scheduleName": "every_project"})
    return dict(found["scheduleOrError"]["scheduleState"])


def ask(stack: Stack, query: str, **variables: object) -> dict[str, Any]:
    """Ask the page in GraphQL; a refused query is a failed check."""
    body = json.dumps({"query": query, "variables": variables})
    headers = {"Content-Type": "application/json"}
    answer = httpx.post(stack.url(PAGE, "/graphql"), content=body, headers=headers, timeout=30, trust_env=False)
    found = answer.json()
    require(answer.is_success and "errors" not in found, f"the page answered {answer.status_code} {answer.text[:500]}")
    return dict(found["data"])
