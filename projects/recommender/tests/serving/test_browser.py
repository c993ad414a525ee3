"""The films page in a real browser: typos, picks by keyboard, reasons, options, links.

What every page promises is in tests/test_pages.py.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from browser_page import DESK, PHONE, Visit
from playwright.sync_api import Locator, expect

from recommender.data.catalogue import Film, Filters
from recommender.models.chance import LISTED, NEXT
from recommender.models.prediction import Seen
from recommender.models.predictor import Predictor

pytestmark = [pytest.mark.slow, pytest.mark.browser]

Running = Callable[..., AbstractContextManager[Any]]
Watched = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(scope="module")
def service(running_service: Running, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with running_service("recommender", tmp_path_factory.mktemp("service"), bundle=bundle) as service:
        service.wait_for("/readyz")
        yield service


class FilmsVisit(Visit):
    """What only the films page has."""

    def open(self, query: str = "") -> None:
        self.page.goto(f"{self.origin}/{query}")
        self.wait_for_answer()

    def pick(self, typed: str, film: Film) -> None:
        """Type, then choose the film among what was found, without a mouse."""
        picks = self.page.get_by_test_id("pick")
        before = picks.count()
        self.page.get_by_test_id("search").press_sequentially(typed)
        option = self.options().filter(has_text=film.name).first
        expect(option).to_be_visible()
        while option.get_attribute("aria-selected") != "true":
            self.page.keyboard.press("ArrowDown")
        self.page.keyboard.press("Enter")
        expect(picks).to_have_count(before + 1)
        expect(picks.last).to_contain_text(film.name)

    def options(self) -> Locator:
        return self.page.get_by_test_id("option")

    def expect_films(self, films: list[Film]) -> None:
        """Wait until the page shows these films in this order."""
        rows = self.page.get_by_test_id("recommendation")
        expect(rows).to_have_count(len(films))
        for row, film in zip(range(len(films)), films, strict=True):
            expect(rows.nth(row)).to_have_attribute("data-film", str(film.id))
            expect(rows.nth(row)).to_contain_text(film.name)
        self.wait_for_answer()


@pytest.fixture
def visit(watched_page: Watched, service: Any) -> Iterator[FilmsVisit]:
    with watched_page(service.origin, **DESK) as opened:
        yield FilmsVisit(service.origin, *opened)


def longest_word(film: Film) -> str:
    words: list[str] = re.findall(r"[A-Za-z]+", film.name)
    return max(words, key=len, default="")


@pytest.fixture(scope="module")
def three(predictor: Predictor) -> list[Film]:
    """Return three films that many people rated, with words that are long enough to be mistyped."""
    by_raters = sorted(predictor.catalogue.films, key=lambda film: -film.n_ratings)
    return [film for film in by_raters if len(longest_word(film)) >= 7][:3]


def films_for(predictor: Predictor, history: list[Seen], **options: Any) -> list[Film]:
    return [recommendation.film for recommendation in predictor.recommend(history, **options).recommendations]


def test_an_untouched_page_shows_popular_films(visit: FilmsVisit, predictor: Predictor) -> None:
    visit.open()

    visit.expect_films(films_for(predictor, []))
    expect(visit.page.get_by_test_id("results-title")).to_have_text("Popular films")
    assert visit.page.get_by_test_id("reasons").count() == 0
    assert visit.complaints == []


def test_a_search_with_typos_leads_to_recommendations_with_reasons(
    visit: FilmsVisit, predictor: Predictor, three: list[Film]
) -> None:
    visit.open()
    for film in three:
        word = longest_word(film)
        visit.pick(f"{word[:3]}{word[4:]} {film.year}", film)  # a letter is missing

    history = [Seen(film.id) for film in three]
    visit.expect_films(films_for(predictor, history))
    expect(visit.page.get_by_test_id("results-title")).to_have_text("Films for you")
    rows = visit.page.get_by_test_id("recommendation")
    for row, recommendation in zip(rows.all(), predictor.recommend(history).recommendations, strict=True):
        named = row.get_by_test_id("reasons").locator("dt").all_inner_texts()
        assert named == [f"because of {reason.film.name}" for reason in recommendation.reasons]
        percents = [int(re.sub(r"\D", "", text)) for text in row.locator("dd.percent").all_inner_texts()]
        assert percents == sorted(percents, reverse=True)
        assert 0 < sum(percents) <= 100 + len(percents)  # each is rounded
    first = predictor.recommend(history).recommendations[0].film
    expect(visit.page.get_by_test_id("announcement")).to_contain_text(first.name)
    assert visit.complaints == []


def test_each_film_says_how_many_people_watched_it_next(
    visit: FilmsVisit, predictor: Predictor, three: list[Film]
) -> None:
    assert (NEXT, LISTED) == (10, 50)  # the page says both in words
    visit.open()
    expect(visit.page.get_by_test_id("chance").first).to_have_text(
        re.compile(r"^About [1-9]\d? in \d+ people watched it next$")
    )
    visit.pick(f"{longest_word(three[0])} {three[0].year}", three[0])

    recommended = predictor.recommend([Seen(three[0].id)]).recommendations
    visit.expect_films([each.film for each in recommended])
    words = visit.page.get_by_test_id("chance").all_inner_texts()
    for text, each in zip(words, recommended, strict=True):
        few, many = map(int, re.findall(r"\d+", text))
        assert few / many == pytest.approx(each.chance, rel=0.25) or text.startswith("Fewer than 1 in 100")
        assert text.endswith(" people with such a history watched it next")
    expect(visit.page.get_by_test_id("chance-help")).to_contain_text("among their next ten films")
    expect(visit.page.locator("#chance-none")).to_be_hidden()

    visit.page.get_by_test_id("narrow").locator("summary").click()
    visit.page.get_by_test_id("k").fill(str(LISTED + 10))
    visit.page.keyboard.press("Tab")
    visit.expect_films(films_for(predictor, [Seen(three[0].id)], k=LISTED + 10))
    expect(visit.page.get_by_test_id("chance")).to_have_count(LISTED)
    expect(visit.page.locator("#chance-none")).to_contain_text("beyond your first 50 without filters have no number")
    assert visit.complaints == []


def test_stars_and_options_change_the_answer(visit: FilmsVisit, predictor: Predictor, three: list[Film]) -> None:
    history = [Seen(film.id) for film in three]
    visit.open(f"?films={'-'.join(str(film.id) for film in three)}")
    visit.expect_films(films_for(predictor, history))

    visit.page.get_by_test_id("rating").first.select_option("0.5")
    rated = [Seen(three[0].id, 0.5), *history[1:]]
    visit.expect_films(films_for(predictor, rated))

    visit.page.get_by_test_id("narrow").locator("summary").click()
    genre = predictor.catalogue.genre_names[0]
    wanted = visit.page.get_by_test_id("genres").get_by_role("button", name=f"{genre}: any")
    wanted.click()
    visit.page.get_by_test_id("k").fill("5")
    visit.page.keyboard.press("Tab")
    visit.expect_films(films_for(predictor, rated, k=5, filters=Filters(genres=(genre,))))
    visit.page.get_by_test_id("genres").get_by_role("button", name=f"{genre}: wanted").click()
    visit.expect_films(films_for(predictor, rated, k=5, filters=Filters(without_genres=(genre,))))
    assert visit.complaints == []


def test_a_link_brings_the_history_back(
    watched_page: Watched, visit: FilmsVisit, predictor: Predictor, three: list[Film]
) -> None:
    visit.open()
    visit.pick(three[0].name, three[0])
    visit.pick(three[1].name, three[1])
    visit.page.get_by_test_id("rating").last.select_option("4.5")
    history = [Seen(three[0].id), Seen(three[1].id, 4.5)]
    visit.expect_films(films_for(predictor, history))
    address = visit.page.url

    with watched_page(visit.origin) as opened:
        other = FilmsVisit(visit.origin, *opened)
        other.open(address.removeprefix(f"{visit.origin}/"))
        other.expect_films(films_for(predictor, history))
        assert other.page.get_by_test_id("pick").count() == 2
        assert [row.input_value() for row in other.page.get_by_test_id("rating").all()] == ["", "4.5"]
        assert other.complaints == []


def test_unknown_films_of_a_link_are_named(visit: FilmsVisit, predictor: Predictor, three: list[Film]) -> None:
    visit.open(f"?films={three[0].id}-2000000000")

    expect(visit.page.get_by_test_id("notice")).to_contain_text("1 of the link's films")
    visit.expect_films(films_for(predictor, [Seen(three[0].id)]))


def test_a_full_history_shows_its_limit_and_is_not_sent(
    running_service: Running, watched_page: Watched, bundle: Path, three: list[Film], tmp_path: Path
) -> None:
    """The page takes the limit from the service: nothing on it is refused for a history that is too long."""
    with running_service("recommender", tmp_path, bundle=bundle, max_history=2) as service:
        service.wait_for("/readyz")
        with watched_page(service.origin) as opened:
            visit = FilmsVisit(service.origin, *opened)
            visit.open(f"?films={'-'.join(str(film.id) for film in three)}")
            expect(visit.page.get_by_test_id("notice")).to_contain_text("only the last 2 were taken")
            expect(visit.page.get_by_test_id("pick")).to_have_count(2)

            visit.page.get_by_role("button", name=re.compile("I have seen")).first.click()
            expect(visit.page.get_by_test_id("notice")).to_contain_text("at most 2 films: remove one first")
            expect(visit.page.get_by_test_id("pick")).to_have_count(2)

            visit.page.get_by_role("button", name=f"Remove {three[1].name}").click()
            expect(visit.page.get_by_test_id("notice")).to_be_hidden()
            visit.page.get_by_role("button", name=re.compile("I have seen")).first.click()
            expect(visit.page.get_by_test_id("pick")).to_have_count(2)
            assert visit.complaints == []


def test_a_seen_film_moves_to_the_history_and_comes_back_when_it_is_removed(
    visit: FilmsVisit, predictor: Predictor, three: list[Film]
) -> None:
    history = [Seen(three[0].id)]
    visit.open(f"?films={three[0].id}")
    first, *_ = films_for(predictor, history)

    visit.page.get_by_role("button", name=f"I have seen {first.name}").click()
    visit.expect_films(films_for(predictor, [*history, Seen(first.id)]))
    visit.page.get_by_role("button", name=f"Remove {first.name}").click()
    visit.expect_films(films_for(predictor, history))
    visit.page.get_by_test_id("clear").click()
    visit.expect_films(films_for(predictor, []))
    assert "films=" not in visit.page.url


def test_an_error_message_goes_when_it_is_corrected(visit: FilmsVisit, predictor: Predictor) -> None:
    first, last = predictor.catalogue.years[predictor.catalogue.years > 0].min(), predictor.catalogue.years.max()
    visit.page.goto(f"{visit.origin}/?from={last}&to={first}")
    expect(visit.page.get_by_test_id("failure")).to_contain_text("year_from")

    visit.page.get_by_test_id("narrow").locator("summary").click()
    visit.page.get_by_label("To year").fill(str(last))
    visit.page.keyboard.press("Tab")
    visit.expect_films(films_for(predictor, [], filters=Filters(year_from=int(last), year_to=int(last))))
    expect(visit.page.get_by_test_id("failure")).to_be_hidden()
    assert visit.statuses() == {"422"}


def test_a_phone_shows_the_answers_and_the_films_that_match(
    watched_page: Watched, service: Any, three: list[Film]
) -> None:
    with watched_page(service.origin, **PHONE) as opened:
        visit = FilmsVisit(service.origin, *opened)
        visit.open(f"?films={'-'.join(str(film.id) for film in three)}")
        visit.page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
        visit.page.get_by_role("button", name="More like this").first.click()
        visit.page.get_by_test_id("search").press_sequentially(longest_word(three[0])[:4])
        expect(visit.options().first).to_be_visible()
        visit.expect_to_fit()
        assert visit.complaints == []
