"""The steps of a drill: each does something to what runs, asserts what it claims, and returns its figure in words."""

import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from compose_stack import CheckError, require, require_equal
from drill_place import Place, json_in, version_of, wait
from drill_scenario import Call, Scenario
from drill_traffic import Clients, meanwhile, require_swap
from portfolio_shared.operations.shapes import number
from portfolio_shared.serving.model_cache import ModelCache
from portfolio_shared.serving.registry_client import RegistryClient

NORMAL, DRIFTED, TRIAL, AFTER = 300, 300, 200, 150  # requests of a step
TRIALS = 5  # looks at the comparison: it is made for being looked at again and again
DAY = 86_400.0
NAME = "drill-"
NAMED = 3  # of the columns that differ most, an alarm names so many


@dataclass(frozen=True)
class Line:
    """A step that held: what it claims, its figure, and how long it took."""

    claim: str
    figure: str
    seconds: float

    def __str__(self) -> str:
        return f"ok {self.seconds:6.1f} s  {self.claim}: {self.figure}"


@dataclass
class Story:
    """What has happened so far.

    Attributes
    ----------
    champion, challenger
        Versions: the one that serves at the beginning, and the one that has learned the change.
    bundle
        Folder of the champion's.
    requests
        How many were answered.
    quiet_since
        When the last traffic ended: a window from then on holds what comes next, and nothing else.
    marks
        When what happened, for the pictures.
    people
        The names of all who asked: nobody else's begin with `NAME`.
    transcript
        What the commands said.
    """

    place: Place
    scenario: Scenario
    clients: Clients
    drifts: bool
    champion: str = ""
    challenger: str = ""
    bundle: Path = Path()
    requests: int = 0
    steps: int = 0
    quiet_since: float = field(default_factory=time.time)
    marks: list[tuple[float, str]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    people: set[str] = field(default_factory=set)
    alarm: dict[str, Any] = field(default_factory=dict)
    comparison: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, Any] = field(default_factory=dict)
    transcript: str = ""

    def calls(self, n: int, *, drifted: bool) -> Sequence[Call]:
        """Return new requests, of after the change only where there is one."""
        self.steps += 1
        calls = self.scenario.requests(self.bundle, n, drifted and self.drifts, self.steps)
        named = [replace(call, subject=f"{NAME}{call.subject}") for call in calls]
        self.people.update(call.subject for call in named)
        return named

    @property
    def means(self) -> tuple[float, float]:
        """What truths showed after the change: of the old champion, and of the new one."""
        moments = {what: at for at, what in self.marks}
        since, until = moments["the world changes"], moments.get("rolled back", math.inf)
        points = [(version, value) for at, version, value in self.errors["points"] if since <= at < until]
        before, now = ([v for of, v in points if of == version] for version in (self.champion, self.challenger))
        return fmean(before), fmean(now)

    def mark(self, what: str) -> None:
        """Note that something happens now."""
        self.marks.append((time.time(), what))


def champion(story: Story) -> str:
    """Train a champion on the sample, where there is none; keep its bundle."""
    place = story.place
    if place.service:
        place.run("project", "train", "--data", story.scenario.data(place.folder), *story.scenario.flags)
    with RegistryClient(place.mlflow) as registry:
        registered = registry.alias(place.project.name, "champion")
        if registered is None:
            raise CheckError(f"{place.mlflow} has no champion of {place.project.name}: train one")
        cache = ModelCache(place.folder / "bundles", place.project.name)
        with cache.locked():
            story.bundle = cache.obtain(registered, registry.download_bundle)
    story.champion = registered.version
    return f"version {story.champion}"


def service(story: Story) -> str:
    """Require that the service has it, keeps feedback, and would try a challenger as the scenario says."""
    wait("the service has a model", lambda: story.clients.http.get("/readyz").is_success)
    model = story.clients.model()
    require_equal("version that serves", model["version"], story.champion)
    require(model["feedback"], "the service keeps no feedback: set PORTFOLIO_PREDICTION_LOG")
    mode = model["rollout"]["mode"]
    advice = f"set {story.place.project.prefix}ROLLOUT={story.scenario.rollout}"
    require(mode == story.scenario.rollout, f"rollout: expected {story.scenario.rollout}, not {mode}: {advice}")
    return f"rollout {mode}"


def traffic(story: Story, n: int, *, drifted: bool) -> str:
    """Ask, and say what came true."""
    calls = story.calls(n, drifted=drifted)
    answers = story.clients.ask(calls)
    known = story.clients.tell(calls, answers, story.scenario.truth)
    story.requests += len(calls)
    return f"{len(calls)} requests of {len({call.subject for call in calls})} people answered, {known} truths kept"


def normal(story: Story) -> str:
    """Send the usual traffic."""
    return traffic(story, NORMAL, drifted=False)


def drifted(story: Story) -> str:
    """Change the world, and with it requests and truths."""
    story.mark("the world changes")
    return traffic(story, DRIFTED, drifted=True)


def look(story: Story, *, status: int) -> dict[str, Any]:
    """Let the monitor look at what came since the last traffic before: as if that were a day."""
    until = time.time()
    window = until - story.quiet_since
    story.quiet_since = until
    output = Path(".state/drill/monitor")
    end = datetime.fromtimestamp(until, UTC).isoformat()  # the command takes a while to start
    options = ("--until", end, "--window", f"{window:.1f}s", "--budget", f"{DAY / window:.6g}", "--tracking-uri", "")
    story.place.run("project", "monitor", *options, "--output", str(output), accept=[status])
    return story.place.read_json(output / "findings.json")


def well(story: Story) -> str:
    """Require that the monitor sees nothing."""
    findings = look(story, status=0)
    return f"{findings['summary']} p = {findings['drift']['p']:.2g}"


def alarm(story: Story) -> str:
    """Require an alarm that names what changed."""
    story.alarm = look(story, status=1)
    story.mark("alarm")
    columns, measures = alarmed(story.alarm)
    names = [*columns, *(measure["name"] for measure in measures)]
    require(
        bool(set(story.scenario.column.split(",")) & set(names)),
        f"expected an alarm that names {story.scenario.column}, it names {', '.join(names)}",
    )
    return str(story.alarm["summary"])


def alarmed(findings: dict[str, Any]) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the columns that differ most and the measures that are worse, of a look that is an alarm for them."""
    drift, shown = findings["drift"], findings["performance"]
    columns = [column["name"] for column in drift["columns"][:NAMED]] if "drift" in findings["alarms"] else []
    measures = shown["measures"] if "performance" in findings["alarms"] else []
    return columns, [each for each in measures if each["p"] is not None and each["p"] <= each["level"]]


def retrain(story: Story) -> str:
    """Require that a model that learns from the feedback passes the gate and waits as challenger."""
    said = train_again(story, "--why", "drift", accept=[0])
    require(bool(story.challenger), f"expected a challenger: {said}")
    story.mark("retrained")
    return said


def train_again(story: Story, *options: str, accept: Sequence[int]) -> str:
    """Retrain; note the challenger, if there is one, and return what was said of lessons and gate."""
    place = story.place
    flags = ("--data", story.scenario.data(place.folder), *story.scenario.flags)
    said = place.run("project", "retrain", *options, *flags, accept=accept).text
    story.challenger = version_of(story.place, "challenger")
    registered = re.search(r"\nRegistered \S+ version (\d+).*", said, re.DOTALL)
    if registered is None:
        raise CheckError(f"expected a line that says what was registered: {said[-500:]}")
    taught = place.lessons(registered[1])
    learned, held_back = taught.get("learned", 0), taught.get("held back", 0)
    used = f"of {sum(taught.values()):,} truths {learned:,} are used and {held_back:,} held back"
    return f"{used}. {' '.join(registered[0].split())}"


def pick_up(story: Story) -> str:
    """Require that the service has the challenger, and answers with the champion."""
    wait("the service has the challenger", lambda: challenger_of(story.clients.model()) == story.challenger)
    require_equal("version that serves", story.clients.model()["version"], story.champion)
    story.quiet_since = time.time()
    return f"challenger {story.challenger} beside champion {story.champion}"


def challenger_of(model: dict[str, Any]) -> str:
    """Return the version that a service tries, or nothing."""
    return str(model["rollout"]["challenger"] or "")


def trial(story: Story) -> str:
    """Compare both models on the same traffic again and again, until the sequence decides."""
    for n in range(1, TRIALS + 1):
        compare(story, accept=[0, 2])
        if story.comparison["decision"] == "promote":
            return f"look {n}: {story.comparison['summary']}"
    raise CheckError(f"expected promote within {TRIALS} looks, found: {story.comparison['summary']}")


def compare(story: Story, *, accept: Sequence[int]) -> None:
    """Send traffic that both models answer, wait for the shadow's answers, and compare."""
    answered = story.clients.count("shadow_requests_total")
    traffic(story, TRIAL, drifted=True)
    if story.scenario.rollout == "shadow":
        wait("the shadow's answers", lambda: story.clients.count("shadow_requests_total") >= answered + TRIAL)
    output = Path(".state/drill/compare")
    story.place.run("project", "compare", "--output", str(output), accept=accept)
    story.comparison = story.place.read_json(output / "comparison.json")


def promote(story: Story) -> str:
    """Promote the challenger: the service swaps without a failed request."""
    return swap(story, "promote", story.champion, story.challenger)


def rollback(story: Story) -> str:
    """Roll back: the old version answers again, as it did."""
    said = swap(story, "rollback", story.challenger, story.champion)
    traffic(story, AFTER, drifted=True)
    read_errors(story)
    return said


def swap(story: Story, command: str, before: str, after: str) -> str:
    """Run a command that moves the alias while clients ask."""
    with meanwhile(story.clients, story.calls(TRIAL, drifted=True)) as seen:
        wait("an answer before", lambda: bool(seen.versions))
        story.place.run("project", command)
        story.clients.wait_for_version(after)
        n = len(seen.versions)
        wait("answers after", lambda: len(seen.versions) > n + 2 or bool(seen.failed))
    story.requests += len(seen.versions)
    story.mark("promoted" if command == "promote" else "rolled back")
    return f"version {after} instead of {before}: {require_swap(seen, before, after)}"


def after(story: Story) -> str:
    """Require that the new champion is better on what comes in now."""
    traffic(story, AFTER, drifted=True)
    read_errors(story)
    before, now = story.means
    said = f"{story.errors['label']} {number(now)} instead of {number(before)}"
    require(now < before if story.errors["better"] == "lower" else now > before, f"expected better ones, found {said}")
    return said


def read_errors(story: Story) -> None:
    """Read what feedback showed of each answer, where the log is."""
    text = Path(__file__).with_name("drill_errors.py").read_text(encoding="utf-8")
    said = story.place.run("python", "-c", text, story.place.project.package)
    story.errors = json_in(said.text)


def quiet(story: Story) -> str:
    """Learn from a world that is the same: nothing is promoted, though nothing but the gate keeps it from that."""
    from portfolio_shared.operations.retrain import PASSED, REFUSED  # with all that trains: 2 s

    said = train_again(story, "--why", "schedule", "--promote", accept=[PASSED, REFUSED])
    require_equal("champion of the registry", version_of(story.place, "champion"), story.champion)
    if story.challenger:
        pick_up(story)
        compare(story, accept=[1, 2])
        said = story.comparison["summary"]
    read_errors(story)
    require_equal("version that serves", story.clients.model()["version"], story.champion)
    return f"version {story.champion} still answers; {said}"
