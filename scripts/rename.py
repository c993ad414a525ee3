"""Give the repository the name and the owner of who cloned it: packages, images, settings, license, badges, site.

Only the standard library: it runs before anything is installed. What it finds is the name in `shared/pyproject.toml`,
so that a repository can be renamed again. Prose stays: it says what it said, and is yours to write.
"""

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from project_table import ROOT, projects

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
OWNER = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
TAKEN = {"mlflow", "docker", "compose", "git", "github", "python", "pytest"}
"""Whose variables ours would be mistaken for: MLFLOW_... is MLflow's."""
AROUND = (
    *((r"tool\.", r"\b"), (r"\.get\(\"", r"\"\)")),  # the projects' table
    *((":-", r"\}"), ("IMAGES=", r"\b"), ("registry=", r"\b")),  # images
    *(("^name: ", "$"), ('"', '-test"'), ("/srv/", r"\b")),  # compose
    *(("-REPOSITORY ", r"\b"), (" && cd ", "$")),  # the command that clones it
    *((r"\[\"", r"\"\]"), ('source_type="', '"')),  # dashboards, MLflow's datasets
)
"""What stands before and after a name that is one, and no word of prose."""
BADGES = re.compile(r"<!-- badges -->.*?<!-- /badges -->\n\n", re.DOTALL)
NEXT = """
Next: `make clean setup format test` makes the environment anew and sorts the imports; then commit.
Lines that a longer name made too long are named by `make check`, and wrapped by hand.
Variables of this machine that began with {before} begin with {after} now, such as {after}DATA_DIR.
README.md, CHANGELOG.md and LICENSES.md still tell the story of the repository that you cloned."""


class RenameError(ValueError):
    """The repository cannot be renamed; the message is one line and says why."""


def git(root: Path, *arguments: str) -> str:
    """Return what git prints; nothing where it fails."""
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False).stdout


def check(root: Path, name: str, owner: str) -> None:
    """Refuse what cannot be a name, and a tree with changes that nobody could take back.

    Raises
    ------
    RenameError
        With one line that says what is wrong.
    """
    if not NAME.fullmatch(name):
        raise RenameError(f"NAME={name!r}: expected small letters, digits and single hyphens, such as acme or ml-lab")
    if not OWNER.fullmatch(owner):
        raise RenameError(f"OWNER={owner!r}: expected an account of GitHub, such as jane-doe")
    first_words = {project.name.partition("-")[0] for project in projects(root)}
    if name in TAKEN | first_words | {project.name for project in projects(root)}:
        raise RenameError(f"NAME={name}: this name is taken by a project or a tool, whose variables begin with it")
    if not git(root, "rev-parse", "HEAD"):
        raise RenameError("this is no git repository with a commit: there would be no way back")
    if dirty := git(root, "status", "--porcelain").splitlines():
        raise RenameError(f"commit or remove what has changed first: {len(dirty)} files, such as {dirty[0][3:]}")


def substitutions(old: str, new: str) -> list[tuple[re.Pattern[str], str]]:
    """Return where a name stands as a name, and what stands there afterwards; in prose it is a word, and stays.

    Examples
    --------
    >>> text = "from acme_shared import x; ACME_DATA_DIR; an acme"
    >>> for pattern, replacement in substitutions("acme", "ml-lab"):
    ...     text = pattern.sub(replacement, text)
    >>> text
    'from ml_lab_shared import x; ML_LAB_DATA_DIR; an acme'
    """
    word, package = re.escape(old), re.escape(old.replace("-", "_"))
    places = [
        (rf"\b{package}(?=_shared\b)", new.replace("-", "_")),
        (rf"\b{package.upper()}(?=_[A-Z\"'])", new.replace("-", "_").upper()),
        (rf"\b{word}(?=-shared\b)", new),
        *((rf"(?<={before}){word}(?={after})", new) for before, after in AROUND),
    ]
    return [(re.compile(pattern, re.MULTILINE), replacement) for pattern, replacement in places]


def line(pattern: str, replacement: str) -> Callable[[str], str]:
    """Return what puts a line in place of the one that a pattern finds; RenameError where there is none."""

    def changed(text: str) -> str:
        text, found = re.subn(pattern, lambda _: replacement, text, count=1, flags=re.MULTILINE)
        if not found:
            raise RenameError(f"there is no line {pattern}")
        return text

    return changed


def personal(name: str, owner: str, person: str) -> dict[str, Callable[[str], str]]:
    """Return file -> what changes in it beside the name: whose it is, and where it lies.

    Each change raises RenameError where the file lacks the line that it changes.
    """
    repository = f"https://github.com/{owner}/{name}"
    quoted = person.replace("\\", "\\\\").replace('"', '\\"')
    workflows = f"{repository}/actions/workflows"
    badges = (
        f"[![ci]({workflows}/ci.yml/badge.svg)]({workflows}/ci.yml)\n"
        f"[![site]({workflows}/pages.yml/badge.svg)](https://{owner.lower()}.github.io/{name}/)"
    )

    def license_of(text: str) -> str:
        line(r"^Copyright \(c\)", "")(text)
        mine = f"Copyright (c) {datetime.now(tz=UTC).year} {person}\n"
        return text if f" {person}\n" in text else text.replace("Copyright (c)", f"{mine}Copyright (c)", 1)

    def with_badges(text: str) -> str:
        title, _, rest = BADGES.sub("", text).replace("ADDRESS-OF-THIS-REPOSITORY", repository).partition("\n\n")
        return f"{title}\n\n<!-- badges -->\n{badges}\n<!-- /badges -->\n\n{rest}"

    def citation(text: str) -> str:
        text = re.sub(r"^repository-code: .*\n", "", text, flags=re.MULTILINE)
        text = line(r"^  - name: .*$", f'  - name: "{quoted}"')(text)
        return text.rstrip("\n") + f"\nrepository-code: {repository}\n"

    def site(text: str) -> str:
        return line(r"^repository = .*$", f'repository = "{repository}"')(
            line(r"^name = .*$", f'name = "{quoted}"')(text)
        )

    return {
        "LICENSE": license_of,  # the first authors' line has to stay: their license says so
        "README.md": with_badges,
        "CITATION.cff": citation,
        "site.toml": site,
        ".github/CODEOWNERS": line(r"^#? ?\* @\S+$", f"* @{owner}"),
    }


def renamed(
    root: Path, names: Sequence[tuple[re.Pattern[str], str]], edits: Mapping[str, Callable[[str], str]]
) -> dict[str, str]:
    """Return file -> its text afterwards, of the files that change; writes nothing.

    Raises
    ------
    RenameError
        Where a file without a zero byte is no UTF-8, or lacks a line that an edit changes.
    """
    changed = {}
    for file in filter(None, git(root, "ls-files", "-z").split("\0")):
        data = b"" if (root / file).is_symlink() else (root / file).read_bytes()
        if b"\0" in data or not data:
            continue
        try:
            before = after = data.decode("utf-8")
            for pattern, replacement in names:
                after = pattern.sub(replacement, after)
            after = edits.get(file, str)(after)
        except (UnicodeDecodeError, RenameError) as error:
            raise RenameError(f"{file}: {error}; nothing was changed") from error
        if after != before:
            changed[file] = after
    return changed


def rename(root: Path, name: str, owner: str, person: str) -> tuple[str, list[str]]:
    """Rename everything below `root`; return the name before and the files that changed.

    Raises
    ------
    RenameError
        Where something cannot be a name, the tree has changes, or everything has this name already.
    """
    check(root, name, owner)
    shared = tomllib.loads((root / "shared/pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
    old = str(shared).removesuffix("-shared")
    changed = renamed(root, substitutions(old, name), personal(name, owner, person))
    if not changed:
        raise RenameError(f"nothing to rename: this is {name} of {owner} already")
    for file, text in changed.items():
        (root / file).write_bytes(text.encode("utf-8"))
    package, folder = (each.replace("-", "_") + "_shared" for each in (old, name))
    if package != folder:
        (root / "shared/src" / package).rename(root / "shared/src" / folder)
    return old, list(changed)


def main(arguments: Sequence[str] | None = None) -> None:
    """Rename, and print what changed and what to do next."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the repository and the start of its packages' names, such as acme")
    parser.add_argument("owner", help="the account on GitHub, such as jane-doe")
    parser.add_argument("person", nargs="?", default="", help="your name; the one that git has, unless you say")
    given = parser.parse_args(arguments)
    person = given.person or git(ROOT, "config", "user.name").strip() or given.owner
    try:
        old, changed = rename(ROOT, given.name, given.owner, person)
    except RenameError as error:
        sys.exit(str(error))
    by_folder: dict[str, int] = {}
    for file in changed:
        top = file.partition("/")[0] + ("/" if "/" in file else "")
        by_folder[top] = by_folder.get(top, 0) + 1
    print(f"{old} is {given.name} now, of {person} ({given.owner}). Changed:")
    for top, count in by_folder.items():
        print(f"  {top}{f' ({count} files)' if count > 1 else ''}")
    prefixes = [f"{each.replace('-', '_').upper()}_" for each in (old, given.name)]
    print(NEXT.format(before=prefixes[0], after=prefixes[1]))


if __name__ == "__main__":
    main()
