"""A page, a pointer that people see, a line of text, and the frames of what they do."""

import io
from pathlib import Path

from PIL import Image, ImageChops
from playwright.sync_api import FloatRect, Locator, Page, ViewportSize

SIZE: ViewportSize = {"width": 1000, "height": 660}
SCALE = 1.25
STEP = 50  # milliseconds of a frame while something moves
QUALITY = 80
# The policy of the pages allows no style in markup; what a script sets is no markup.
OVERLAY = """() => {
    const set = (node, style) => {
        for (const [name, value] of Object.entries(style)) node.style.setProperty(name, value);
        node.setAttribute("aria-hidden", "true");
        document.body.append(node);
        return node;
    };
    const pointer = set(document.createElementNS("http://www.w3.org/2000/svg", "svg"), {
        position: "fixed", left: "0", top: "0", width: "30px", height: "36px", "z-index": "99",
        "pointer-events": "none",
    });
    pointer.setAttribute("viewBox", "0 0 20 24");
    const shape = 'd="M2 1v18l4.5-4 3 7 3.5-1.5-3-6.8h6z"';
    pointer.innerHTML = `<path ${shape} fill="#1e1d1a" stroke="#fff" stroke-width="1.6"/>`;
    const ring = set(document.createElement("div"), {
        position: "fixed", width: "36px", height: "36px", margin: "-18px 0 0 -18px", border: "3px solid #b4510f",
        "border-radius": "50%", "z-index": "98", "pointer-events": "none", visibility: "hidden",
    });
    const line = set(document.createElement("p"), {
        position: "fixed", bottom: "18px", left: "50%", transform: "translateX(-50%)", padding: "9px 20px",
        "border-radius": "999px", background: "#1e1d1a", color: "#fff", font: "600 17px sans-serif", margin: "0",
        "white-space": "nowrap", "z-index": "97", "pointer-events": "none", visibility: "hidden",
    });
    const carried = set(document.createElement("img"), {
        position: "fixed", width: "150px", "border-radius": "6px", "box-shadow": "0 4px 14px #0006", "z-index": "96",
        "pointer-events": "none", visibility: "hidden", opacity: "0.9",
    });
    window.recorder = {
        move: (x, y) => {
            pointer.style.setProperty("transform", `translate(${x}px, ${y}px)`);
            for (const node of [ring, carried]) {
                node.style.setProperty("left", `${x}px`);
                node.style.setProperty("top", `${y}px`);
            }
        },
        press: (is) => ring.style.setProperty("visibility", is ? "visible" : "hidden"),
        say: (text) => {
            line.textContent = text;
            line.style.setProperty("visibility", text ? "visible" : "hidden");
        },
        carry: (address) => {
            if (address) carried.src = address;
            carried.style.setProperty("visibility", address ? "visible" : "hidden");
        },
    };
    window.recorder.move(-50, -50);
}"""


class Recorder:
    """Takes a frame after everything that changes what is seen; what stays is one frame that lasts."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._frames: list[Image.Image] = []
        self._milliseconds: list[int] = []
        self._place = (SIZE["width"] * 0.7, SIZE["height"] * 0.95)
        page.evaluate(OVERLAY)

    def hold(self, milliseconds: int) -> None:
        """Show for so long what the page shows now."""
        frame = Image.open(io.BytesIO(self.page.screenshot(caret="initial"))).convert("RGB")
        if self._frames and ImageChops.difference(frame, self._frames[-1]).getbbox() is None:
            self._milliseconds[-1] += milliseconds
        else:
            self._frames.append(frame)
            self._milliseconds.append(milliseconds)

    def say(self, text: str, milliseconds: int = 0) -> None:
        """Change the line at the bottom."""
        self.page.evaluate("text => recorder.say(text)", text)
        if milliseconds:
            self.hold(milliseconds)

    def point(self, where: Locator | tuple[float, float], *, across: float = 0.5, frames: int = 7) -> None:
        """Move the pointer to a place, or to a part of an element: `across` of its width."""
        if isinstance(where, Locator):
            box = box_of(where)
            where = box["x"] + across * box["width"], box["y"] + 0.55 * box["height"]
        start = self._place
        for number in range(1, frames + 1):
            share = number / frames
            share = share * share * (3 - 2 * share)
            x, y = (a + share * (b - a) for a, b in zip(start, where, strict=True))
            self.page.mouse.move(x, y)
            self.page.evaluate("([x, y]) => recorder.move(x, y)", [x, y])
            self.hold(STEP)
        self._place = where

    def click(self, where: Locator, *, across: float = 0.5) -> None:
        """Point at an element and click there."""
        self.point(where, across=across)
        self.page.evaluate("recorder.press(true)")
        self.hold(4 * STEP)
        self.page.mouse.click(*self._place)
        self.page.evaluate("recorder.press(false)")

    def type(self, where: Locator, text: str, *, milliseconds: int = 90) -> None:
        """Type a text, a frame for each letter."""
        for letter in text:
            where.press_sequentially(letter)
            self.hold(milliseconds)

    def scroll(self, pixels: float, *, frames: int = 8) -> None:
        """Scroll the page down."""
        for _ in range(frames):
            self.page.evaluate("y => scrollBy(0, y)", pixels / frames)
            self.hold(STEP)

    def save(self, path: Path) -> float:
        """Write an animated WebP that repeats; return its seconds."""
        path.parent.mkdir(parents=True, exist_ok=True)
        first, *others = self._frames
        first.save(
            path, save_all=True, append_images=others, duration=self._milliseconds, loop=0, quality=QUALITY, method=4
        )
        return sum(self._milliseconds) / 1000


def box_of(where: Locator) -> FloatRect:
    """Return where an element is that is shown."""
    box = where.bounding_box()
    if box is None:
        raise ValueError(f"{where} is not shown")
    return box
