"""The steps of one project: data, tables, a training with its gate, a look at what the service answered.

A step runs a command of the project. What it passes on are paths and hashes, which the next command reads for itself:
nothing is handed over in memory, so nothing is pickled.
"""

from collections.abc import Iterator
from pathlib import Path

from commands import DATA, MONITOR, PLAIN, RETRAIN, Ended, run
from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    Backoff,
    DataVersion,
    Failure,
    MaterializeResult,
    MetadataValue,
    RetryPolicy,
    asset,
    multi_asset,
)
from results import faults, read, sha256_of
from settings import Settings

from project_table import Project

REASONS = ("schedule", "drift", "hand")
UNCHANGED = "files_unchanged"
Metadata = dict[str, MetadataValue | str | float]


def steps_of(project: Project, settings: Settings) -> list[AssetsDefinition]:
    """Return the assets of a project, in the order in which they run."""
    made = (_data, _tables, _model, _monitor) if project.etl else (_data, _model, _monitor)
    return [each(project, settings) for each in made]


def names_of(project: Project) -> list[str]:
    """Return the names of its assets; a project that stores no tables has no `etl`."""
    return ["data", *(["etl"] if project.etl else []), "train", "gate", "monitor"]


def key_of(project: Project, step: str) -> AssetKey:
    """Return the key of a step's asset."""
    return AssetKey([project.package, step])


def _data(project: Project, settings: Settings) -> AssetsDefinition:
    @asset(key=key_of(project, "data"), group_name=project.package, retry_policy=_retries(settings))
    def data() -> MaterializeResult:
        """Find the data or download them, and report what is in them."""
        ended = run(_program(project, settings), "data", "--data", settings.data, folder=settings.folder, codes=DATA)
        return MaterializeResult(metadata=_said(ended) | {"data": settings.data})

    return data


def _tables(project: Project, settings: Settings) -> AssetsDefinition:
    key, folder = key_of(project, "etl"), settings.folder / ".state" / "etl" / project.name

    @asset(
        key=key,
        deps=[key_of(project, "data")],
        group_name=project.package,
        retry_policy=_retries(settings),
        check_specs=[AssetCheckSpec(UNCHANGED, asset=key, blocking=True)],
    )
    def etl() -> MaterializeResult:
        """Read and repair what is learned from, store it as tables, and count what was left out."""
        given = {"data": settings.data, "folder": str(folder)}
        words = (word.format_map(given) for word in project.etl)
        ended = run(_program(project, settings), *words, folder=settings.folder, codes=PLAIN)
        path = folder / "manifest.json"
        excluded = {f"excluded: {why}": float(rows) for why, rows in read(path).get("excluded", {}).items()}
        return _written(key, path, _said(ended) | excluded)

    return etl


def _model(project: Project, settings: Settings) -> AssetsDefinition:
    train, gate = key_of(project, "train"), key_of(project, "gate")
    before_train = "etl" if project.etl else "data"
    bundle = settings.folder / ".state" / "retrain" / project.name / "bundle"

    @multi_asset(
        name=f"{project.package}__train_and_gate",
        specs=[
            AssetSpec(
                train, deps=[key_of(project, before_train)], skippable=True, description="The bundle of a new model."
            ),
            AssetSpec(
                gate, deps=[train], description="What became of it: champion, challenger, refused, or no training."
            ),
        ],
        group_name=project.package,
        retry_policy=_retries(settings),
        check_specs=[AssetCheckSpec(UNCHANGED, asset=train)],
    )
    def train_and_gate(context: AssetExecutionContext) -> Iterator[MaterializeResult | AssetCheckResult]:
        """Train and pass the gate by one command: the first champion, or a model that has learned from feedback too."""
        before = _sha256_if_there(bundle / "bundle.json")
        ended = _train(project, settings, bundle, why=_why(context))
        path = bundle / "bundle.json"
        if _sha256_if_there(path) != before:
            yield _written(train, path, {"data": str(read(path)["data"]["sha256"])})
        else:
            yield AssetCheckResult(passed=True, asset_key=train, check_name=UNCHANGED, description="no new bundle")
        yield MaterializeResult(asset_key=gate, metadata=_said(ended) | {"why": _why(context)})

    return train_and_gate


def _train(project: Project, settings: Settings, bundle: Path, *, why: str) -> Ended:
    """Train the first champion where there is none; where there is one, train again from feedback."""
    program, where = _program(project, settings), bundle / "bundle.json"
    before = _sha256_if_there(where)
    common = ("--data", settings.data, "--output", str(bundle))
    first = run(
        program, "train", "--if-missing", *common, *project.first_train_flags, folder=settings.folder, codes=PLAIN
    )
    if _sha256_if_there(where) != before:
        return Ended("first champion", first.said, first.seconds)
    return run(program, "retrain", "--why", why, *common, folder=settings.folder, codes=RETRAIN)


def _monitor(project: Project, settings: Settings) -> AssetsDefinition:
    key, folder = key_of(project, "monitor"), settings.folder / ".state" / "monitor" / project.name

    @asset(
        key=key,
        deps=[key_of(project, "gate")],
        group_name=project.package,
        retry_policy=_retries(settings),
        check_specs=[AssetCheckSpec("no_alarm", asset=key)],
    )
    def monitor() -> MaterializeResult:
        """Compare the window of the prediction log that ends now with what the model learned from."""
        flags, path = ("monitor", "--window", settings.window), folder / "findings.json"
        before = _written_at(path)
        ended = run(_program(project, settings), *flags, folder=settings.folder, codes=MONITOR)
        if _written_at(path) == before:  # it has crashed with the status of an alarm, or there is no log
            raise Failure(f"the monitor has written no findings: {_last(ended)}", allow_retries=False)
        found = read(path)
        check = AssetCheckResult(
            passed=ended.outcome != "alarm",
            asset_key=key,
            check_name="no_alarm",
            description=str(found["summary"]),
            metadata={kind: str(reason) for kind, reason in found["alarms"].items()},
        )
        return MaterializeResult(
            asset_key=key,
            metadata=_said(ended) | _file(folder / "report.html") | {"summary": str(found["summary"])},
            data_version=DataVersion(sha256_of(path)),
            check_results=[check],
        )

    return monitor


def _program(project: Project, settings: Settings) -> Path:
    return settings.commands / project.name


def _retries(settings: Settings) -> RetryPolicy:
    return RetryPolicy(max_retries=2, delay=settings.retry_seconds, backoff=Backoff.EXPONENTIAL)


def _why(context: AssetExecutionContext) -> str:
    """Return what starts a training, for the record: the run's tag `why`, which the schedule sets."""
    why = context.run.tags.get("why", "hand")
    if why not in REASONS:
        raise Failure(f"the tag why={why!r} of the run: expected one of {', '.join(REASONS)}", allow_retries=False)
    return why


def _said(ended: Ended) -> Metadata:
    """Return the outcome, what the command said at its end, and the seconds that it took."""
    return {
        "outcome": ended.outcome,
        "last line": _last(ended),
        "output": MetadataValue.md("```\n" + "\n".join(ended.said) + "\n```"),
        "seconds": round(ended.seconds, 1),
    }


def _last(ended: Ended) -> str:
    return next((line for line in reversed(ended.said) if line), "")


def _written_at(path: Path) -> int:
    """Return when a file was last written, in nanoseconds; 0 if it is not there."""
    return path.stat().st_mtime_ns if path.is_file() else 0


def _written(key: AssetKey, manifest: Path, metadata: Metadata) -> MaterializeResult:
    """Return the result of a step that wrote a folder with a manifest, and whether its files are those it names."""
    contents = read(manifest)
    wrong = faults(manifest.parent, contents)
    check = AssetCheckResult(
        passed=not wrong, asset_key=key, check_name=UNCHANGED, description="; ".join(wrong) or "all hashes are right"
    )
    return MaterializeResult(
        asset_key=key,
        metadata=metadata | _file(manifest),
        data_version=DataVersion(sha256_of(manifest)),
        check_results=[check],
    )


def _file(path: Path) -> Metadata:
    return {"path": MetadataValue.path(path), "sha256": sha256_of(path)}


def _sha256_if_there(path: Path) -> str:
    return sha256_of(path) if path.is_file() else ""
