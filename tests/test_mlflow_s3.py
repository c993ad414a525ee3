"""MLflow with its models in a bucket, as docker/s3.yaml has it: from a training to a service, on a stand-in for S3.

The server is that of the image: its lock, the command and the variables of docker/mlflow.Dockerfile and docker/s3.yaml.
"""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
import yaml
from checkout import ROOT
from environments import python_of
from registry_actors import Door, Registry, Service
from small_models import SmallModel

from processes import HOST, free_port, start, wait_until_ready

pytestmark = pytest.mark.long

ENTRYPOINT = re.compile(r"^ENTRYPOINT (\[.*?\])$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a server that answers as S3 does, with an empty bucket; its address."""
    port, log = free_port(), tmp_path_factory.mktemp("s3") / "server.log"
    command = [python_of("platform"), "-m", "moto.server", "--host", HOST, "--port", str(port)]
    with start("the stand-in for S3", command, log=log) as process:
        wait_until_ready(process, port, "/moto-api/", seconds=60)
        assert httpx.put(f"http://{HOST}:{port}/models", trust_env=False).is_success
        yield f"http://{HOST}:{port}"


@pytest.fixture(scope="module")
def server(bucket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Run the image's MLflow server with that bucket; its port."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    dockerfile = (ROOT / "docker" / "mlflow.Dockerfile").read_text(encoding="utf-8")
    found = ENTRYPOINT.search(dockerfile)
    assert found is not None
    program, *options = json.loads(found[1].replace("\\\n", ""))
    assert "--artifacts-destination" not in options  # a flag would win over the variable
    command = [python_of("mlflow-s3").with_name(program), *options]
    given = yaml.safe_load((ROOT / "docker" / "s3.yaml").read_text(encoding="utf-8"))["services"]["mlflow"]
    assert given["build"]["args"] == {"LOCK": "mlflow-s3"}
    values = {
        "MLFLOW_ARTIFACTS_DESTINATION": "s3://models/portfolio",
        "MLFLOW_S3_ENDPOINT_URL": bucket,
        "AWS_ACCESS_KEY_ID": "ann",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    assert given["environment"].keys() == values.keys()
    own = {"MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/mlflow.db", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONWARNINGS": "ignore"}
    listening = [{"0.0.0.0": HOST, "5500": str(port)}.get(str(each), each) for each in command]  # noqa: S104
    environment = os.environ | values | own | quiet
    with start("MLflow", listening, log=folder / "server.log", folder=folder, environment=environment) as process:
        wait_until_ready(process, port, "/health", seconds=120)
        yield port


def test_without_an_address_the_bucket_is_amazons() -> None:
    """A variable that is given and empty is an invalid address to the client, so it must not be given."""
    given = yaml.safe_load((ROOT / "docker" / "s3.yaml").read_text(encoding="utf-8"))["services"]["mlflow"]
    unset = {name: value for name, value in given["environment"].items() if value is not None}
    variables = {name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for name, value in unset.items()}
    program = (
        "from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository as Bucket\n"
        "print(Bucket('s3://models/portfolio')._get_s3_client().meta.endpoint_url)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MLFLOW_"))}
    done = subprocess.run(
        [python_of("mlflow-s3"), "-c", program],
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "https://s3.amazonaws.com", done.stderr


def test_a_model_goes_through_the_bucket_to_a_service(
    bucket: str,
    server: int,
    small_model: Callable[[str], SmallModel],
    running_service: Callable[..., AbstractContextManager[Service]],
    tmp_path: Path,
) -> None:
    small = small_model("housing")
    door = Door(server)
    try:
        registry = Registry(door, small, tmp_path, tmp_path / "bundle")
        registry.train(small.trained)
        listed = httpx.get(f"{bucket}/models?list-type=2&prefix=portfolio/", trust_env=False).text
        assert len(re.findall(r"<Key>portfolio/\d+/[^<]*bundle\.json</Key>", listed)) >= 1
        assert not [path for path in tmp_path.rglob("*") if "artifacts" in path.parts]
        with running_service("housing", tmp_path, tracking_uri=registry.uri, model_cache=tmp_path / "cache") as service:
            service.follows_to("1")
            assert service.client.get("/v1/model").json()["origin"] == "registry"
    finally:
        door.shut()
