"""Files of pictures that tests of the image classifier write, by Pillow or by hand, and send."""

import io
import struct
import zlib
from typing import Any

import httpx
import numpy as np
import pillow_heif
from PIL import Image

URL = "/v1/classifications"
File = tuple[str, bytes, str]


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(width * height).integers(0, 256, (height, width, 3), dtype=np.uint8))


def random_picture(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((180 + seed, 120), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    if kind == "HEIC":
        pillow_heif.register_heif_opener()
        kind = "HEIF"
    image.save(stream, kind, **options)
    return stream.getvalue()


def plain(color: str, size: tuple[int, int] = (64, 48), kind: str = "PNG") -> bytes:
    return encoded(Image.new("RGB", size, color), kind)


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes = b"", *, bits: int = 8, color: int = 0, extra: bytes = b"") -> bytes:
    """Write a PNG by hand: any depth, any declared size. Color types: 0 gray, 2 RGB, 3 palette, 4 gray and alpha."""
    head = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    parts = chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND")
    return b"\x89PNG\r\n\x1a\n" + parts


def as_files(*pictures: bytes | File) -> list[tuple[str, File]]:
    named = [
        picture if isinstance(picture, tuple) else (f"{i}.png", picture, "image/png")
        for i, picture in enumerate(pictures)
    ]
    return [("files", file) for file in named]


def ask(service: httpx.Client, *pictures: bytes | File, **options: Any) -> list[dict[str, Any]]:
    """Send pictures to a service and return its results."""
    response = service.post(URL, files=as_files(*pictures), params=options)
    assert response.status_code == 200, response.text
    results: list[dict[str, Any]] = response.json()["results"]
    return results
