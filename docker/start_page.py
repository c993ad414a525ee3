"""Serve the start page in its container, on port 8000, until SIGTERM."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from portfolio_shared.serving.start_page import Demo, StartPageSettings, serve


def demos_of(environment: Mapping[str, str], table: Sequence[Mapping[str, Any]]) -> tuple[Demo, ...]:
    """Return the projects of the table (scripts/project_table.py) whose address a variable names.

    The variable is that of the project, such as HOUSING_ADDRESS, or for all of them DEMO_ADDRESS, which is of the kind
    https://{name}.example or http://127.0.0.1:{port}; without either a project is not part of this stack.
    """
    of_all = environment.get("DEMO_ADDRESS", "")
    return tuple(
        Demo(
            project=project["name"],
            title=project["title"],
            lead=project["lead"],
            address=address,
            internal=f"http://{project['name']}:8000",
        )
        for project in table
        if (
            address := environment.get(f"{project['name'].upper().replace('-', '_')}_ADDRESS")
            or of_all.format(name=project["name"], port=project["port"])
        )
    )


if __name__ == "__main__":
    # Written when the image was built.
    projects = json.loads(Path(__file__).with_name("projects.json").read_text(encoding="utf-8"))
    # 0.0.0.0 is that of the container; compose publishes it on 127.0.0.1.
    serve(StartPageSettings(host="0.0.0.0", demos=demos_of(os.environ, projects)))  # noqa: S104
