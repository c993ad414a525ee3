"""Drawn flowers in the folders and with the defects of the real photographs, to train in seconds and without a network.

Kinds differ in shape: backgrounds, light, size, place, blur, noise and most colours are shared by all, so a
linear model on pixels stays far below a small convolutional network.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from image_classifier.data.drawing import KINDS, Pen, draw_stem

FINER = 2  # drawn this much larger, then reduced: smooth edges
ORIENTATION = 0x0112  # EXIF tag; 6 says: turn by a quarter, clockwise, to see it upright
MEADOW = ((52, 92, 38), (96, 132, 58), (36, 58, 32), (150, 160, 84))
SKY = ((120, 170, 220), (70, 120, 190), (180, 205, 225), (225, 230, 230))
DUSK = ((24, 22, 28), (52, 40, 48), (88, 62, 52), (36, 44, 30))
WALL = ((150, 140, 128), (190, 178, 160), (112, 104, 100), (210, 190, 180))


def write_sample(folder: Path, *, per_class: int = 120, size: int = 96, seed: int = 0) -> Path:
    """Write ``<kind>/<number>.jpg`` for five kinds of flower, and a few more files with defects that cleaning finds.

    Parameters
    ----------
    folder
        Created if need be; files in it are replaced, by the same ones for the same arguments.
    per_class
        Pictures of each kind.
    size
        Width and height in pixels.
    """
    for number, kind in enumerate(KINDS):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for index in range(per_class):
            rng = np.random.default_rng((seed, number, index))
            picture = draw_flower(kind, size=size, rng=rng)
            picture.save(folder / kind / f"{index:04}.jpg", quality=int(rng.integers(80, 96)))
    _spoil(folder, size=size, seed=seed)
    return folder


def draw_flower(kind: str, *, size: int, rng: np.random.Generator) -> Image.Image:
    """Draw one of KINDS, `size` pixels wide and high."""
    fine = size * FINER
    picture = _background(rng, fine)
    if rng.random() < 0.3:  # another one behind, out of focus
        _plant(kind, picture, rng, reach=rng.uniform(0.1, 0.18), spread=0.4)
        picture = picture.filter(ImageFilter.GaussianBlur(fine / 48))
    _plant(kind, picture, rng, reach=rng.uniform(0.22, 0.44), spread=0.14)
    picture = picture.resize((size, size), Image.Resampling.BOX)
    if rng.random() < 0.5:
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.2, 1.1)) * size / 96))
    return _exposed(picture, rng)


def _plant(kind: str, picture: Image.Image, rng: np.random.Generator, *, reach: float, spread: float) -> None:
    size = picture.width
    upright = kind == "tulip"  # seen from the side; the others are seen from anywhere
    pen = Pen(
        ImageDraw.Draw(picture),
        size * complex(*(0.5 + rng.uniform(-spread, spread, 2))),
        reach * size * (0.8 if upright else 1.0),
        turn=rng.normal(0, 0.22) if upright else rng.uniform(0, 2 * np.pi),
        squash=1.0 if upright else rng.uniform(0.6, 1.0),
        lean=rng.uniform(0, np.pi),
    )
    if upright or rng.random() < 0.6:
        foot = complex(pen.centre.real + rng.normal(0, 0.12) * size, size * 1.05)
        draw_stem(pen, rng, foot=foot, bare=rng.random() < 0.3)
    KINDS[kind](pen, rng)


def _background(rng: np.random.Generator, size: int) -> Image.Image:
    """Return a meadow, the sky, dusk or a wall, out of focus, with blades of grass and spots of petals' colours."""
    palette = np.array((MEADOW, SKY, DUSK, WALL)[int(rng.choice(4, p=(0.5, 0.2, 0.15, 0.15)))], dtype=np.float64)
    cells = int(rng.integers(3, 9))
    patches = palette[rng.integers(len(palette), size=(cells, cells))] + rng.normal(0, 10, (cells, cells, 3))
    picture = Image.fromarray(np.clip(patches, 0, 255).astype(np.uint8)).resize((size, size), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(0, 14))):
        x, y, radius = rng.uniform(0, size), rng.uniform(0, size), rng.uniform(0.02, 0.07) * size
        spot = tuple(int(part) for part in rng.integers(60, 250, 3))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=spot)
    for _ in range(int(rng.integers(0, 18))):
        x, lean, height = rng.uniform(0, size), rng.normal(0, 0.2) * size, rng.uniform(0.2, 0.9) * size
        green = (int(rng.integers(40, 110)), int(rng.integers(90, 150)), int(rng.integers(30, 80)))
        draw.line((x, size, x + lean, size - height), fill=green, width=int(rng.integers(2, 6)))
    return picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.004, 0.03)) * size))


def _exposed(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return the picture in other light, with the noise of a sensor."""
    light = rng.uniform(0.72, 1.12) * rng.normal(1, 0.05, 3)
    pixels = np.asarray(picture, dtype=np.float64) * light
    pixels += rng.normal(0, rng.uniform(1, 9), pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _spoil(folder: Path, *, size: int, seed: int) -> None:
    """Add the defects that collections of photographs have, always the same few."""
    pictures = [
        draw_flower(kind, size=size, rng=np.random.default_rng((seed, number, 1_000_000)))
        for number, kind in enumerate(KINDS)
    ]
    daisy, dandelion, rose, sunflower, tulip = pictures
    whole = _encoded(daisy, "JPEG")
    (folder / "daisy" / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "daisy" / "page.jpg").write_text("<html><body>404: no such photograph</body></html>\n", encoding="utf-8")
    (folder / "daisy" / "tiny.png").write_bytes(_encoded(daisy.resize((6, 6)), "PNG"))
    (folder / "dandelion" / "really-a-png.jpg").write_bytes(_encoded(dandelion, "PNG"))
    dandelion.convert("CMYK").save(folder / "dandelion" / "for-print.jpg", quality=92)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    rose.transpose(Image.Transpose.ROTATE_90).save(folder / "rose" / "held-upright.jpg", quality=92, exif=exif)
    grey = np.asarray(rose.convert("L"), dtype=np.uint16) * 257
    Image.fromarray(grey).save(folder / "rose" / "16-bit.png")
    frames = [sunflower, sunflower.filter(ImageFilter.GaussianBlur(2))]
    frames[0].save(folder / "sunflower" / "animated.gif", save_all=True, append_images=frames[1:], duration=200)
    first = folder / "sunflower" / "0000.jpg"
    (folder / "sunflower" / "copy.jpg").write_bytes(first.read_bytes())
    with Image.open(folder / "tulip" / "0000.jpg") as picture:
        picture.resize((size * 3 // 2, size * 3 // 2)).save(folder / "tulip" / "enlarged.jpg", quality=85)
    for kind in ("rose", "tulip"):
        tulip.save(folder / kind / "filed-twice.jpg", quality=92)


def _encoded(picture: Image.Image, image_format: str) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, image_format)
    return stream.getvalue()
