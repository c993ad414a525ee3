"""The pictures' change of the world: from one day on the photographs that people send are darker and noisier.

What is sent is cut from the sample's validation and test photographs, of which no model learns: a little off each
side, half of it mirrored, saved anew. They are 150, and a story takes more: each person has one photograph, so that the
clients of a step are independent, but clients of different steps may share one. A comparison that goes on for several
steps therefore takes its photographs as all that there are.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from drill_scenario import Call, Scenario
from image_classifier.data.load import load, split

BOUNDARY = b"photograph"
CUT = 8  # pixels off a side, at most
GAIN, NOISE = (0.2, 0.4), (10.0, 16.0)  # of the light; standard deviation in levels of 255
MOST = 4  # photographs that one person sends


@cache
def photographs() -> list[tuple[Image.Image, str]]:
    """Return what no model learns from, with the right labels."""
    parts = split(load("sample"))
    return [
        (Image.open(photo.path).convert("RGB"), parts.labels[photo.label]) for photo in (*parts.validation, *parts.test)
    ]


def requests(bundle: Path, n: int, drifted: bool, seed: int) -> Sequence[Call]:  # noqa: FBT001 - as the drill asks
    """Return requests with one photograph each, of people who send up to `MOST` pictures of the same thing."""
    del bundle
    rng = np.random.default_rng((seed, int(drifted)))
    return [
        Call(
            path="/v1/classifications",
            body=form(taken(image, rng, drifted=drifted)),
            content_type=f"multipart/form-data; boundary={BOUNDARY.decode()}",
            subject=subject,
            drifted=drifted,
            item=label,
        )
        for subject, image, label in people(n, rng, f"{seed}")
    ]


def people(n: int, rng: np.random.Generator, step: str) -> Iterator[tuple[str, Image.Image, str]]:
    """Yield n times a person with the photograph that is theirs, in any order."""
    held_out = photographs()
    senders: list[int] = []
    while len(senders) < n:
        senders += [len(set(senders))] * int(rng.integers(1, MOST + 1))
    order = np.concatenate([rng.permutation(len(held_out)) for _ in range(1 + senders[-1] // len(held_out))])
    for sender in rng.permutation(senders[:n]):
        yield f"visitor-{step}-{sender}", *held_out[order[sender]]


def taken(image: Image.Image, rng: np.random.Generator, *, drifted: bool) -> bytes:
    """Return a photograph as a JPEG file, taken in another moment and perhaps in bad light."""
    left, top, right, bottom = rng.integers(0, CUT + 1, 4).tolist()
    image = image.crop((left, top, image.width - right, image.height - bottom))
    if rng.random() < 0.5:
        image = ImageOps.mirror(image)
    if drifted:
        noise = rng.normal(0, rng.uniform(*NOISE), (image.height, image.width, 3))
        values = np.asarray(image) * rng.uniform(*GAIN) + noise
        image = Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=int(rng.integers(85, 96)))
    return stream.getvalue()


def form(picture: bytes) -> bytes:
    """Return the body of a request with one file."""
    head = b'Content-Disposition: form-data; name="files"; filename="photograph.jpg"\r\nContent-Type: image/jpeg'
    return b"--%b\r\n%b\r\n\r\n%b\r\n--%b--\r\n" % (BOUNDARY, head, picture, BOUNDARY)


def truth(call: Call, answer: Mapping[str, Any], index: int) -> object:
    """Return what the photograph shows."""
    del answer, index
    return {"label": call.item}


SCENARIO = Scenario(
    drift="photographs get darker and noisier",
    column="brightness,sharpness,unfamiliarity",
    requests=requests,
    truth=truth,
    rollout="shadow",
    flags=("--recipe", "quick"),
)
