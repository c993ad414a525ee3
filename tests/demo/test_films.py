"""Films in the demo: what the service recommends, finds and compares; and what the build refuses."""

import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from browser_page import PHONE, Visit
from demo_answers import FILMS, furthest
from playwright.sync_api import Page, expect
from small_models import SmallModel

from build_demo import install, require_bundle
from build_demo_models import DemoError
from project_table import projects

Watched = Callable[..., AbstractContextManager[tuple[Page, list[str]]]]
ASK = """async ([path, body]) => {
    const response = await fetch(path, body ? { method: "POST", body: JSON.stringify(body) } : {});
    return await response.json();
}"""


@pytest.mark.long
@pytest.mark.browser
def test_films_are_those_of_the_service(pages: dict[str, Page], bundles: Path) -> None:
    from recommender.config import ServeSettings
    from recommender.models.predictor import Predictor
    from recommender.serving.app import result_for
    from recommender.serving.schemas import RecommendationRequest

    predictor = Predictor.load(bundles / FILMS)
    ids, genres = [film.id for film in predictor.catalogue.films], predictor.catalogue.genre_names
    random = np.random.default_rng(0)
    for number in range(40):
        drawn = random.choice(ids, size=number % 12, replace=False).tolist()
        history = [{"film_id": film, "rating": float(random.integers(1, 11)) / 2} for film in drawn]
        history += [{"film_id": film} for film in drawn[:1]] + [{"film_id": 2**31 - 1}] * (number % 3 == 0)
        body = {"history": history, "k": 5 + number, "diversity": 0.5 * (number % 4 == 1)}
        body |= {"genres": [genres[number % len(genres)]]} if number % 5 == 2 else {}
        body |= {"exclude_genres": list(genres[:3]), "year_from": 1990, "year_to": 2010} if number % 7 == 3 else {}
        theirs = result_for(predictor, RecommendationRequest.model_validate(body), ServeSettings())
        ours = pages[FILMS].evaluate(ASK, ["v1/recommendations", {"year_from": None, "year_to": None, **body}])
        most = max(1.0, theirs["recommendations"][0]["score"])  # popular films: ratings, counted in hundreds
        for recommended in [*ours["recommendations"], *theirs["recommendations"]]:
            recommended["score"] /= most
        assert furthest(ours, theirs) < 1e-5, body
    for film in ids[:20]:
        nearest = predictor.similar(film, k=5)
        ours = pages[FILMS].evaluate(ASK, [f"v1/films/{film}/similar?k=5", None])["similar"]
        assert [each["film"]["film_id"] for each in ours] == [other.id for other, _ in nearest]


@pytest.mark.long
@pytest.mark.browser
def test_a_search_finds_what_the_service_finds(pages: dict[str, Page], bundles: Path) -> None:
    from recommender.models.predictor import Predictor

    predictor = Predictor.load(bundles / FILMS)
    titles = [film.name for film in predictor.catalogue.films[::97]]
    queries = [
        *titles,
        *(title[:5] for title in titles),
        *(title[1::-1] + title[2:] for title in titles),
        "star wars 1977",
    ]
    for query in [*queries, "the", "amelei", "spiderman", "2012", "?"]:
        theirs = [film.id for film in predictor.search.find(query, limit=8)]
        ours = pages[FILMS].evaluate(
            "([q]) => fetch(`v1/films?limit=8&query=${encodeURIComponent(q)}`).then((r) => r.json())", [query]
        )
        assert [film["film_id"] for film in ours["films"]] == theirs, query


@pytest.mark.long
@pytest.mark.browser
def test_films_are_chosen_on_the_page(watched_page: Watched, site: str) -> None:
    with watched_page(site, **PHONE) as (page, complaints):
        visit = Visit(site, page, complaints)
        page.goto(f"{site}/")
        visit.expect_to_fit()
        page.get_by_role("link", name="Films").click()
        expect(page.get_by_test_id("results-title")).to_have_text("Popular films")
        title = page.get_by_test_id("recommendation").locator("h3").first.inner_text()
        page.get_by_test_id("recommendation").first.get_by_role("button", name="I have seen").click()
        expect(page.get_by_test_id("results-title")).to_have_text("Films for you")
        expect(page.get_by_test_id("pick")).to_contain_text(title)
        expect(page.get_by_test_id("reasons").first).to_be_visible()
        page.get_by_role("button", name="More like this").first.click()
        page.get_by_test_id("narrow").locator("summary").click()
        page.get_by_test_id("k").fill("0")
        page.get_by_test_id("k").press("Tab")
        expect(page.get_by_test_id("failure")).to_contain_text("at least 1")
        visit.expect_to_fit()
        assert min(visit.contrasts().values()) >= 4.5
        assert visit.statuses() <= {"422"}


@pytest.mark.long
def test_what_terms_may_forbid_is_not_published(tmp_path: Path, small_model: Callable[[str], SmallModel]) -> None:
    bundle = shutil.copytree(small_model(FILMS).bundle, tmp_path / "bundle")
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    manifest["data"] |= {"source": "full", "name": "MovieLens latest-small"}
    (bundle / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    (project,) = [each for each in projects() if each.name == FILMS]
    require_bundle(project, bundle, any_data=True)
    with pytest.raises(DemoError, match=r"learned from MovieLens latest-small.*--any-data"):
        require_bundle(project, bundle, any_data=False)


def test_without_npm_the_build_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DemoError, match=r"install Node\.js"):
        install(tmp_path)
