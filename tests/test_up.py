"""`make up` from nothing to a price, and back to nothing; and the MLflow server that other commands borrow."""

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from portfolio_shared.tracking.client import tracking_client
from portfolio_shared.tracking.server import free_port

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
HOUSE = {
    "neighborhood": "CollgCr",
    "year_built": 2003,
    "overall_qual": 7,
    "overall_cond": 5,
    "gr_liv_area": 1710,
    "lot_area": 8450,
    "total_bsmt_sf": 856,
    "full_bath": 2,
    "bedroom_abv_gr": 3,
    "garage_cars": 2,
}


@dataclass(frozen=True)
class Place:
    """A working directory with ports of its own; everything that is started in it carries its mark."""

    folder: Path
    port: int
    films_port: int
    pictures_port: int
    mlflow_port: int
    mark: str

    @property
    def service(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def mlflow(self) -> str:
        return f"http://127.0.0.1:{self.mlflow_port}"

    def environment(self, **more: str) -> dict[str, str]:
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HOUSING_", "RECOMMENDER_", "IMAGE_CLASSIFIER_", "MLFLOW_"))
        }
        settings = {
            "HOUSING_PORT": str(self.port),
            "RECOMMENDER_PORT": str(self.films_port),
            "IMAGE_CLASSIFIER_PORT": str(self.pictures_port),
            "IMAGE_CLASSIFIER_TRAIN_EPOCHS": "2",
            "IMAGE_CLASSIFIER_TRAIN_THREADS": "1",
            "MLFLOW_TRACKING_URI": self.mlflow,
            "HOUSING_TRAIN_FOLDS": "2",
            "HOUSING_TRAIN_THREADS": "1",
            "PORTFOLIO_TEST_MARK": self.mark,
        }
        return clean | settings | more

    def leftovers(self) -> list[str]:
        """Return the commands of processes that were started here and still run (where /proc tells)."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if f"PORTFOLIO_TEST_MARK={self.mark}".encode() in (process / "environ").read_bytes().split(b"\0"):
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue  # ended in between, or of another user
        return found

    def is_quiet(self) -> bool:
        """Return whether nothing of it is left: no process, and nobody who listens."""
        return not self.leftovers() and not any(
            listens(port) for port in (self.port, self.films_port, self.pictures_port, self.mlflow_port)
        )


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Up:
    """A running scripts/up.py, in a process group of its own as in a terminal."""

    process: subprocess.Popen[bytes]
    log: Path

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + 400
        while text not in self.output():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < deadline, f"no {text!r} within 400 s:\n{self.output()}"
            time.sleep(0.05)

    def end(self, number: signal.Signals) -> int:
        """Send the signal to the whole group, as a terminal does with Ctrl-C, and return the exit status."""
        os.killpg(self.process.pid, number)
        return self.process.wait(timeout=60)


@contextmanager
def up(place: Place, *arguments: str) -> Iterator[Up]:
    log = place.folder / f"{uuid.uuid4().hex}.log"
    command = [sys.executable, str(SCRIPTS / "up.py"), *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=place.folder,
            env=place.environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Up(process, log)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=60)


def place_at(folder: Path) -> Place:
    return Place(folder, free_port(), free_port(), free_port(), free_port(), uuid.uuid4().hex)


@dataclass(frozen=True)
class Outcome:
    """What was seen while it ran, and how it ended."""

    place: Place
    output: str
    status: int
    quiet: bool
    seen: dict[str, object]


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Start in an empty folder, whose name has a space, and press Ctrl-C while the model is trained."""
    folder = tmp_path_factory.mktemp("up") / "a new folder"
    folder.mkdir()
    place = place_at(folder)
    with up(place, "--data", "sample") as running:
        running.wait_for("sales to learn from")
        status = running.end(signal.SIGINT)
        return Outcome(place, running.output(), status, place.is_quiet(), {})


@pytest.fixture(scope="module")
def first(interrupted: Outcome) -> Outcome:
    """Start again, let it train, ask for a price, and press Ctrl-C."""
    place = interrupted.place
    with up(place, "--data", "sample") as running:
        running.wait_for("Open in a browser")
        seen = look_at(place)
        status = running.end(signal.SIGINT)
        return Outcome(place, running.output(), status, place.is_quiet(), seen)


@pytest.fixture(scope="module")
def second(first: Outcome) -> Outcome:
    """Start a third time, in the same folder, and end it as a supervisor would."""
    place = first.place
    with up(place, "--data", "sample") as running:
        running.wait_for("Open in a browser")
        seen = look_at(place)
        status = running.end(signal.SIGTERM)
        return Outcome(place, running.output(), status, place.is_quiet(), seen)


def look_at(place: Place) -> dict[str, object]:
    answer = httpx.post(f"{place.service}/v1/predictions", json={"houses": [HOUSE]}, trust_env=False).json()
    model = httpx.get(f"{place.service}/v1/model", trust_env=False).json()
    with tracking_client(place.mlflow) as client:
        versions = [str(version.version) for version in client.search_model_versions("name = 'housing'")]
    return {
        "price": answer["predictions"][0]["price"],
        "version": answer["model"]["version"],
        "origin": model["origin"],
        "source": model["data"]["source"],
        "page": httpx.get(f"{place.service}/", trust_env=False).status_code,
        "films": httpx.get(f"http://127.0.0.1:{place.films_port}/readyz", trust_env=False).status_code,
        "pictures": httpx.get(f"http://127.0.0.1:{place.pictures_port}/readyz", trust_env=False).status_code,
        "mlflow": httpx.get(f"{place.mlflow}/health", trust_env=False).status_code,
        "versions": versions,
        "processes": len(place.leftovers()),
    }


def test_ctrl_c_while_training_stops_everything(interrupted: Outcome) -> None:
    assert interrupted.place.leftovers() == []
    assert interrupted.quiet
    assert interrupted.status == 0
    assert "Traceback" not in interrupted.output
    assert "Open in a browser" not in interrupted.output


def test_it_trains_serves_and_prints_the_addresses(first: Outcome) -> None:
    assert first.seen["price"] > 10_000
    assert (first.seen["version"], first.seen["origin"], first.seen["source"]) == ("1", "registry", "sample")
    assert [first.seen[name] for name in ("page", "films", "pictures", "mlflow")] == [200] * 4
    for address in (first.place.service, f"{first.place.service}/docs", first.place.mlflow):
        assert address in first.output.replace("\n", "")
    assert "version 1 as champion" in first.output
    if Path("/proc").is_dir():  # or else the test that nothing is left sees nothing
        assert first.seen["processes"] >= 4  # itself, MLflow's watcher, MLflow, the service


@pytest.mark.parametrize("start", ["first", "second"])
def test_a_signal_ends_it_and_leaves_nothing_behind(start: str, request: pytest.FixtureRequest) -> None:
    outcome: Outcome = request.getfixturevalue(start)

    assert outcome.place.leftovers() == []
    assert outcome.quiet
    assert outcome.status == 0
    assert outcome.output.rstrip().endswith("Stopped.")
    assert "Traceback" not in outcome.output


def test_the_second_start_does_not_train_again(first: Outcome, second: Outcome) -> None:
    assert "housing: version 1 is champion (sample data)" in second.output
    assert "recommender: version 1 is champion (sample data)" in second.output
    assert "image-classifier: version 1 is champion (sample data)" in second.output
    assert "sales to learn from" not in second.output
    assert second.seen["versions"] == first.seen["versions"] == ["1"]
    assert second.seen["price"] == first.seen["price"]


@pytest.mark.parametrize("taken", ["service", "MLflow"])
def test_a_taken_port_is_reported_before_anything_is_started(tmp_path: Path, taken: str) -> None:
    place = place_at(tmp_path)
    port = place.port if taken == "service" else place.mlflow_port
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()
        with up(place, "--data", "sample") as running:
            status = running.process.wait(timeout=60)

    assert status == 1
    assert str(port) in running.output()
    assert "Traceback" not in running.output()
    if taken == "service":
        assert "HOUSING_PORT" in running.output()
    assert "MLflow runs" not in running.output()
    assert not (tmp_path / ".state" / "bundles").exists()
    assert place.leftovers() == []


def with_mlflow(place: Place, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPTS / "with_mlflow.py"), *command],
        cwd=place.folder,
        env=place.environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )


ASK_HEALTH = (
    "import os, sys, httpx;"
    "sys.exit(7 if httpx.get(os.environ['MLFLOW_TRACKING_URI'] + '/health', trust_env=False).is_success else 1)"
)


def test_a_running_mlflow_is_used_and_left_running(tmp_path: Path, mlflow_server: str) -> None:
    place = place_at(tmp_path)

    result = with_mlflow(place, sys.executable, "-c", ASK_HEALTH, MLFLOW_TRACKING_URI=mlflow_server)

    assert result.returncode == 7, result.stderr
    assert not (tmp_path / ".state").exists()
    assert httpx.get(f"{mlflow_server}/health", trust_env=False).is_success


def test_without_one_it_is_started_and_stopped_with_the_command(tmp_path: Path) -> None:
    place = place_at(tmp_path)

    result = with_mlflow(place, sys.executable, "-c", ASK_HEALTH)

    assert result.returncode == 7, result.stderr
    assert (tmp_path / ".state" / "mlflow" / "mlflow.db").is_file()
    assert place.is_quiet()


def test_a_server_elsewhere_that_does_not_answer_is_an_error(tmp_path: Path) -> None:
    address = "http://mlflow.invalid:5500"

    result = with_mlflow(place_at(tmp_path), "true", MLFLOW_TRACKING_URI=address)

    assert result.returncode == 1
    assert address in result.stdout
