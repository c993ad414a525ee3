"""Requests made from what /openapi.json says, valid and not: the answers are those that it says, and none is a 5xx.

Feedback is said of what was predicted, as a client would, by the ids of the answers before.
"""

import importlib
import io
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from PIL import Image
from schemathesis import GenerationMode, checks

from project_table import Project

pytestmark = [pytest.mark.suite, pytest.mark.long, pytest.mark.slow]

EXAMPLES = 150  # valid ones of each operation, and as many that are not
# Not whether all is refused that the schema does not name: a blank is read as nothing and "20" as 20, as people write.
CHECKED = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
# No shrinking: a failure prints the request as it was.
SETTINGS = {"deadline": None, "database": None, "phases": [Phase.generate], "suppress_health_check": list(HealthCheck)}


@pytest.fixture(scope="module")
def client(
    serving: Callable[[Any], AbstractContextManager[httpx.Client]],
    project: Project,
    project_bundle: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[httpx.Client]:
    log = f"sqlite:///{tmp_path_factory.mktemp('fuzzed')}/log.db"
    options = importlib.import_module(f"{project.package}.config").ServeSettings(
        bundle=project_bundle, prediction_log=log, log_megabytes=5
    )
    with serving(importlib.import_module(f"{project.package}.serving.app").create_app(options)) as client:
        yield client


def test_every_answer_is_one_that_the_documentation_names(client: httpx.Client) -> None:
    stream = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").save(stream, "JPEG")
    schemathesis.openapi.format("binary", st.sampled_from([stream.getvalue()]) | st.binary())
    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    operations = sorted((each.ok() for each in schema.get_all_operations()), key=lambda one: "feedback" in one.path)
    told, ids = Counter[int](), list[str]()
    with requests.Session() as session:
        session.trust_env = False
        for operation in operations:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                told += asked(operation, mode, client, session, ids)
    assert told[200] > 50
    assert told[422] > 200
    assert told[202] > 0


def asked(operation: Any, mode: Any, client: httpx.Client, session: requests.Session, ids: list[str]) -> Counter[int]:
    """Send the examples of an operation, and return how often each status came back."""
    statuses = Counter[int]()

    @seed(16)
    @settings(max_examples=EXAMPLES, **SETTINGS)
    @given(case=operation.as_strategy(mode))
    def send(case: Any) -> None:
        if operation.path == "/v1/feedback" and mode is GenerationMode.POSITIVE and ids:
            case.body = case.body | {"id": ids[len(statuses) % len(ids)], "index": 0}
        answer = case.call(base_url=str(client.base_url), session=session, timeout=20)
        statuses[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKED)
        if operation.method == "post" and answer.status_code == 200 and len(ids) < 20:
            ids.append(answer.json()["id"])

    try:
        send()
    except Unsatisfiable:  # nothing of an operation without parameters can be wrong
        assert mode is GenerationMode.NEGATIVE
    return statuses
