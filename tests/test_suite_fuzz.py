"""Bytes at random, with a fixed seed, at the borders where files come in: pictures, tables, bundles."""

import gzip
import importlib
import io
import json
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from small_models import SmallModel

from portfolio_shared.bundle import MANIFEST_NAME, BundleError, read_manifest
from portfolio_shared.data.checks import DataError
from portfolio_shared.data.download import file_sha256
from portfolio_shared.serving.models import ModelHolder, ModelNotReady

pytestmark = [pytest.mark.suite, pytest.mark.long, pytest.mark.slow]

SECONDS = 5.0
MEMORY_MB = 300
BUNDLES = 50  # of a project; other borders get 300 inputs
fixed: Any = settings(
    deadline=None, database=None, max_examples=300, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
# What a reader may take for more than bytes.
PIECES = st.sampled_from(
    [
        *(b"\xff\xd8\xff\xe0", b"\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03", b"\x89PNG\r\n\x1a\n", b"IHDR", b"GIF89a"),
        *(b"RIFF\xff\xff\xff\xffWEBPVP8X", b"\x00\x00\x00\x18ftypheic", b"\x00\x00\x00\x18ftypavif", b"II*\x00", b"MM"),
        *(b"\xff\xff\xff\xff", b"\x00" * 8, b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b\x08", b"PK\x03\x04", b"sep=;\n"),
        *(
            b'"',
            b'""',
            b",",
            b";",
            b"\t",
            b"\r",
            b"\n",
            b"\r\n",
            b"NA",
            b"1e999",
            b"-0",
            b"9" * 400,
            b"=1+1",
            b"history",
        ),
    ]
)
JUNK = st.one_of(st.binary(max_size=64), PIECES)


@st.composite
def damaged(draw: Any, whole: st.SearchStrategy[bytes]) -> bytes:
    """Draw bytes that are nearly those of a file, or nothing of the kind."""
    if draw(st.integers(0, 9)) == 0:
        return b"".join(draw(st.lists(JUNK, max_size=20)))
    data = bytearray(draw(whole))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.sampled_from([0, 0, 1, 2, 4, 40, len(data)]))] = draw(JUNK)
    return bytes(data)


@contextmanager
def bounded() -> Iterator[None]:
    """Memory may grow by so much in all, whatever comes."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY_MB * 1024


def test_any_bytes_are_a_picture_or_are_told_why_not(small_model: Callable[[str], SmallModel]) -> None:
    from PIL import Image

    small = small_model("image-classifier")
    app, uploads = small.module("serving.app"), small.module("serving.uploads")
    limits, options, codes = small.module("data.images").ImageLimits(), app.Options(heat=True), set[str]()
    whole = []
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF"):
        stream = io.BytesIO()
        Image.radial_gradient("L").resize((64, 48)).convert("RGB").save(stream, kind)
        whole.append(stream.getvalue())

    @seed(16)
    @fixed
    @given(data=damaged(st.sampled_from(whole)))
    def classify(data: bytes) -> None:
        begun = time.perf_counter()
        result, *_ = app.classify_file(uploads.Upload("a", data), options, small.trained.predictor, limits)
        codes.add("read" if result.error is None else result.error.code)
        assert result.error is None or 400 <= result.error.status < 500
        assert time.perf_counter() - begun < SECONDS

    with bounded():
        classify()
    assert {"read", "not_an_image", "truncated", "damaged"} <= codes


@pytest.mark.parametrize("name", ["housing", "recommender"])
def test_any_bytes_are_a_table_or_are_told_why_not(
    small_model: Callable[[str], SmallModel], tmp_path: Path, name: str
) -> None:
    small = small_model(name)
    batch, source, target = small.module("serving.batch"), tmp_path / "rows.csv", tmp_path / "answers.csv"
    house = json.loads(small_model("housing").own.full_request(None).body)["houses"][0]
    record = house if name == "housing" else {"who": "Zoë", "history": "1:4 2"}
    text = "\n".join(",".join(map(str, cells)) for cells in (record, *[record.values()] * 3)).encode()
    answered, refused = [], []

    @seed(16)
    @fixed
    @given(data=damaged(st.sampled_from([text, text.replace(b",", b";"), text.decode().encode("utf-16")])), packed=...)
    def predict(data: bytes, packed: bool) -> None:
        source.write_bytes(gzip.compress(data) if packed else data)
        begun = time.perf_counter()
        try:
            answered.append(batch.predict_file(source, target, small.trained.predictor))
        except DataError as error:
            refused.append(str(error))
        assert time.perf_counter() - begun < SECONDS

    with bounded():
        predict()
    assert len(answered) > 10
    assert len(refused) > 30
    assert all(str(source) in reason for reason in refused)


def arrays(draw: Any, data: bytes) -> bytes:
    """Return an npz file with one array of another shape or type, one that is a pickle included."""
    with np.load(io.BytesIO(data)) as stored:
        members = dict(stored)
    name = draw(st.sampled_from(sorted(members)))
    array = np.atleast_1d(members[name])
    members[name] = draw(
        st.sampled_from(
            [
                *(
                    array[:0],
                    array.astype("O"),
                    array.astype("S3"),
                    np.float64(0),
                    np.array([np.nan] * 3),
                    array[..., None],
                ),
                *(
                    np.full(array.shape, -1),
                    np.full(array.shape, 2**62),
                    np.array([[[]]]),
                    np.array({"a": 1}, dtype="O"),
                ),
            ]
        )
    )
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=True, **members)
    return stream.getvalue()


def values(draw: Any, data: bytes) -> bytes:
    """Return a JSON file with another value in one place, or a place less."""
    parent = whole = json.loads(data)
    while True:
        places = sorted(parent) if isinstance(parent, dict) else range(len(parent))
        if not places:
            break
        place = draw(st.sampled_from(places))
        if isinstance(parent[place], dict | list) and draw(st.integers(0, 3)):
            parent = parent[place]
            continue
        kept = draw(st.sampled_from([None, True, -1, 2**70, 1e300, "", "x", [], {}, [[1]], {"a": None}, "drop"]))
        if kept == "drop":
            del parent[place]
        else:
            parent[place] = kept
        break
    return json.dumps(whole).encode()


def test_any_bundle_is_served_or_refused(small: SmallModel, tmp_path: Path) -> None:
    """The hashes are right, as those of who makes such a bundle are: what its files hold is what is wrong.

    ONNX graphs are left as they are: they are code of a library, which a damaged one may end with the process.
    """
    app = importlib.import_module(f"{small.project.package}.serving.app")
    options = importlib.import_module(f"{small.project.package}.config").ServeSettings
    manifest = json.loads((small.bundle / MANIFEST_NAME).read_text(encoding="utf-8"))
    names = [MANIFEST_NAME, *(name for name in manifest["files"] if not name.endswith((".onnx", ".jpg")))]
    served, refused = [], []

    @seed(16)
    @settings(fixed, max_examples=BUNDLES)
    @given(st.data())
    def load(data: st.DataObject) -> None:
        folder = tmp_path / "bundle"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(small.bundle, folder)
        name = data.draw(st.sampled_from(names))
        before = (folder / name).read_bytes()
        how = {".npz": arrays, ".json": values}.get(Path(name).suffix)
        after = how(data.draw, before) if how and data.draw(st.booleans()) else data.draw(damaged(st.just(before)))
        (folder / name).write_bytes(after)
        if name != MANIFEST_NAME:
            changed = manifest | {"files": manifest["files"] | {name: file_sha256(folder / name)}}
            (folder / MANIFEST_NAME).write_text(json.dumps(changed), encoding="utf-8")
        holder = ModelHolder(
            settings=options(bundle=folder, prediction_log="off"),
            project=small.project.name,
            load=app.Predictor.load,
            smoke_test=app.smoke_test,
        )
        begun = time.perf_counter()
        holder.refresh()
        try:
            served.append(holder.current())
        except ModelNotReady as error:
            refused.append(str(error))
        assert time.perf_counter() - begun < SECONDS

    with bounded():
        load()
    assert len(refused) > 30
    assert not any("\n" in reason for reason in refused)


def test_no_manifest_is_more_than_a_manifest_or_an_error(small: SmallModel, tmp_path: Path) -> None:
    whole = (small.bundle / MANIFEST_NAME).read_bytes()

    @seed(16)
    @fixed
    @given(data=damaged(st.just(whole)))
    def read(data: bytes) -> None:
        (tmp_path / MANIFEST_NAME).write_bytes(data)
        with pytest.raises(BundleError):  # the files it names are not there
            read_manifest(tmp_path, project=small.project.name)

    with bounded():
        read()
