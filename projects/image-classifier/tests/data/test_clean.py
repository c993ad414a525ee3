"""Cleaning: each kind of dirt is found, named and counted, and what looks alike is grouped.

The sample that ships has no dirt, so photographs of it are spoiled here. Letters and screens are drawn: photographs of
many scenes cannot show what happens to pictures that are alike by nature.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from sklearn.datasets import load_digits

from image_classifier.data import clean as cleaning
from image_classifier.data.clean import Cleaned, clean
from image_classifier.data.folders import list_files
from image_classifier.data.load import SAMPLE, Dataset, split
from image_classifier.data.photos import Listed
from portfolio_shared.data.checks import DataError
from portfolio_shared.data.sources import Source

PHOTOGRAPHS = sorted(SAMPLE.path.glob("*/*.jpg"))


def photograph(number: int) -> Image.Image:
    """Return one of the sample, of another class for another last digit but one of five."""
    with Image.open(PHOTOGRAPHS[number * 101 % len(PHOTOGRAPHS)]) as picture:
        return picture.convert("RGB")


def cleaned(*files: tuple[Path, int]) -> Cleaned:
    return clean([Listed(path, f"{label}/{path.name}", label) for path, label in files], name="test")


def saved(path: Path, picture: Image.Image, **options: object) -> Path:
    picture.save(path, **options)
    return path


def letter(path: Path, text: str, *, seed: int) -> Path:
    """A letter somewhere on a sheet, with the noise of a scanner."""
    rng = np.random.default_rng((seed, ord(text)))
    sheet = Image.new("L", (256, 256), 255)
    place, font = 85 + rng.integers(-25, 25, 2), ImageFont.load_default(int(rng.integers(60, 100)))
    ImageDraw.Draw(sheet).text(tuple(place), text, fill=int(rng.integers(0, 80)), font=font)
    pixels = np.asarray(sheet) + rng.normal(0, 4, (256, 256))
    return saved(path, Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), quality=90)


def screen(path: Path, *, seed: int) -> Path:
    """A window with bars of its own on a layout that all have."""
    rng = np.random.default_rng(seed)
    window = Image.new("RGB", (320, 200), "white")
    draw = ImageDraw.Draw(window)
    draw.rectangle((0, 0, 320, 20), fill="navy")
    draw.rectangle((0, 20, 60, 200), fill="lightgray")
    for row in range(8):
        draw.rectangle((70, 30 + 20 * row, 70 + int(rng.integers(5, 240)), 40 + 20 * row), fill="steelblue")
    return saved(path, window)


def spoiled(folder: Path) -> Path:
    """Write photographs in two classes and, beside them, one with each defect that collections have."""
    for name in ("rose", "tulip"):
        (folder / name).mkdir(parents=True)
    kept, tulip, other = photograph(0), photograph(1), photograph(2)
    saved(folder / "tulip" / "0.jpg", kept, quality=95)
    saved(folder / "tulip" / "enlarged.jpg", kept.resize((kept.width * 3 // 2, kept.height * 3 // 2)), quality=85)
    (folder / "tulip" / "copy.jpg").write_bytes((folder / "tulip" / "0.jpg").read_bytes())
    for name in ("rose", "tulip"):
        saved(folder / name / "filed-twice.jpg", other)
    whole = PHOTOGRAPHS[0].read_bytes()
    (folder / "rose" / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "rose" / "page.jpg").write_text("<html><body>404: no such photograph</body></html>", encoding="utf-8")
    saved(folder / "rose" / "tiny.png", tulip.resize((6, 6)))
    tulip.save(folder / "rose" / "really-a-png.jpg", "PNG")
    saved(folder / "rose" / "for-print.jpg", photograph(3).convert("CMYK"))
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: a quarter
    saved(folder / "rose" / "held-upright.jpg", photograph(4), exif=exif)
    saved(
        folder / "rose" / "16-bit.png", Image.fromarray(np.asarray(photograph(5).convert("L"), dtype=np.uint16) * 257)
    )
    blurred = photograph(6).filter(ImageFilter.GaussianBlur(2))
    saved(folder / "rose" / "animated.gif", photograph(6), save_all=True, append_images=[blurred], duration=200)
    return folder


def test_every_kind_of_defect_is_detected(tmp_path: Path) -> None:
    result = clean(list_files(spoiled(tmp_path))[1], name="test")
    assert dict(result.excluded) == {
        "rose/page.jpg": "not a picture",
        "rose/tiny.png": "shorter side below 16 pixels",
        "rose/truncated.jpg": "breaks off before its end",
        "rose/filed-twice.jpg": cleaning.TWO_CLASSES,
        "tulip/copy.jpg": cleaning.COPY,
        "tulip/filed-twice.jpg": cleaning.TWO_CLASSES,
    }
    excluded = result.report.excluded
    assert {reason: count for reason, count in excluded.items() if count} == Counter(dict(result.excluded).values())
    assert result.report.repaired == dict.fromkeys(cleaning.REPAIRS, 1)
    assert result.report.rows_kept == len(result.photos) == result.report.rows_read - 6
    groups, keys = ({photo.name: vars(photo)[what] for photo in result.photos} for what in ("group", "key"))
    enlarged = {groups["tulip/0.jpg"], groups["tulip/enlarged.jpg"]}
    assert enlarged == {min(keys["tulip/0.jpg"], keys["tulip/enlarged.jpg"])}
    assert groups["rose/for-print.jpg"] == keys["rose/for-print.jpg"]


def test_a_smaller_copy_under_another_class_is_excluded_with_its_original(tmp_path: Path) -> None:
    picture = photograph(1)
    original = saved(tmp_path / "a.jpg", picture, quality=95)
    smaller = saved(tmp_path / "b.jpg", picture.resize((80, 80)), quality=80)
    result = cleaned((original, 0), (smaller, 1), (saved(tmp_path / "c.jpg", photograph(2)), 1))
    assert result.excluded == (("0/a.jpg", cleaning.TWO_CLASSES), ("1/b.jpg", cleaning.TWO_CLASSES))
    assert [photo.name for photo in result.photos] == ["1/c.jpg"]


def test_one_shape_in_two_colors_may_be_two_classes(tmp_path: Path) -> None:
    picture = photograph(1)
    red, green, blue = picture.split()
    other = Image.merge("RGB", (blue, green, red))
    result = cleaned((saved(tmp_path / "a.png", picture), 0), (saved(tmp_path / "b.png", other), 1))
    assert result.excluded == ()


def test_of_copies_in_one_class_the_first_by_name_is_kept(tmp_path: Path) -> None:
    paths = [saved(tmp_path / name, photograph(1)) for name in ("b.png", "a.png", "c.png")]
    result = cleaned(*((path, 0) for path in paths))
    assert [photo.name for photo in result.photos] == ["0/a.png"]
    assert dict(result.excluded) == {"0/b.png": cleaning.COPY, "0/c.png": cleaning.COPY}


def test_the_order_of_the_files_does_not_matter(tmp_path: Path) -> None:
    files = [(saved(tmp_path / f"{seed}.png", photograph(seed)), seed % 2) for seed in range(4)]
    files.append((saved(tmp_path / "again.jpg", photograph(0)), 0))
    forth, back = cleaned(*files), cleaned(*reversed(files))
    assert forth == back
    assert len({photo.group for photo in forth.photos}) == 4


def test_damaged_and_foreign_files_are_distinguished(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    saved(tmp_path / "map.bmp", photograph(1))
    result = cleaned((tmp_path / "empty.jpg", 0), (tmp_path / "map.bmp", 0))
    assert dict(result.excluded) == {"0/empty.jpg": "empty file", "0/map.bmp": "format that is not read"}
    assert result.photos == ()
    assert result.report.rows_kept == 0


def test_a_file_that_cannot_be_read_is_excluded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked, kept = saved(tmp_path / "locked.png", photograph(1)), saved(tmp_path / "kept.png", photograph(2))
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:  # permissions do not bind every user who runs this test
        if path == locked:
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    result = cleaned((locked, 0), (tmp_path / "gone.png", 0), (kept, 1))
    assert dict(result.excluded) == {"0/locked.png": "cannot be read", "0/gone.png": "cannot be read"}
    assert result.report.excluded["cannot be read"] == 2
    assert [photo.name for photo in result.photos] == ["1/kept.png"]


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "film.jpg").open("wb") as stream:
        stream.truncate(cleaning.LIMITS.max_bytes + 1)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("it was read"))
    assert dict(cleaned((tmp_path / "film.jpg", 0)).excluded) == {"0/film.jpg": "more than 50 MB"}


def test_the_reason_names_the_limit_that_was_met(tmp_path: Path) -> None:
    result = cleaned((saved(tmp_path / "wide.png", Image.new("L", (4001, 4000))), 0))
    assert dict(result.excluded) == {"0/wide.png": "more than 50,000,000 pixels, or 16,000,000 if decoded whole"}


def test_pictures_alike_by_nature_are_neither_one_group_nor_excluded(tmp_path: Path) -> None:
    files = [
        (letter(tmp_path / f"{text}{n}.jpg", text, seed=n), label)
        for label, text in enumerate("ABCDE")
        for n in range(30)
    ]
    result = cleaned(*files)
    assert result.excluded == ()
    assert max(Counter(photo.group for photo in result.photos).values()) <= 8
    assert "pictures of this collection resemble so many others" in result.report.notes[1]


def test_screens_of_one_layout_are_not_the_same_picture(tmp_path: Path) -> None:
    files = [(screen(tmp_path / f"{n}.png", seed=n), n % 2) for n in range(40)]
    result = cleaned(*files)
    assert result.excluded == ()
    assert max(Counter(photo.group for photo in result.photos).values()) <= 8


def test_digits_can_be_split(tmp_path: Path) -> None:
    digits = load_digits()
    files = []
    for n, (pixels, label) in enumerate(zip(digits.images[:800], digits.target[:800], strict=True)):
        picture = Image.fromarray((255 - 15.9 * pixels).astype(np.uint8)).resize((64, 64))
        files.append((saved(tmp_path / f"{n}.png", picture), int(label)))
    result = cleaned(*files)
    assert result.excluded == ()
    assert max(Counter(photo.group for photo in result.photos).values()) <= 4
    source = Source("path", tmp_path, "because")
    dataset = Dataset(source, "digits", "", result.report, result.photos, tuple("0123456789"))
    assert len(split(dataset).train) > 500


def altered(picture: Image.Image) -> dict[str, Image.Image]:
    """Return copies as people make them; `cut` is 2 % of each side, sizes are those of the whole."""

    def sized(picture: Image.Image, scale: float) -> Image.Image:
        return picture.resize((round(picture.width * scale), round(picture.height * scale)))

    cut = picture.crop(tuple(round(part * length) for part in (0.02, 0.98) for length in picture.size))
    return {
        "original": picture,
        "cropped": cut,
        "smaller": sized(picture, 0.6),
        "larger": sized(picture, 1.5),
        "brighter": picture.point(lambda level: min(255, round(1.08 * level))),
        "all": sized(cut, 0.7).point(lambda level: min(255, round(1.06 * level))),
    }


def test_altered_copies_of_a_picture_are_near_duplicates(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    for number in range(10):
        copies = altered(photograph(number))
        paths = [saved(tmp_path / f"{name}.jpg", copy, quality=60) for name, copy in copies.items()]
        groups = {photo.path.stem: photo.group for photo in cleaned(*((path, 0) for path in paths)).photos}
        counts.update(name for name, group in groups.items() if group == groups["original"])
    # Of 600 such copies of 120 photographs of flower_photos all were found as well.
    assert counts == dict.fromkeys(copies, 10)


def test_a_class_of_one_picture_is_refused_with_the_reason(tmp_path: Path) -> None:
    files = [(saved(tmp_path / f"{seed}.png", photograph(seed)), 0) for seed in range(12)]
    files += [(saved(tmp_path / f"{n}.jpg", photograph(20), quality=60 + n), 1) for n in range(12)]
    with pytest.raises(DataError, match="class '1' has 12 pictures, but 12 of them are nearly the same picture"):
        cleaned(*files)


@pytest.mark.real_data
def test_what_is_wrong_with_the_public_photographs(flowers: Dataset) -> None:
    assert flowers.report.rows_read == 3670
    excluded = {reason: count for reason, count in flowers.report.excluded.items() if count}
    assert excluded == {cleaning.COPY: 2, cleaning.TWO_CLASSES: 2}
    assert not any(flowers.report.repaired.values())
    sizes = [size for size in Counter(photo.group for photo in flowers.photos).values() if size > 1]
    assert (len(sizes), sum(sizes), max(sizes)) == (31, 65, 3)
