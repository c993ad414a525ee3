"""Import modules and print what their code does while that happens, one line each; nothing, if it only defines names.

Usage: python watch_imports.py PACKAGE,PACKAGE... MODULE...

An audit hook sees every open() and connection of the process, and the environment is replaced by one that notes who
reads it. What a library does while it is imported is not ours: only what code of ours does first-hand counts.
"""

import importlib
import os
import sys
import sysconfig
from pathlib import Path
from types import FrameType
from typing import Any

WATCHED = ("open", "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.mkdir", "os.remove")
STANDARD = (sysconfig.get_path("stdlib") + os.sep, "<frozen ")
LIBRARIES = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))


class Watch:
    """Notes what code in some folders does."""

    def __init__(self, ours: tuple[str, ...]) -> None:
        self.ours = ours
        self.accesses: list[str] = []

    def first_hand(self, frame: FrameType | None) -> str | None:
        """Return the line of ours that led here through the standard library alone."""
        while frame is not None:
            name = frame.f_code.co_filename
            if name.startswith(self.ours):
                return f"{name}:{frame.f_lineno}"
            if name.startswith(LIBRARIES) or not name.startswith(STANDARD):
                return None
            frame = frame.f_back
        return None

    def note(self, what: str) -> None:
        if where := self.first_hand(sys._getframe(2)):
            self.accesses.append(f"{where}: {what}")

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in WATCHED:
            return
        path = str(arguments[0])
        # Modules, and the tables inside of a package, which are code in another notation.
        if event != "open" or not (path.endswith((".py", ".pyc", ".so")) or path.startswith(self.ours)):
            self.note(f"{event} {path}")

    def environment(self) -> Any:
        """Return the environment, as one that notes who reads it."""
        note, inside = self.note, os.environ

        class Watched(type(inside)):  # type: ignore[misc]
            def __getitem__(self, key: str) -> str:
                note(f"reads {key} from the environment")
                return str(super().__getitem__(key))

            def __iter__(self) -> Any:
                note("lists the environment")
                return super().__iter__()

        return Watched(inside._data, inside.encodekey, inside.decodekey, inside.encodevalue, inside.decodevalue)


def main() -> None:
    packages, *modules = sys.argv[1:]
    files = [importlib.import_module(name).__file__ for name in (*packages.split(","), "portfolio_shared")]
    watch = Watch(tuple(str(Path(str(file)).parent) + os.sep for file in files))
    os.environ = watch.environment()  # noqa: B003 (code looks this name up; nothing is unset)
    sys.addaudithook(watch.hook)
    for name in modules:
        importlib.import_module(name)
    sys.stdout.writelines(f"{line}\n" for line in watch.accesses)


if __name__ == "__main__":
    main()
