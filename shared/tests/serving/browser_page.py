"""What the browser tests of all projects do with a page; pyproject.toml puts this folder on their path."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Page, Route, expect

DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}
STATUS = re.compile(r"Failed to load resource: the server responded with a status of (\d+)")
OUTSIDE = """[...document.querySelectorAll("body *")].filter((node) => {
    const box = node.getBoundingClientRect();
    return box.width > 0 && box.right > innerWidth + 1 && !node.closest(".table-scroll, .visually-hidden, .picture");
}).map((node) => node.id || node.className)"""
# Color and background of every element that shows text of its own; what is seen through is that of a parent.
TEXTS = """[...document.querySelectorAll("body *")].filter((node) =>
    [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.data.trim())
    && node.checkVisibility() && !node.closest("noscript, .visually-hidden, .skip-link, option")
).map((node) => {
    let behind = node;
    while (behind.parentElement && /, 0\\)|transparent/.test(getComputedStyle(behind).backgroundColor)) {
        behind = behind.parentElement;
    }
    return [node.outerHTML.slice(0, 80), getComputedStyle(node).color, getComputedStyle(behind).backgroundColor];
})"""


@dataclass
class Visit:
    """A page, and what it did behind the reader's back."""

    origin: str
    page: Page
    complaints: list[str]

    def wait_for_answer(self) -> None:
        expect(self.page.get_by_test_id("region")).to_have_attribute("data-state", "ready", timeout=15_000)

    def intercept(self, pattern: str) -> Callable[[], Route]:
        """Hold requests back; the function that is returned waits for the next of them."""
        held: list[Route] = []
        self.page.route(pattern, lambda route: held.append(route))  # noqa: PLW0108  (Playwright marks its handlers)

        def next_held() -> Route:
            for _ in range(500):
                if not held:
                    self.page.wait_for_timeout(10)
            return held.pop(0)

        return next_held

    def statuses(self) -> set[str]:
        """Return the statuses that the console complains about; any other complaint is an error of the page."""
        matches = [STATUS.match(text) for text in self.complaints]
        assert all(matches), self.complaints
        return {match[1] for match in matches if match}

    def expect_to_fit(self) -> None:
        """Check that nothing makes the page wider than its window; tables and pictures scroll or end by themselves."""
        assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert self.page.evaluate(OUTSIDE) == []

    def contrasts(self) -> dict[str, float]:
        """Return the contrast of all text that is shown, as WCAG 2.2 defines it."""
        contrasts = {}
        for text, color, background in self.page.evaluate(TEXTS):
            lighter, darker = sorted((luminance(color), luminance(background)), reverse=True)
            contrasts[text] = (lighter + 0.05) / (darker + 0.05)
        return contrasts

    def brightness(self) -> float:
        return luminance(self.page.evaluate("getComputedStyle(document.body).backgroundColor"))


def luminance(color: str) -> float:
    """Return the relative luminance of a color such as "rgb(1, 2, 3)", as WCAG 2.2 defines it."""
    parts = [int(value) / 255 for value in re.findall(r"\d+", color)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
