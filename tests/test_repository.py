"""What the repository promises about itself: commands that exist, locks that are whole, nothing of one machine."""

import ast
import configparser
import os
import re
import subprocess
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from checkout import MAKEFILE, ROOT, TARGETS, recipes, tracked
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lock import NOT_OURS, OF_THEIR_OWN
from project_table import projects

LOCKS = sorted(path.name for path in ROOT.glob("requirements/*.lock"))
TRAINING_ONLY = {
    "pandas",
    "scikit-learn",
    "scipy",
    "mlflow",
    "catboost",
    "lightgbm",
    "torch",
    "matplotlib",
    "optuna",
    "pooch",
}
TORCH = {"torch", "torchvision", "triton", "nvidia-cublas"}

# In two halves, or else this file would name them.
REGISTRIES = ["pypi" + ".org", "python" + "hosted.org", "npmjs" + ".org", "conda" + ".anaconda.org"]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


# The Makefile


def test_help_lists_every_target() -> None:
    printed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    listed = re.findall(r"^  make ([a-zA-Z0-9-]+)  +\S", printed, re.MULTILINE)
    assert [name.replace("PROJECT", "%") for name in listed] == TARGETS
    assert len(TARGETS) == len(set(TARGETS)) <= 53
    assert all(project.name in printed for project in projects())


def test_no_target_is_mistaken_for_a_file() -> None:
    phony = {name for line in re.findall(r"^\.PHONY:(.*)$", MAKEFILE, re.MULTILINE) for name in line.split()}

    # A pattern rule cannot be phony; those here need what is, so that they always run.
    assert phony == {target for target in TARGETS if "%" not in target}
    patterns = [name.removesuffix("%") for name in TARGETS if "%" in name]
    needed = {name: re.findall(rf"^{name}%: ([a-z-]+)", MAKEFILE, re.MULTILINE) for name in patterns}
    assert [needed.pop(name) for name in ("train-", "retrain-")] == [[], []]
    assert {name for names in needed.values() for name in names} == {"setup", "setup-start"}
    assert all(len(names) == 1 for names in needed.values())


@pytest.mark.parametrize("installed", [False, True])
def test_only_what_needs_torch_or_tools_installs_them(tmp_path: Path, *, installed: bool) -> None:
    """Where they are installed they stay, whatever is made."""
    if installed:
        (tmp_path / ".installed").touch()
    finetuned = {name for name, extras in distributions().items() if "finetune" in extras}
    trainings = {
        f"{goal}-{project.name}": project.name not in finetuned
        for project in projects()
        for goal in ("train", "retrain")
    }
    small = {"up": True, "mlflow": True, "rollback-housing": True, "test": False, "setup": False, **trainings}

    for target, is_small in small.items():
        synced = re.findall(r"scripts/install.py requirements/(\w+)\.lock", recipes(target, f"VENV={tmp_path}"))
        assert synced == ["start" if is_small and not installed else "dev"], target
    assert finetuned == {"image-classifier"}


def test_a_recipe_ends_with_its_first_failure() -> None:
    """Without .SHELLFLAGS, which macOS's make 3.81 does not read, a loop goes on after a command that failed."""
    printed = recipes("data", "reports", "docker-build", "compose-up", "bench-housing").replace("\\\n", " ")

    loops = [line for line in printed.splitlines() if re.search(r"\bfor \w+ in ", line)]
    assert len(loops) >= 6
    assert [line for line in loops if "exit 1" not in line] == []


# The locks


def entries(lock: str) -> dict[str, list[tuple[str, int]]]:
    """Return name -> (version, number of hashes) of its pins: several where Pythons or platforms differ."""
    pins: dict[str, list[tuple[str, int]]] = {}
    for block in re.split(r"\n(?=\S)", text_of(ROOT / "requirements" / lock)):
        if match := re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", block):
            pins.setdefault(canonicalize_name(match[1]), []).append((match[2], block.count("--hash=sha256:")))
    return pins


def versions(lock: str) -> dict[str, set[str]]:
    return {name: {version for version, _ in pins} for name, pins in entries(lock).items()}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_host_and_pins_hashes(lock: str) -> None:
    text = text_of(ROOT / "requirements" / lock)

    assert "://" not in text
    assert not re.search(r"^\s*(-i|-f|-e|--index-url|--extra-index-url|--find-links|--editable)\b", text, re.MULTILINE)
    requirements = [line for line in text.splitlines() if re.match(r"[A-Za-z0-9]", line)]
    pins = [pin for group in entries(lock).values() for pin in group]
    assert len(requirements) == len(pins) > 0, "an entry is not pinned to one version"
    assert all(hashes for _, hashes in pins)


def distributions() -> dict[str, dict[str, list[Requirement]]]:
    """Return own distribution -> extra ("" for none) -> its direct dependencies."""
    table = {}
    for path in [ROOT / "shared" / "pyproject.toml", *sorted(ROOT.glob("projects/*/pyproject.toml"))]:
        project = tomllib.loads(text_of(path))["project"]
        groups = {"": project.get("dependencies", []), **project.get("optional-dependencies", {})}
        table[canonicalize_name(project["name"])] = {
            extra: [Requirement(line) for line in lines] for extra, lines in groups.items()
        }
    return table


def direct(name: str, *extras: str) -> list[Requirement]:
    """Return what a distribution of ours needs directly, those of ours that it needs replaced by what they need."""
    own = distributions()
    needed = [requirement for extra in ("", *extras) for requirement in own[name][extra]]
    external = []
    for requirement in needed:
        inner = canonicalize_name(requirement.name)
        external += direct(inner, *requirement.extras) if inner in own else [requirement]
    return external


def everything() -> list[Requirement]:
    """Return what development needs: the tools, and all extras of all distributions."""
    extras = {name: [extra for extra in groups if extra] for name, groups in distributions().items()}
    tools = [*group("dev"), *group("reference")]
    return tools + [needed for name in extras for needed in direct(name, *extras[name])]


def group(name: str) -> list[Requirement]:
    groups = tomllib.loads(text_of(ROOT / "pyproject.toml"))["dependency-groups"]
    return [Requirement(line) for line in groups[name]]


def test_the_development_lock_has_every_direct_dependency() -> None:
    assert broken_by("dev.lock", everything()) == []


@pytest.mark.parametrize("project", sorted(p.name for p in ROOT.glob("projects/*") if (p / "pyproject.toml").is_file()))
def test_the_locks_of_the_images_have_every_direct_dependency(project: str) -> None:
    assert broken_by(f"{project}-service.lock", direct(project)) == []
    assert broken_by(f"{project}-trainer.lock", direct(project, "train")) == []
    assert set(entries(f"{project}-service.lock")) & TRAINING_ONLY == set()
    assert set(entries(f"{project}-trainer.lock")) & TORCH == set()
    if "finetune" in distributions()[project]:
        assert broken_by(f"{project}-finetune.lock", direct(project, "train", "finetune")) == []


def test_make_up_installs_all_that_a_training_needs_but_torch() -> None:
    needed = [requirement for project in projects() for requirement in direct(project.name, "train")]
    assert broken_by("start.lock", needed) == []
    assert {"mlflow", "flask", "editables", "hatchling"} <= entries("start.lock").keys()  # the whole server
    assert entries("start.lock").keys() & TORCH == set()


def test_only_benchmarks_need_what_they_alone_compare_with() -> None:
    compared = group("benchmark")
    assert broken_by("benchmark.lock", compared) == []
    assert {lock for lock in LOCKS for peer in compared if peer.name in entries(lock)} == {"benchmark.lock"}
    assert "install --quiet --python" in recipes("bench-housing")


def test_all_locks_agree_on_versions() -> None:
    """What is tested is what is shipped; tools that run none of our code have versions of their own."""
    development = versions("dev.lock")
    of_mlflow = {"flask-wtf", "wtforms"}
    only = {
        "benchmark": {peer.name for peer in group("benchmark")},
        "mlflow": of_mlflow,
        "mlflow-s3": of_mlflow | {"boto3", "botocore", "jmespath", "s3transfer"},
    }
    for name in {path.removesuffix(".lock") for path in LOCKS} - set(OF_THEIR_OWN):
        pinned = versions(f"{name}.lock")
        if name not in ("peers", "audit", "docs", "pipeline", "spark"):  # which are environments of their own
            assert pinned.keys() - development.keys() <= only.get(name, set()), name
        differing = {other for other in pinned.keys() & development.keys() if pinned[other] != development[other]}
        assert [other for other in differing if not re.fullmatch(NOT_OURS.get(name, ""), other)] == [], name


def test_the_peers_of_the_benchmark_have_an_environment_of_their_own() -> None:
    """They are real releases, which no other lock has, and know everything that our predictors import."""
    peers = [Requirement(line) for line in text_of(ROOT / "requirements" / "peers.in").splitlines() if line[0] != "#"]
    assert (
        broken_by("peers.lock", [*peers, *(needed for project in projects() for needed in direct(project.name))]) == []
    )
    assert {lock for lock in LOCKS for peer in peers if peer.name in entries(lock)} == {"peers.lock"}
    assert re.search(
        r"--python .\.state/peers/bin/python. --require-hashes -r \S+/peers\.lock", recipes("bench-serving")
    )


def broken_by(lock: str, requirements: list[Requirement]) -> list[str]:
    """Return the requirements that a lock does not have, or has in a version that they do not allow."""
    pinned = versions(lock)
    assert requirements
    broken = []
    for requirement in requirements:
        here = pinned.get(canonicalize_name(requirement.name))
        if not here or not all(requirement.specifier.contains(version, prereleases=True) for version in here):
            broken.append(str(requirement))
    return broken


# Nothing of one machine


def configured_hosts() -> set[str]:
    """Return the hosts that this machine installs packages from."""
    urls = [value for name, value in os.environ.items() if re.search(r"INDEX|FIND_LINKS|REGISTRY", name)]
    home = Path.home()
    for path in (home / ".config/pip/pip.conf", home / ".pip/pip.conf", Path("/etc/pip.conf")):
        if path.is_file():
            settings = configparser.ConfigParser(interpolation=None)
            settings.read(path)
            urls += [value for section in settings for value in settings[section].values()]
    for path in (home / ".config/uv/uv.toml", Path("/etc/uv/uv.toml")):
        if path.is_file():
            urls += re.findall(r'"(https?://[^"]+)"', text_of(path))
    hosts = {urlsplit(url).hostname for url in urls if "://" in url}
    return {host for host in hosts if host and host not in ("localhost", "127.0.0.1")}


def test_no_file_names_a_package_registry() -> None:
    hosts = configured_hosts() | set(REGISTRIES)

    places = [f"{name}: {host}" for name in tracked() for host in hosts if host in text_of(ROOT / name).lower()]

    assert places == []


def test_no_file_holds_a_path_of_one_machine() -> None:
    own = {str(ROOT) + "/", str(ROOT.parent) + "/", str(Path.home()) + "/"} - {"//", "/root/", "/tmp/"}  # noqa: S108 - a checkout may lie there
    # An image's own cache of root is no path of a machine.
    others = re.compile(r"(?<![\w.~$}/-])/(?:root(?!/\.cache)|home/(?!app\b)\w+|Users/\w+|mnt/\w+)/|[A-Z]:\\\\Users")

    places = []
    for name in tracked():
        text = text_of(ROOT / name)
        places += [f"{name}: {prefix}" for prefix in own if prefix in text]
        if ROOT / name != Path(__file__):
            places += [f"{name}: {match[0]}" for match in others.finditer(text)]

    assert places == []


def test_what_ci_runs_can_be_run() -> None:
    path = ROOT / ".ci" / "run"

    assert os.access(path, os.X_OK)
    assert text_of(path).startswith("#!/usr/bin/env bash\n")
    subprocess.run(["bash", "-n", str(path)], check=True)


def test_nothing_that_is_made_is_tracked() -> None:
    """Data and weights that ship are the business of test_licenses.py."""
    made = (".pkl", ".pickle", ".joblib", ".pyc", ".db", ".npz", ".part")

    assert [name for name in tracked() if name.endswith(made)] == []


LONGEST_MODULE, LONGEST_BODY = 300, 40


def test_modules_and_functions_fit_on_a_page_or_two() -> None:
    paths = [path for path in tracked() if path.endswith(".py")]
    assert paths
    for path in paths:
        text = text_of(ROOT / path)
        assert len(text.splitlines()) <= LONGEST_MODULE, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
                lines = (node.end_lineno or 0) - body[0].lineno + 1
                assert lines <= LONGEST_BODY, f"{path}:{node.lineno} {node.name}"
