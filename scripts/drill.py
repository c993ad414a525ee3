"""The story of a change, shown by what runs: a model serves, the world changes, an alarm, a new model, and back again.

Everything is in a temporary folder and on free ports, or against containers that are up (`--against`), whose log is
without the drill's people in the end. Each step
asserts what it claims and prints a line; the end is a page of pictures. Exit status 0 if everything held, 1 if not.
"""

import argparse
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path

import httpx

import drill_steps as steps
from compose_stack import ROOT, CheckError, require
from drill_page import drawn, write_page
from drill_pictures import alone
from drill_place import against, here, version_of
from drill_steps import Line, Story
from drill_traffic import Clients, client_of
from portfolio_shared.addresses import without_secrets
from portfolio_shared.bundle import BundleError
from portfolio_shared.evaluation.sections import fill_sections
from portfolio_shared.proxies import no_proxy
from portfolio_shared.serving.registry_client import RegistryUnavailable
from portfolio_shared.terminal import standard_streams
from processes import HOST, ProcessError
from project_table import Project, ProjectError, projects

Step = Callable[[Story], str]

BEFORE: tuple[tuple[str, Step], ...] = (
    ("a champion is trained", steps.champion),
    ("the service answers with it", steps.service),
    ("the usual traffic", steps.normal),
    ("the monitor is content", steps.well),
)
CHANGE: tuple[tuple[str, Step], ...] = (
    ("the world changes", steps.drifted),
    ("the monitor raises an alarm", steps.alarm),
    ("a model learns from feedback", steps.retrain),
    ("the service tries it", steps.pick_up),
    ("the comparison decides", steps.trial),
    ("the challenger is promoted", steps.promote),
    ("the answers are better", steps.after),
    ("and back again", steps.rollback),
)
NO_CHANGE: tuple[tuple[str, Step], ...] = (
    ("more of the same", steps.normal),
    ("the monitor is content", steps.well),
    ("nothing is promoted", steps.quiet),
)


def main() -> int:
    """Read the command line, tell the story; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", help="one of the projects")
    parser.add_argument("--no-drift", action="store_true", help="nothing changes: no alarm, and nothing is promoted")
    parser.add_argument("--against", metavar="URL", help="service of a stack of containers that is up")
    parser.add_argument("--docs", action="store_true", help="write the picture and the lines of docs/operations.md too")
    parser.add_argument("--output", type=Path, help="folder of the page (default: .state/drill/PROJECT)")
    options = parser.parse_args()
    # Ctrl-C and SIGTERM stop everything: `with` blocks end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        project = project_of(options.project)
        story = tell(project, options.against, drifts=not options.no_drift)
        print(f"The pictures: {write_page(story, options.output or Path('.state/drill', project.name))}")
    except (CheckError, ProcessError, ProjectError, RegistryUnavailable, BundleError, httpx.HTTPError) as error:
        print(f"FAILED: {without_secrets(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    if options.docs:
        document(story)
    return 0


def project_of(name: str) -> Project:
    """Return a project that has a scenario."""
    found = [project for project in projects() if project.name == name and scenario_file(project).exists()]
    able = ", ".join(project.name for project in projects() if scenario_file(project).exists())
    require(bool(found), f"PROJECT={name}: expected one of {able}")
    return found[0]


def scenario_file(project: Project) -> Path:
    """Return where a project says what changes."""
    return Path(__file__).with_name(f"drill_{project.package}.py")


def document(story: Story) -> None:
    """Write what docs/operations.md shows: the picture, and the lines."""
    project, docs = story.place.project, ROOT / "docs"
    picture = docs / f"drill_{project.package}.svg"
    picture.write_text(alone(drawn(story)), encoding="utf-8")
    lines = "\n".join([f"{project.name}: {story.scenario.drift}", *map(str, story.lines)])
    shown = f"![{project.title}: what truths showed of the answers, one after the other]({picture.name})"
    fill_sections(docs / "operations.md", {f"drill-{project.name}": f"{shown}\n\n```\n{lines}\n```"})


def tell(project: Project, url: str | None, *, drifts: bool) -> Story:
    """Tell the story of a project in a place of its own or in containers; return it."""
    os.environ.update(no_proxy(f"http://{HOST}"))
    with ThreadPoolExecutor(1) as pool:
        scenario = pool.submit(lambda: importlib.import_module(scenario_file(project).stem).SCENARIO)
        place = against(project, url) if url else here(project, lambda: str(scenario.result().rollout))
        with place as at, client_of(at.url) as http:
            story = Story(at, scenario.result(), Clients(http), drifts)
            print(f"{project.name}: {story.scenario.drift if drifts else 'nothing changes'}", flush=True)
            try:
                with nullcontext() if at.service else restored(story):
                    for claim, step in (*BEFORE, *(CHANGE if drifts else NO_CHANGE)):
                        take(story, claim, step)
            except (CheckError, ProcessError, httpx.HTTPError) as error:
                log = at.service.log_end() if at.service else ""
                raise CheckError(f"{claim}: {error}\n{log}") from error
            story.transcript = at.transcript()
            return story


@contextmanager
def restored(story: Story) -> Iterator[None]:
    """Leave a stack that is not ours without what the drill's people asked and said, and without its model."""
    try:
        yield
    finally:
        for alias, *command in (("champion", "rollback"), ("challenger", "promote", "--none")):
            if story.challenger and version_of(story.place, alias) == story.challenger:
                story.place.run("project", *command)
        if story.people:
            print(f"{story.place.forget(story.people):,} predictions of the drill are forgotten", flush=True)


def take(story: Story, claim: str, step: Step) -> None:
    """Take one step, and print what it claims, its figure and its seconds."""
    started = time.monotonic()
    figure = step(story)
    story.lines.append(Line(claim, figure, time.monotonic() - started))
    print(story.lines[-1], flush=True)


if __name__ == "__main__":
    with standard_streams():
        sys.exit(main())
