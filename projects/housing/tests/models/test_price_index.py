"""Price levels of neighborhoods: what has moved is found, what has not is left, and no voice moves one alone."""

import numpy as np
import pytest

from housing.models.price_index import LEAST, levels

PLACES = [f"place {i}" for i in range(20)]
SD = 0.11  # of the log of prices paid over predicted ones


def asked(seed: int, *, n: int = 150, boom: dict[str, float] | None = None) -> tuple[np.ndarray, list[str]]:
    """Return n log ratios and where the houses are: some places have ten times as many as others."""
    rng = np.random.default_rng(seed)
    share = np.geomspace(10, 1, len(PLACES))
    where = [PLACES[i] for i in rng.choice(len(PLACES), n, p=share / share.sum())]
    return rng.normal(0, SD, n) + np.array([(boom or {}).get(place, 0.0) for place in where]), where


def moved(ratios: np.ndarray, where: list[str]) -> dict[str, float]:
    return {place: level.log for place, level in levels(ratios, where, PLACES).items() if level.moved}


def test_where_no_price_has_moved_none_is_found_in_nineteen_windows_of_twenty():
    assert sum(bool(moved(*asked(seed))) for seed in range(200)) <= 10 + 2.6 * np.sqrt(200 * 0.05 * 0.95)


def test_a_boom_in_two_places_is_found_there_and_at_its_height():
    boom = dict.fromkeys(PLACES[:2], np.log(1.25))
    found = [moved(*asked(seed, boom=boom)) for seed in range(50)]
    assert sum(set(boom) <= set(each) for each in found) >= 48
    assert np.mean([each.get(place, 0.0) for each in found for place in boom]) == pytest.approx(np.log(1.25), abs=0.03)


def test_a_boom_of_the_whole_city_is_believed_where_no_house_was_sold():
    ratios, where = asked(0)
    elsewhere = levels(ratios + 0.2, where, [*PLACES, "nothing sold"])["nothing sold"]
    assert elsewhere.moved
    assert (elsewhere.voices, elsewhere.log) == (0, pytest.approx(0.2, abs=0.03))


def test_one_voice_moves_no_place():
    ratios, where = asked(1)
    assert not moved(np.append(ratios, 0.6), [*where, "place 19"])


def test_a_place_is_drawn_to_the_city_the_more_the_fewer_its_houses():
    ratios, where = asked(2, boom=dict.fromkeys(PLACES[:4], 0.25))
    mean = np.mean(ratios)

    def drawn(n: int) -> float:
        other = np.array([place != "place 19" for place in where])
        data = np.append(ratios[other], [0.3] * n)
        return levels(data, [*np.array(where)[other].tolist(), *["place 19"] * n], PLACES)["place 19"].log

    assert mean < drawn(1) < drawn(4) < drawn(20) < 0.3


@pytest.mark.parametrize(
    ("n", "where"), [(LEAST - 1, ["place 0", "place 1"]), (LEAST, ["place 0"])], ids=["few houses", "one place"]
)
def test_nothing_is_said_of_too_little(n, where):
    assert levels(np.full(n, 0.3), [where[i % len(where)] for i in range(n)], PLACES) == {}
