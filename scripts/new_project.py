"""Make a project of your own: `make new-project NAME=churn KIND=tabular` (or ranking, images; with DATA and TARGET).

A template is an ordinary project whose name is `new-project`: it is copied, and five words in it are replaced. copier
was tried on paper and left out: there is nothing to ask and no branch to take, its template language would make files
that neither Ruff, mypy nor an editor can read, and a new project is changed by hand from its first day on, so that
updates of the template, copier's strength, would meet no line that they know.

`templates/common` holds what all kinds do identically, `templates/KIND` the rest; a file of the kind wins. Not copied
are `licenses.md`, whose rows go into LICENSES.md, and `prepare.py` with its `generator/`: its `prepare(folder, data,
target)` puts the data into the new project and returns what to replace in its text besides. For a target that is a
class it takes the files of `tabular/classes/` over those for a number.
"""

import argparse
import importlib.util
import keyword
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from project_table import ROOT, projects

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST_NAME = 20  # lines of the templates have room for so much
PLACEHOLDER, PORT = "new-project", 8999
OWN_WORDS = {
    "HOW_SURE": "*Each answer says how sure it is. Is what it promises true on the test part, and for whom is it not?*"
}
"""What stands in the documents unless a kind's `prepare` has something to say there."""
NOT_COPIED = ("licenses.md", "prepare.py", "generator", "classes", "__pycache__")
# Variables of other programs begin so: they would be read as misspelt settings of the project.
TAKEN_PREFIXES = ("COMPOSE_", "DOCKER_", "GIT_", "MLFLOW_", "PORTFOLIO_", "PYTHON_", "SSL_", "UV_", "XDG_")

Prepare = Callable[[Path, Path | None, str], Mapping[str, str]]


class NewProjectError(ValueError):
    """There is no such project to be made; the message is one line that says why, and what to do."""


def make(name: str, kind: str, *, data: Path | None = None, target: str = "", root: Path = ROOT) -> Path:
    """Make a project and return its folder; nothing is written unless all of it can be.

    Parameters
    ----------
    kind
        A folder of `templates/`.
    data, target
        A file or folder of data of one's own, and for a table the column to predict.

    Raises
    ------
    NewProjectError
        If a project of this name or kind, or of these data, cannot be made.
    """
    check_kind(kind, root)
    check_name(name, root)
    folder = root / "projects" / name
    port = max(project.port for project in projects(root)) + 1
    (root / ".state").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root / ".state", prefix="new-") as scratch:
        new = Path(scratch) / name
        words = replacements(name, port)
        for layer in ("common", kind):
            copy_layer(root / "templates" / layer, new, words)
        try:
            own = {**OWN_WORDS, **prepare_of(root / "templates" / kind)(new, data, target)}
        except (OSError, ValueError) as error:
            raise NewProjectError(" ".join(str(error).split())) from error
        replace_in(new, own)
        outside = outside_of(root, new, kind, {**words, **own})
        tidy(new)
        new.rename(folder)
    for path, text in outside.items():
        path.write_text(text, encoding="utf-8")
    return folder


def check_kind(kind: str, root: Path) -> None:
    """Raise NewProjectError if there is no template of this kind."""
    kinds = sorted(path.name for path in (root / "templates").iterdir() if path.is_dir() and path.name != "common")
    if kind not in kinds:
        raise NewProjectError(f"KIND={kind} is none of {', '.join(kinds)}{nearest(kind, kinds)}")


def check_name(name: str, root: Path) -> None:
    """Raise NewProjectError if a project cannot have this name, which its folder, module and settings have as well."""
    package, prefix = name.replace("-", "_"), f"{name.replace('-', '_').upper()}_"
    if not NAME.fullmatch(name) or not 2 <= len(name) <= LONGEST_NAME:
        expected = f"2 to {LONGEST_NAME} small letters and digits, with hyphens between words, such as house-rents"
        raise NewProjectError(f"NAME={name} is no name of a project: expected {expected}")
    others = projects(root)
    if name in [project.name for project in others] or (root / "projects" / name).exists():
        go_on = f"what was begun goes on with `make setup` and `.venv/bin/{name} report --data full`"
        raise NewProjectError(f"projects/{name} exists: choose another name; {go_on}")
    if keyword.iskeyword(package) or package in sys.stdlib_module_names or importlib.util.find_spec(package):
        raise NewProjectError(f"NAME={name} is the name of a Python module, {package}, which it would hide")
    for project in others:
        if prefix.startswith(project.prefix) or project.prefix.startswith(prefix):
            taken = f"settings of {project.name} begin with {project.prefix}"
            raise NewProjectError(f"NAME={name} is too close to another project: {taken}; choose another name")
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    verbs = re.findall(r"^([a-z]+-)%:", makefile, re.MULTILINE)
    targets = set(re.findall(r"^([a-z][a-z-]*):(?!=)", makefile, re.MULTILINE))
    services = re.findall(r"^  ([a-z-]+):$", (root / "docker/compose.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    if clash := sorted(targets & {f"{verb}{name}" for verb in verbs}):
        raise NewProjectError(f"NAME={name} is taken: `make {clash[0]}` means something else; choose another name")
    if name in services or prefix in TAKEN_PREFIXES:
        raise NewProjectError(f"NAME={name} is taken by a part of the stack; choose another name")


def nearest(word: str, words: list[str]) -> str:
    """Return a hint at the word that was probably meant, or nothing."""
    close = get_close_matches(word.lower(), words, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def replacements(name: str, port: int) -> dict[str, str]:
    """Return what stands for what in a template.

    Examples
    --------
    >>> list(replacements("house-rents", 8004).values())
    ['house-rents', 'house_rents', 'HOUSE_RENTS', 'House rents', '8004']
    """
    package, title = name.replace("-", "_"), name.replace("-", " ").capitalize()
    words = (PLACEHOLDER, PLACEHOLDER.replace("-", "_"), PLACEHOLDER.replace("-", "_").upper(), "New project", PORT)
    return dict(zip(map(str, words), (name, package, package.upper(), title, str(port)), strict=True))


def replaced(text: str, words: Mapping[str, str]) -> str:
    """Replace words in one pass: what was put in is not looked at again."""
    if not words:
        return text
    return re.sub("|".join(map(re.escape, words)), lambda match: words[match[0]], text)


def copy_layer(template: Path, new: Path, words: Mapping[str, str]) -> None:
    """Copy the files of a template, with words replaced in their names and, where they are text, in them."""
    for path in sorted(template.rglob("*")):
        inside = path.relative_to(template)
        if path.is_dir() or any(part in NOT_COPIED for part in inside.parts):
            continue
        to = new / replaced(str(inside), words)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)
        rewrite(to, words)


def replace_in(folder: Path, words: Mapping[str, str]) -> None:
    """Replace words in all files of a folder but for the data that ship."""
    for path in folder.rglob("*"):
        ships = "/data/sample/" in f"/{path.relative_to(folder).as_posix()}"
        if path.is_file() and (not ships or path.name == "SOURCE.md"):
            rewrite(path, words)


def rewrite(path: Path, words: Mapping[str, str]) -> None:
    """Replace words in a file, if it is text."""
    content = path.read_bytes()
    if words and b"\0" not in content and not content.startswith(b"\xff\xd8"):
        path.write_bytes(replaced(content.decode(), words).encode())


def prepare_of(template: Path) -> Prepare:
    """Return the function that brings the data of a kind; nothing is to be done where there is none."""
    path = template / "prepare.py"
    if not path.is_file():
        return lambda _folder, _data, _target: {}
    spec = importlib.util.spec_from_file_location(f"prepare_{template.name}", path)
    if spec is None or spec.loader is None:
        raise NewProjectError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    prepare: Prepare = module.prepare
    return prepare


@contextmanager
def importable(folder: Path) -> Iterator[Callable[[str], Any]]:
    """Give what imports a module of the new project, by its name in the package; nothing of it stays imported."""
    (package,) = (path for path in folder.glob("src/*") if path.is_dir())
    before = sys.dont_write_bytecode
    sys.path.insert(0, str(package.parent))
    sys.dont_write_bytecode = True
    try:
        yield lambda name: importlib.import_module(f"{package.name}.{name}")
    finally:
        sys.path.remove(str(package.parent))
        sys.dont_write_bytecode = before
        for name in [name for name in sys.modules if name.partition(".")[0] == package.name]:
            del sys.modules[name]


def one_line(text: str) -> str:
    r"""Return a name from outside as words that mean nothing in Python, TOML, Markdown or HTML.

    Examples
    --------
    >>> one_line('rents "2024"\n<b>.csv'), one_line("?")
    ('rents 2024 b .csv', 'data')
    """
    return " ".join(re.sub(r"[^\w\s.()%+-]", " ", text).split())[:60].strip() or "data"


def outside_of(root: Path, new: Path, kind: str, words: Mapping[str, str]) -> dict[Path, str]:
    """Return the files outside of the new folder that know each project, with what they say of this one."""
    name = new.name
    compose, readme, licenses = (root / file for file in ("compose.yaml", "README.md", "LICENSES.md"))
    cluster = root / "deploy/kubernetes/base/kustomization.yaml"
    pyproject = (new / "pyproject.toml").read_text(encoding="utf-8")
    title, lead = (re.findall(rf'^{key} = "(.*)"$', pyproject, re.MULTILINE)[0] for key in ("title", "lead"))
    row = f"| [{title}](projects/{name}/README.md) | {lead} | see its first section |"
    section = f"\n<!-- report:{name} -->\n<!-- /report:{name} -->"
    changed = after_last(readme, r"^\| \[.*\]\(projects/.*\|$", row)
    changed = after_last(readme, r"^<!-- /report:[a-z-]+ -->$", section, changed)
    rows = replaced((root / "templates" / kind / "licenses.md").read_text(encoding="utf-8").strip(), words)
    return {
        compose: after_last(compose, r"^      - projects/.*$", f"      - projects/{name}/compose.yaml"),
        cluster: after_last(cluster, r"^  - \.\./\.\./\.\./projects/.*$", f"  - ../../../projects/{name}/kubernetes"),
        readme: changed,
        licenses: after_last(licenses, r"^\| `projects/[^*`]+\*` \|.*$", rows),
    }


def after_last(path: Path, pattern: str, line: str, text: str | None = None) -> str:
    """Return the text of a file with a line after the last one that has the pattern."""
    text = path.read_text(encoding="utf-8") if text is None else text
    found = list(re.finditer(pattern, text, re.MULTILINE))
    if not found:
        raise NewProjectError(f"{path.name} has no line {pattern} to put the project after")
    return f"{text[: found[-1].end()]}\n{line}{text[found[-1].end() :]}"


def tidy(folder: Path) -> None:
    """Put imports in order, which depends on the name, and break lines anew."""
    ruff = Path(sys.executable).with_name("ruff")
    ours = f"lint.isort.known-first-party = ['{folder.name.replace('-', '_')}', 'portfolio_shared']"
    options = ("--quiet", "--config", ROOT / "pyproject.toml", "--config", ours, folder)
    for command in (("check", "--select", "I", "--fix"), ("format",)):
        done = subprocess.run([ruff, *command, *options], capture_output=True, text=True, check=False)
        if done.returncode:
            raise NewProjectError(f"ruff {command[0]} refuses what the template makes: {done.stdout}{done.stderr}")


def main() -> None:
    """Make the project that the command line names, or say in one line why not."""
    parser = argparse.ArgumentParser(description="Make a project of your own.")
    parser.add_argument("name")
    parser.add_argument("kind")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--target", default="")
    given = parser.parse_args()
    try:
        folder = make(given.name, given.kind, data=given.data, target=given.target)
    except NewProjectError as error:
        sys.exit(f"new-project: {error}")
    print(f"Made {folder.relative_to(ROOT)}. Outside of it: compose.yaml, README.md, LICENSES.md and")
    print("deploy/kubernetes/base/kustomization.yaml have a line each.")
    (port,) = (project.port for project in projects(ROOT) if project.name == given.name)
    print(f"Next: `make train-{given.name}` and `make serve-{given.name}`, which serves http://127.0.0.1:{port};")
    print("before a commit, `make lock setup`. A `make up` that runs has to be started anew.")


if __name__ == "__main__":
    main()
