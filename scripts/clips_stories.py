"""What is done on each page: the clip, and what is set before the page is photographed."""

import base64
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import FloatRect, Locator, Page, expect

from clips_recorder import Recorder, box_of

DROP = """(zone, [name, data, isOver]) => {
    const files = new DataTransfer();
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    files.items.add(new File([bytes], name, { type: "image/jpeg" }));
    const options = { dataTransfer: files, bubbles: true, cancelable: true };
    zone.dispatchEvent(new DragEvent(isOver ? "dragover" : "drop", options));
}"""


def from_top_to(page: Page, last: Locator, *, margin: float = 24) -> FloatRect:
    """Return the part of a page from its top to the end of an element."""
    box = box_of(last)
    scrolled = float(page.evaluate("scrollY"))
    return {"x": 0, "y": 0, "width": 1280, "height": scrolled + box["y"] + box["height"] + margin}


# Houses


def houses(clip: Recorder) -> None:
    """Make a house larger and better, and show where its price comes from."""
    page = clip.page
    price, region = page.get_by_test_id("price"), page.get_by_test_id("region")
    expect(region).to_have_attribute("data-state", "ready")

    def answered(shown: str) -> None:
        expect(price).not_to_have_text(shown)
        expect(region).to_have_attribute("data-state", "ready")

    clip.say("A typical house in North Ames")
    clip.scroll(box_of(page.locator("main"))["y"] - 20, frames=1)
    clip.hold(1600)
    shown = price.inner_text()
    area = page.get_by_test_id("field-gr_liv_area")
    clip.say("More living area")
    clip.click(area, across=0.3)
    area.select_text()
    clip.type(area, "2000")
    answered(shown)
    clip.hold(1800)
    shown = price.inner_text()
    clip.say("Better material and finish")
    clip.click(page.get_by_test_id("field-overall_qual"), across=0.77)
    answered(shown)
    clip.hold(1800)
    clip.say("What each part adds or takes away, to the dollar")
    table = box_of(page.get_by_test_id("contributions"))
    clip.scroll(max(0.0, table["y"] + table["height"] - 590))
    clip.point(page.get_by_test_id("contributions").locator("tr").last, across=0.9)
    clip.hold(3000)


def house_shot(page: Page) -> FloatRect:
    """Fill in a larger and better house; the picture goes to the end of the waterfall."""
    expect(page.get_by_test_id("region")).to_have_attribute("data-state", "ready")
    page.get_by_test_id("field-gr_liv_area").fill("2000")
    quality = page.get_by_test_id("field-overall_qual")
    quality.fill("8")
    quality.blur()
    page.wait_for_timeout(1500)  # longer than the page waits for another key, and the service for its answer
    expect(page.get_by_test_id("region")).to_have_attribute("data-state", "ready")
    return from_top_to(page, page.get_by_test_id("contributions"))


# Films


def films(clip: Recorder) -> None:
    """Name films, one of them with a typo, and show what each brings."""
    page = clip.page
    search, region = page.get_by_test_id("search"), page.get_by_test_id("region")
    expect(region).to_have_attribute("data-state", "ready")
    clip.say("Nothing yet: popular films")
    clip.scroll(box_of(page.locator("main"))["y"] - 20, frames=1)
    clip.hold(1500)
    for text, letters, line in (
        ("Les Misérables", "les mis", "Name a film that you liked"),
        ("Silver Linings Playbook", "sliver lin", "Typos are fine"),
    ):
        clip.say(line)
        clip.click(search, across=0.3)
        clip.type(search, letters)
        option = page.get_by_test_id("option").filter(has_text=text)
        expect(option).to_be_visible()
        clip.hold(600)
        clip.click(option, across=0.3)
        settle_films(page)
        clip.hold(1200)
    clip.say("Each film says which of yours is the reason")
    clip.point(page.get_by_test_id("reasons").first, across=0.6)
    clip.hold(2200)
    clip.say("One that you have seen teaches it more")
    clip.click(page.get_by_test_id("recommendation").nth(1).get_by_role("button", name="I have seen"))
    settle_films(page)
    clip.hold(2600)


def settle_films(page: Page) -> None:
    """Wait until the list is that of the films."""
    page.wait_for_timeout(400)  # longer than the page waits for another key
    expect(page.get_by_test_id("region")).to_have_attribute("data-state", "ready")


def film_shot(page: Page) -> FloatRect:
    """Name three films; the picture goes to the fourth of those that they lead to."""
    search = page.get_by_test_id("search")
    for text in ("Les Misérables", "Silver Linings Playbook", "Life of Pi"):
        search.fill(text)
        page.get_by_test_id("option").filter(has_text=text).first.click()
    page.get_by_test_id("rating").last.select_option("5")
    settle_films(page)
    search.blur()
    return from_top_to(page, page.get_by_test_id("recommendation").nth(3), margin=16)


# Pictures


def photograph_of(name: str) -> Path:
    """Return a file of the sample, or one of the two photographs of scikit-learn."""
    from image_classifier.data.load import SAMPLE

    if "/" in name:
        return SAMPLE.path / name
    import sklearn.datasets

    return Path(sklearn.datasets.__file__).parent / "images" / name


def pictures(clip: Recorder) -> None:
    """Drop two flowers, show where their evidence lies, and drop a temple, which is none."""
    page = clip.page
    expect(page.get_by_test_id("example")).to_have_count(5)
    clip.say("Drop a photograph")
    clip.scroll(box_of(page.locator("main"))["y"] - 20, frames=1)
    clip.hold(1200)
    drop(clip, "roses/7376473742_532364cee5_n.jpg")
    clip.hold(1500)
    drop(clip, "daisy/162362896_99c7d851c8_n.jpg")
    clip.hold(1200)
    clip.say("Where the evidence lies")
    clip.click(page.get_by_test_id("heat"))
    clip.hold(2200)
    clip.say("A temple is no flower")
    drop(clip, "china.jpg")
    clip.hold(3000)


def drop(clip: Recorder, name: str) -> None:
    """Carry a file from below the page onto the field for it."""
    page, path = clip.page, photograph_of(name)
    data = base64.b64encode(path.read_bytes()).decode()
    zone, answers = page.get_by_test_id("drop"), page.get_by_test_id("answer").count()
    clip.point((260, 675), frames=4)
    page.evaluate("address => recorder.carry(address)", f"data:image/jpeg;base64,{data}")
    page.wait_for_timeout(100)
    clip.point(zone)
    zone.evaluate(DROP, [path.name, data, True])
    clip.hold(250)
    page.evaluate("recorder.carry(null)")
    zone.evaluate(DROP, [path.name, data, False])
    expect(page.get_by_test_id("answer")).to_have_count(answers + 1)
    expect(page.get_by_test_id("region")).to_have_attribute("data-state", "ready")
    page.wait_for_load_state("networkidle")


def picture_shot(page: Page) -> FloatRect:
    """Choose two flowers, one of them without its evidence, a mistake, and a kind that was never learned."""
    names = (
        "flower.jpg",
        "tulips/5644061265_e02135f028_n.jpg",
        "tulips/142218310_d06005030a_n.jpg",
        "daisy/162362896_99c7d851c8_n.jpg",
    )
    for count, name in enumerate(names, start=1):
        page.get_by_test_id("files").set_input_files(photograph_of(name))
        expect(page.get_by_test_id("title")).to_have_count(count)
    page.get_by_test_id("heat").check(force=True)
    page.locator(".picture").nth(1).hover()
    page.wait_for_load_state("networkidle")
    return from_top_to(page, page.get_by_test_id("answer").last)


STORIES: dict[str, Callable[[Recorder], None]] = {"housing": houses, "recommender": films, "image-classifier": pictures}
SHOTS: dict[str, Callable[[Page], FloatRect]] = {
    "housing": house_shot,
    "recommender": film_shot,
    "image-classifier": picture_shot,
}
