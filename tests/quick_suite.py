"""What `make test` leaves to `make test-all`, beside the tests that are marked `long` where they stand.

Marked are those that take a second and a half, but for those of every commit: paths, names of registries, sizes.
"""

import re

import pytest

from project_table import projects

OTHERS = re.compile(rf"\[.*\b({'|'.join(project.name for project in projects()[1:])})\b")
# What all projects promise alike is tested of the first.
ALIKE = re.compile(r"test_(pages|project_(http|machines))\.py")
# Of what takes a minute a project, the shared library's tests have a toy's part.
STORIES = re.compile(r"test_project_(mlflow|registry_cycle)\.py")
PROGRAMS = {"browser", "promtool", "running_mlflow"}  # what takes seconds to start


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as long: stories of a project, reports, and what needs Chromium, promtool or an MLflow server.

    And what reads the public data, so that the same tests run with and without them.
    """
    for item in items:
        name, fixtures = item.path.name, getattr(item, "fixturenames", ())
        report = name == "test_report.py" and "written" in fixtures
        program = not PROGRAMS.isdisjoint(fixtures)
        real = item.get_closest_marker("real_data") is not None
        if real or report or program or STORIES.fullmatch(name) or (ALIKE.fullmatch(name) and OTHERS.search(item.name)):
            item.add_marker(pytest.mark.long)
