"""Install a lock into the environment that runs this: what `make setup` and `make setup-start` do once uv is there.

python install.py LOCK BACKEND; BACKEND says where torch comes from: auto, one of uv's names such as cpu, or nothing for
the package index. On Linux the package index's torch brings 4 GB of CUDA libraries, so where there is no GPU auto takes
the CPU build, if PyTorch's own index answers. Those builds are other files than the lock's: it pins their version, and
the hashes of everything else.
"""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from project_table import ROOT

sys.path.append(str(ROOT / "docker"))
from split_torch import split

UV = str(Path(sys.executable).with_name("uv"))
QUICKLY = {"UV_HTTP_TIMEOUT": "3", "UV_HTTP_CONNECT_TIMEOUT": "3", "UV_HTTP_RETRIES": "0"}
ALL_IN_ALL = 20
"""Seconds for all answers of an index that gives each of them within 3."""


def main() -> None:
    """Install the lock that the first argument names, torch from where the second says."""
    lock, backend = Path(sys.argv[1]), sys.argv[2]
    pins, rest = split(lock.read_text(encoding="utf-8"))
    if not pins:
        sync(lock)
        return
    chosen, why = choose(backend, pins.split())
    print(f"torch: {why}", flush=True)
    with TemporaryDirectory() as folder:
        torch, others = Path(folder, "torch.txt"), Path(folder, "others.txt")
        torch.write_text(pins, encoding="utf-8")
        others.write_text(rest, encoding="utf-8")
        try:
            install(lock, torch, others, chosen)
        except subprocess.CalledProcessError:
            if backend != "auto" or not chosen:
                raise
            print("torch: from the package index after all, since that could not be installed", flush=True)
            sync(lock)


def choose(backend: str, pins: list[str]) -> tuple[str, str]:
    """Return where torch comes from, by uv's name or nothing for the package index, and the line that says so."""
    package_index = "from the package index"
    if backend != "auto":
        return backend, f"the build {backend!r} of PyTorch's index" if backend else package_index
    if sys.platform != "linux":
        return "", f"{package_index}, which has no CUDA libraries for this system"
    if has_gpu():
        return "", f"{package_index}, with 4 GB of CUDA libraries for the GPU (TORCH_BACKEND=cpu does without)"
    if is_there(pins):
        return "cpu", "the CPU build, which is there"
    if answers(pins):
        return "cpu", "the CPU build, since there is no NVIDIA GPU (TORCH_BACKEND names another)"
    return "", f"{package_index}, with 4 GB of CUDA libraries: PyTorch's index of CPU builds does not answer"


def has_gpu() -> bool:
    """Return whether the driver of an NVIDIA GPU is there."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def is_there(pins: list[str]) -> bool:
    """Return whether the CPU build of these versions is installed."""
    return installed() == [f"{pin}+cpu" for pin in pins]


def installed() -> list[str]:
    """Return the versions of torch and torchvision that are there; a build of PyTorch's index ends in its name."""
    found = []
    for name in ("torch", "torchvision"):
        with suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name}=={importlib.metadata.version(name)}")
    return found


def answers(pins: list[str]) -> bool:
    """Return whether PyTorch's index has CPU builds of these versions and says so quickly."""
    command = ["pip", "install", "--dry-run", "--no-deps", "--reinstall", "--torch-backend", "cpu", *pins]
    try:
        uv(*command, timeout=ALL_IN_ALL, env={**os.environ, **QUICKLY}, capture_output=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return False
    return True


def install(lock: Path, torch: Path, others: Path, backend: str) -> None:
    """Install a lock with torch from a backend: last, because no backend replaces a torch that is there."""
    if not backend:
        if "+" in "".join(installed()):  # to uv it is the lock's version, and would stay
            sync(others)
        sync(lock)
    elif backend == "cpu" and is_there(torch.read_text(encoding="utf-8").split()):
        uv("pip", "install", "--require-hashes", "--no-build", "--no-deps", "-r", str(others))
    else:
        sync(others)
        uv("pip", "install", "--torch-backend", backend, "-r", str(torch))


def sync(lock: Path) -> None:
    """Make the environment hold what a lock has, every file checked against its hash, and nothing else.

    Nothing is built from its source: where a package has no wheel for this machine, uv names it at once.
    """
    uv("pip", "sync", "--require-hashes", "--no-build", str(lock))


def uv(*arguments: str, **options: object) -> None:
    """Run uv on this environment."""
    command = [UV, *arguments[:2], "--quiet", "--python", sys.executable, *arguments[2:]]
    subprocess.run(command, check=True, **options)  # type: ignore[call-overload]


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"uv ended with {error.returncode}, and says above why: {sys.argv[1]} is not installed")
