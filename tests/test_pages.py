"""What every project's page promises, in a real browser: one test for all projects."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from browser_page import DESK, PHONE, Visit
from playwright.sync_api import Browser, Page, Route, expect

from portfolio_shared.bundle import bundle_digest
from portfolio_shared.serving.api_keys import new_key
from portfolio_shared.serving.start_page import StartPageSettings
from portfolio_shared.serving.start_page import create_app as create_start_page
from project_table import Project, projects

pytestmark = [pytest.mark.slow, pytest.mark.browser]

Running = Callable[..., AbstractContextManager[Any]]
Watched = Callable[..., AbstractContextManager[tuple[Page, list[str]]]]


@pytest.fixture(scope="module")
def service(
    running_service: Running, project: Project, project_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    with running_service(project.name, tmp_path_factory.mktemp("service"), bundle=project_bundle) as service:
        service.wait_for("/readyz")
        yield service


@pytest.fixture
def visit(watched_page: Watched, service: Any) -> Iterator[Visit]:
    with watched_page(service.origin, **DESK) as opened:
        yield Visit(service.origin, *opened)


def settle(visit: Visit, path: str = "/") -> None:
    """Open the page and wait until it has all that it shows before anybody touches it."""
    visit.page.goto(f"{visit.origin}{path}")
    expect(visit.page.get_by_test_id("model-badge").locator("dt").first).to_be_visible(timeout=15_000)
    expect(visit.page.get_by_test_id("region")).to_have_attribute("data-state", re.compile("ready|empty"))
    visit.page.wait_for_load_state("networkidle")


def test_the_page_loads_without_complaints(visit: Visit) -> None:
    settle(visit)

    expect(visit.page.get_by_test_id("failure")).to_be_hidden()
    expect(visit.page.get_by_test_id("notice")).to_be_hidden()
    expect(visit.page.locator("h1")).to_have_count(1)
    assert len(visit.page.title()) > 10
    assert visit.page.locator("meta[name=description]").get_attribute("content")
    assert visit.complaints == []


def test_the_page_and_everything_it_loads_is_there(service: Any, project: Project) -> None:
    client: httpx.Client = service.client
    page = client.get("/")

    assert page.headers["content-type"].startswith("text/html")
    assert "script-src" not in page.headers["content-security-policy"]  # default-src 'self' covers scripts
    loaded = set(re.findall(r'(?:src|href)="([^"#]+)"', page.text))
    assert {f"web/{project.name}.js", f"web/{project.name}.css", "static/style.css"} <= loaded
    loaded |= {f"web/{path}" for path in re.findall(r'from "(.+?)"', client.get(f"/web/{project.name}.js").text)}
    assert "web/../static/page.js" in loaded
    for path in loaded:
        assert "//" not in path, f"{path} is on another host"
        assert client.get(f"/{path}").status_code == 200, path
    assert "<style" not in page.text
    assert not re.search(r"<script(?![^>]*\bsrc=)", page.text), "the content security policy allows no inline script"


def test_the_page_says_which_model_and_which_data_answered(
    visit: Visit, project: Project, project_bundle: Path
) -> None:
    settle(visit)
    data = json.loads((project_bundle / "bundle.json").read_text(encoding="utf-8"))["data"]
    is_sample = data["source"] == "sample"

    badge = visit.page.get_by_test_id("model-badge")
    expect(badge).to_contain_text(f"{project.name} version {bundle_digest(project_bundle)[:12]}")
    expect(badge).to_contain_text(data["name"])
    expect(badge).to_contain_text("a sample; rows: " if is_sample else "rows: ")
    expect(visit.page.get_by_test_id("sample-notice")).to_be_visible(visible=is_sample)
    learned = f"This model learned from a sample of the data: {data['name']}."
    expect(visit.page.get_by_test_id("sample-notice")).to_contain_text(learned)


def test_the_keyboard_reaches_the_answers_first_and_then_every_control(visit: Visit) -> None:
    settle(visit)
    page = visit.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip-link"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "results"

    settle(visit)
    controls = page.evaluate("""
        [...document.querySelectorAll("a, button, input, select, summary")].filter((node) => node.checkVisibility())
            .map((node, index) => { node.dataset.control = index; return index; })""")
    reached = set()
    for _ in range(2 * len(controls)):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("Number(document.activeElement.dataset.control ?? -1)"))
    assert set(controls) <= reached
    assert len(controls) > 5
    assert visit.complaints == []


def test_dark_mode_is_dark_and_all_text_stands_out(watched_page: Watched, service: Any) -> None:
    brightness = {}
    for scheme in ("light", "dark"):
        with watched_page(service.origin, color_scheme=scheme, **DESK) as opened:
            visit = Visit(service.origin, *opened)
            settle(visit)
            contrasts = visit.contrasts()
            assert len(contrasts) > 10
            assert {text: contrast for text, contrast in contrasts.items() if contrast < 4.5} == {}
            brightness[scheme] = visit.brightness()

    assert brightness["dark"] < 0.1
    assert brightness["light"] > 0.7


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_everything_without_scrolling_sideways(watched_page: Watched, service: Any, scheme: str) -> None:
    with watched_page(service.origin, color_scheme=scheme, **PHONE) as opened:
        visit = Visit(service.origin, *opened)
        settle(visit)
        visit.page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
        visit.expect_to_fit()
        assert visit.complaints == []


def test_without_javascript_the_page_says_where_answers_are(browser: Browser, service: Any) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(f"{service.origin}/")
    expect(page.locator("noscript a")).to_be_visible()
    expect(page.get_by_test_id("sample-notice")).to_be_hidden()
    page.close()


def test_a_service_that_is_away_is_a_failure_in_words(visit: Visit) -> None:
    visit.page.route("**/v1/**", lambda route: route.abort("connectionrefused"))
    visit.page.goto(f"{visit.origin}/")

    failure = visit.page.get_by_test_id("failure")
    expect(failure).to_contain_text("No connection. The service cannot be reached.")
    expect(failure).to_have_attribute("role", "alert")
    assert visit.complaints
    assert all("ERR_CONNECTION_REFUSED" in complaint for complaint in visit.complaints)


def test_a_page_that_was_opened_too_early_answers_once_there_is_a_model(
    running_service: Running, watched_page: Watched, project: Project, project_bundle: Path, tmp_path: Path
) -> None:
    later = tmp_path / "later"
    with (
        running_service(project.name, tmp_path, bundle=later, model_poll_seconds=0.1) as service,
        watched_page(service.origin) as opened,
    ):
        visit = Visit(service.origin, *opened)
        visit.page.goto(f"{visit.origin}/")
        expect(visit.page.get_by_test_id("failure")).to_contain_text("The model is not ready yet.")
        expect(visit.page.get_by_test_id("model-badge")).to_be_empty()

        shutil.copytree(project_bundle, tmp_path / "copy")
        (tmp_path / "copy").rename(later)
        service.wait_for("/readyz")
        if (retry := visit.page.get_by_test_id("retry")).is_visible():
            retry.press("Enter")  # without a button the page tries again by itself
        expect(visit.page.get_by_test_id("model-badge")).to_contain_text(f"{project.name} version", timeout=15_000)
        expect(visit.page.get_by_test_id("region")).to_have_attribute("data-state", re.compile("ready|empty"))
        expect(visit.page.get_by_test_id("failure")).to_be_hidden()
        assert visit.statuses() == {"503"}


def test_the_link_is_copied(watched_page: Watched, service: Any) -> None:
    with watched_page(service.origin, permissions=["clipboard-read", "clipboard-write"], **DESK) as opened:
        visit = Visit(service.origin, *opened)
        settle(visit)
        button = visit.page.get_by_test_id("copy-link")
        if button.count() == 0:
            pytest.skip("this page has no link to copy: what it shows is not in its address")
        button.press("Enter")

        expect(button).to_have_text("Link copied")
        expect(visit.page.get_by_test_id("announcement")).to_have_text("Link copied")
        assert visit.page.evaluate("navigator.clipboard.readText()") == visit.page.url
        assert visit.complaints == []


def test_each_page_links_the_others_and_the_start_page(
    running_service: Running,
    watched_page: Watched,
    *,
    serving: Callable[[Any], AbstractContextManager[httpx.Client]],
    project: Project,
    project_bundle: Path,
    tmp_path: Path,
) -> None:
    """As long as there is a start page; it is not asked by the browser."""
    addresses = {each.name: f"http://127.0.0.1:{each.port}" for each in projects()}
    settings = StartPageSettings(
        address="http://127.0.0.1:8000",
        mlflow_address="http://127.0.0.1:5500",
        demos=[
            {"project": each.name, "title": each.title, "lead": each.lead, "address": place, "internal": place}
            for each, place in zip(projects(), addresses.values(), strict=True)
        ],
    )
    with (
        serving(create_start_page(settings)) as start_page,
        running_service(
            project.name, tmp_path, bundle=project_bundle, start_page=str(start_page.base_url).rstrip("/")
        ) as service,
        watched_page(service.origin, **PHONE) as opened,
    ):
        service.wait_for("/readyz")
        visit = Visit(service.origin, *opened)
        settle(visit)
        links = visit.page.get_by_test_id("demo-links").locator("a")
        shown = [(link.inner_text(), link.get_attribute("href")) for link in links.all()]
        visit.expect_to_fit()
        assert min(visit.contrasts().values()) >= 4.5
        assert visit.complaints == []

    others = [(each.title, addresses[each.name]) for each in projects() if each != project]
    assert shown == [("All demos", "http://127.0.0.1:8000"), *others]


def test_everything_works_behind_the_prefix_of_a_proxy(visit: Visit) -> None:
    """The proxy cuts its prefix off; whatever the page asks without it is somebody else's."""
    outside: list[str] = []

    def proxy(route: Route) -> None:
        path = urlsplit(route.request.url).path
        if path.startswith("/prefix/"):
            route.continue_(url=route.request.url.replace("/prefix/", "/", 1))
        else:
            outside.append(path)
            route.fulfill(status=404)

    visit.page.route(f"{visit.origin}/**", proxy)
    settle(visit, "/prefix/")
    expect(visit.page.get_by_test_id("failure")).to_be_hidden()
    for name in ("docs", "v1/model", "metrics"):
        assert visit.page.locator(f'footer a[href="{name}"]').count() == 1
    assert outside == []
    assert visit.complaints == []


@pytest.mark.long
def test_a_page_of_a_service_with_keys_asks_for_one_once(
    running_service: Running, watched_page: Watched, project: Project, project_bundle: Path, tmp_path: Path
) -> None:
    key, entry = new_key("ann")
    with (
        running_service(project.name, tmp_path, bundle=project_bundle, api_keys=entry) as service,
        watched_page(service.origin, **PHONE) as (page, complaints),
    ):
        visit = Visit(service.origin, page, complaints)
        service.wait_for("/readyz")
        page.goto(visit.origin)
        dialog = page.get_by_test_id("key-dialog")
        expect(dialog).to_be_visible()
        assert min(visit.contrasts().values()) >= 4.5
        visit.expect_to_fit()
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        expect(dialog).to_contain_text("does not know this key")
        page.keyboard.type(key)
        page.get_by_role("button", name="Use this key").click()
        expect(dialog).to_be_hidden()
        expect(page.get_by_test_id("model-badge").locator("dt").first).to_be_visible()
        page.wait_for_load_state("networkidle")
        settle(visit)  # a second view, in the same tab
        expect(dialog).to_be_hidden()
        assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        assert visit.statuses() == {"401"}
    assert key not in str(service.log())
