"""A PostgreSQL of this machine's programs, for one session of tests: started, stopped and killed as an operator would.

The superuser's password has the characters that addresses know: what prints it is found.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from demo_service import eventually
from required import missing

from processes import free_port

PASSWORD = "s3cr@t:/word"  # noqa: S105
PLACES = ["/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin"]
# The server refuses to run as root; Debian's package makes the user.
USER = "postgres" if os.geteuid() == 0 else None


@dataclass
class PostgresqlServer:
    """Its address, and the process, None while it is stopped."""

    programs: Path
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://tester:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Return when it answers."""
        options = ["-D", "data", "-p", str(self.port), "-h", "127.0.0.1", "-k", str(self.folder), "-F"]
        with (self.folder / "log").open("ab") as log:
            self.process = self._run(["postgres", *options], log)
        eventually(self._answers)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()
        with suppress(psycopg.OperationalError):
            psycopg.connect(self.url(), connect_timeout=5).close()
            return True
        return False

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End all sessions and stop; SIGQUIT as after a crash."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(timeout=30)
            self.process = None

    def new_database(self, name: str) -> str:
        """Return the address of an empty database."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self.url(name)

    def initialize(self) -> None:
        (self.folder / "password").write_text(PASSWORD, encoding="utf-8")
        shutil.chown(self.folder, USER) if USER else None
        options = ["-D", "data", "-U", "tester", "-A", "scram-sha-256", "--pwfile", "password", "-E", "UTF8", "-N"]
        with (self.folder / "log").open("wb") as log:
            code = self._run(["initdb", *options], log).wait(timeout=60)
        assert code == 0, (self.folder / "log").read_text()

    def _run(self, command: list[str], log: object) -> subprocess.Popen[bytes]:
        command = [str(self.programs / command[0]), *command[1:]]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={"LC_ALL": "C.UTF-8", "PATH": os.defpath},
            stdin=subprocess.DEVNULL,
            stdout=log,  # type: ignore[call-overload]
            stderr=subprocess.STDOUT,
            user=USER,
            group=USER,
            extra_groups=[] if USER else None,
        )


@contextmanager
def running_postgresql(request: pytest.FixtureRequest) -> Iterator[PostgresqlServer]:
    """Run a server in a folder of its own that its user may enter; skip by name where there are no programs."""
    found = [path for place in PLACES for path in Path("/").glob(f"{place[1:]}/postgres")]
    if not found:
        missing(request, "postgresql", "no PostgreSQL on this machine (Debian: apt-get install postgresql)")
    with tempfile.TemporaryDirectory(prefix="postgresql-", ignore_cleanup_errors=True) as folder:
        server = PostgresqlServer(found[-1].parent, Path(folder), free_port())
        server.initialize()
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)  # without writing to disk what nobody reads any more
