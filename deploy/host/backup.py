"""Back the stack up, restore a backup into an empty stack, or try that beside the stack that runs.

    python3 backup.py save /var/backups/portfolio      # the registry and the prediction log; the newest 14 are kept
    python3 backup.py restore /var/backups/portfolio/2026-12-01T023000Z
    python3 backup.py drill /var/backups/portfolio/2026-12-01T023000Z

It asks `docker compose`, so it is run where compose.yaml lies, or with COMPOSE_FILE and COMPOSE_PROJECT_NAME. Only the
standard library, for the Python of a Debian host.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SNAPSHOT = Path(__file__).with_name("snapshot.py")
TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
READY = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000/readyz', timeout=5).read().decode())"
DRILL = "portfolio-drill"
DRILL_SECONDS = 300.0
Services = Mapping[str, Mapping[str, Any]]


class BackupError(RuntimeError):
    """A backup could not be made or restored; the message says why."""


@dataclass(frozen=True)
class Part:
    """What is copied in one piece: files of a volume, or a database of the container `postgres`.

    Attributes
    ----------
    service
        In whose container it is copied.
    place
        Folder that the volume is mounted at, or the name of a database of PostgreSQL.
    names
        Files and folders in the folder; none for PostgreSQL.
    """

    service: str
    place: str
    names: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """Return the name of its file in a backup."""
        return f"{Path(self.place).name}.{'tar' if self.names else 'dump'}"


def main() -> int:
    """Do what was asked; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("how", choices=["save", "restore", "drill"])
    parser.add_argument("folder", type=Path, help="of all backups to save into, or of the one to restore")
    parser.add_argument("--keep", type=int, default=14, help="how many backups stay")
    given = parser.parse_args()
    try:
        if given.how == "save":
            print(f"Saved {save(given.folder)}")
            prune(given.folder, given.keep)
        elif given.how == "restore":
            restore(given.folder)
            print("Restored. To start it: docker compose up --detach")
        else:
            drill(given.folder)
    except (BackupError, OSError) as error:
        print(f"{given.how} failed: {error}", file=sys.stderr)
        return 1
    return 0


def save(folder: Path) -> Path:
    """Write a backup into a folder of its own, which appears when it is whole; return it."""
    services = configuration()["services"]
    now = datetime.now(UTC)
    target = folder / f"{now:%Y-%m-%dT%H%M%SZ}"
    partial = target.with_name(f"{target.name}.partial")
    prune(folder, keep=sys.maxsize)  # what nights that failed have left would fill the disk
    partial.mkdir(parents=True, mode=0o700)
    found = parts_of(services)
    for part in found:
        with (partial / part.file).open("wb") as file:
            if part.names:
                compose(*inside(part), "save", part.place, *part.names, out=file.fileno())
            else:
                dump = ("pg_dump", "--username", "mlflow", "--format", "custom", part.place)
                compose("exec", "--no-TTY", part.service, *dump, out=file.fileno())
    served = champions(serving(services))
    if missing := sorted(set(serving(services)) - set(served)):
        print(f"Not ready, so a drill will not ask for them: {', '.join(missing)}", file=sys.stderr)
    manifest = {
        "created": now.isoformat(),
        "parts": [asdict(part) | {"sha256": sha256_of(partial / part.file)} for part in found],
        "champions": served,
        "not_ready": missing,
    }
    (partial / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return partial.rename(target)


def restore(folder: Path, environment: Mapping[str, str] | None = None) -> None:
    """Put a backup into the volumes of a stack that has none yet; its files are compared with their hashes before.

    Raises
    ------
    BackupError
        If a file is not what was saved, the stack keeps its data elsewhere, or something is there already.
    """
    saved = [Part(each["service"], each["place"], tuple(each["names"])) for each in checked(folder)["parts"]]
    here = parts_of(configuration(environment)["services"])
    if here != saved:
        raise BackupError(f"the stack keeps {here}, and the backup has {saved}: its .env was another")
    for part in saved:
        require_empty(part, environment)
    for part in saved:
        with (folder / part.file).open("rb") as file:
            if part.names:
                compose(*inside(part), "load", part.place, read=file.fileno(), environment=environment)
            else:
                load = ("pg_restore", "--username", "mlflow", "--dbname", part.place, "--single-transaction")
                compose("exec", "--no-TTY", part.service, *load, read=file.fileno(), environment=environment)


def require_empty(part: Part, environment: Mapping[str, str] | None) -> None:
    """Raise BackupError if something is where a part will be restored; a database is started to be asked."""
    if part.names:
        compose(*inside(part), "empty", part.place, environment=environment)
        return
    compose("up", "--detach", "--wait", "--no-build", part.service, environment=environment)
    ask = ("psql", "--username", "mlflow", "--dbname", part.place, "--tuples-only", "--no-align", "--command", TABLES)
    if (tables := compose("exec", "--no-TTY", part.service, *ask, environment=environment).strip()) != "0":
        raise BackupError(f"the database {part.place} is not empty: it has {tables} tables")


def drill(folder: Path) -> None:
    """Restore a backup into a stack of its own that publishes no port; see that it serves the champions; remove it."""
    wanted = checked(folder)["champions"]
    if not wanted:
        raise BackupError(f"{folder} names no champion: no service was ready when it was made")
    own = os.environ | {"COMPOSE_PROJECT_NAME": DRILL}
    stack = configuration(own)
    shared = [volume["name"] for volume in stack["volumes"].values() if not volume["name"].startswith(f"{DRILL}_")]
    if shared:
        raise BackupError(f"the drill would write into {shared}, which are not its own")
    refuse_elsewhere(stack["services"])
    for service in stack["services"].values():
        service.pop("ports", None)
        service.pop("profiles", None)
        needed = service.get("depends_on", {})
        service["depends_on"] = {name: how for name, how in needed.items() if name in stack["services"]}
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary, "compose.json")
        file.write_text(json.dumps(stack), encoding="utf-8")
        environment = own | {"COMPOSE_FILE": str(file), "COMPOSE_ENV_FILES": os.devnull}
        started = time.monotonic()
        try:
            restore(folder, environment)
            compose("up", "--detach", "--no-build", *wanted, environment=environment)
            served: dict[str, str] = {}
            while served != wanted and time.monotonic() < started + DRILL_SECONDS:
                time.sleep(1)
                served = champions(list(wanted), environment)
        finally:
            compose("down", "--volumes", "--remove-orphans", environment=environment)
    if served != wanted:
        raise BackupError(f"the restored stack serves {served}, and the backup was of {wanted}")
    print(f"Restored, and served after {time.monotonic() - started:.0f} s: {served}")


def refuse_elsewhere(services: Services) -> None:
    """Raise BackupError if the stack keeps something in a database elsewhere: a drill would write into it."""
    for name, service in services.items():
        for variable in ("MLFLOW_BACKEND_STORE_URI", "PORTFOLIO_PREDICTION_LOG"):
            host = urlsplit((service.get("environment") or {}).get(variable) or "").hostname
            if host not in (None, "postgres"):
                raise BackupError(f"{variable} of {name} is a database on {host}, which no drill may touch")


def prune(folder: Path, keep: int) -> None:
    """Remove all but the newest backups, and what was left unfinished."""
    finished = sorted(path.parent for path in folder.glob("*Z/manifest.json"))
    for path in [*finished[: max(0, len(finished) - keep)], *folder.glob("*Z.partial")]:
        shutil.rmtree(path)


def configuration(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what the compose files and settings say, as Docker reads them."""
    stack: dict[str, Any] = json.loads(compose("config", "--format", "json", environment=environment))
    return stack


def serving(services: Services) -> list[str]:
    """Return the services that serve models: those which keep the last good ones."""
    return sorted(name for name, service in services.items() if mounted(service, "models"))


def mounted(service: Mapping[str, Any], volume: str) -> bool:
    """Return whether a service has a volume."""
    return any(each.get("source") == volume for each in service.get("volumes", []))


def parts_of(services: Services) -> list[Part]:
    """Return what there is to copy: MLflow's records before the models, which are there before they are recorded."""
    mlflow, log = services["mlflow"]["environment"], services[serving(services)[0]]["environment"]
    artifacts = () if "://" in mlflow.get("MLFLOW_ARTIFACTS_DESTINATION", "") else ("artifacts",)
    registry = part_of("mlflow", mlflow["MLFLOW_BACKEND_STORE_URI"], artifacts)
    predictions = log["PORTFOLIO_PREDICTION_LOG"]
    return [
        *registry,
        *([Part("mlflow", "/mlflow", artifacts)] if artifacts and not any(part.names for part in registry) else []),
        *(part_of(serving(services)[0], predictions) if predictions != "off" else []),
    ]


def part_of(service: str, address: str, others: Sequence[str] = ()) -> list[Part]:
    """Return what is at an address: nothing to copy here if it is a database of another host."""
    place = urlsplit(address)
    if place.scheme.startswith("sqlite"):
        path = Path(place.path[1:])  # sqlite:////srv/x is /srv/x
        return [Part(service, str(path.parent), (path.name, *others))]
    if place.hostname == "postgres":
        return [Part("postgres", place.path[1:])]
    print(f"Not saved here: the database at {place.hostname}", file=sys.stderr)
    return []


def inside(part: Part) -> tuple[str, ...]:
    """Return the beginning of a command that runs snapshot.py in a container with the part's volume."""
    how = ("run", "--rm", "--no-deps", "--no-TTY", "--entrypoint", "python")
    return (*how, part.service, "-I", "-c", SNAPSHOT.read_text(encoding="utf-8"))


def champions(services: Sequence[str], environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the version of the model that each service answers with; whoever is not ready is left out."""
    found = {}
    for name in services:
        try:
            said = compose("exec", "--no-TTY", name, "python", "-I", "-c", READY, environment=environment)
        except BackupError:
            continue
        found[name] = str(json.loads(said)["model"]["version"])
    return found


def checked(folder: Path) -> dict[str, Any]:
    """Return the manifest of a backup, whose files are those that it names."""
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for each in manifest["parts"]:
        file = folder / Part(each["service"], each["place"], tuple(each["names"])).file
        if sha256_of(file) != each["sha256"]:
            raise BackupError(f"{file} is not what was saved: its hash is another")
    return manifest


def sha256_of(path: Path) -> str:
    """Return the hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def compose(
    *arguments: str, read: int | None = None, out: int | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """Run docker compose, from and to files if some are given; return what it writes otherwise."""
    command = ["docker", "compose", *arguments]
    result = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL if read is None else read,
        stdout=subprocess.PIPE if out is None else out,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        check=False,
    )
    if result.returncode:
        shown = " ".join(argument.partition("\n")[0] for argument in arguments)
        raise BackupError(f"docker compose {shown}: {result.stderr.strip()}")
    return result.stdout or ""


if __name__ == "__main__":
    sys.exit(main())
