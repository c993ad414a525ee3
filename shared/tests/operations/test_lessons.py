"""What feedback teaches: limits of what a client or a lie can do, and what no model learns from."""

import json
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio_shared.evaluation.uncertainty import Interval, PairedComparison
from portfolio_shared.operations.lessons import (
    CONTRADICTED,
    MIN_CLIENTS,
    PER_CLIENT,
    Lesson,
    Lessons,
    collect,
    compare_by_client,
)
from portfolio_shared.operations.store import Feedback, LoggedPrediction
from portfolio_shared.tracking.registry import decide_retrained

UNTIL = 1e9


def log_of(told):
    """A log with feedback, in the order of the predictions' ids: (client, subject, weight, at) each."""
    pairs = []
    for i, (client, subject, weight, at) in enumerate(told):
        row = LoggedPrediction(f"p{i}", 1.0, "toy", "1", "/v1/toys", "", 1, 1.0, json.dumps([subject]), "[1.0]")
        said = weight if isinstance(weight, str) else json.dumps({"weight": weight})
        pairs.append((row, Feedback(row.id, 0, at, client, said)))
    return SimpleNamespace(feedback=lambda model, *, since, until: iter(pairs))


def collected(watch, told):
    return collect(log_of(told), watch, until=UNTIL)


def taught(lessons):
    """Return what counts, learned or held back: subject -> (weight, client)."""
    all_of_them = (*lessons.learned, *lessons.held_back)
    said = {json.loads(each.prediction.request)[0]: (each.truth.weight, each.client) for each in all_of_them}
    assert len(said) == len(all_of_them)
    return said


TOLD = st.lists(
    st.tuples(
        st.sampled_from(["", "ann", "bob", "cem"]),
        st.integers(0, 40).map(str),
        st.sampled_from([1.0, 2.0, 5000.0, "{}", "no JSON"]),
        st.floats(1, 100),
    ),
    max_size=120,
)


@settings(max_examples=100, deadline=None)
@given(told=TOLD, rows=st.integers(0, 400))
def test_held_back_subjects_are_never_learned_and_every_truth_is_counted_once(watch, told, rows):
    lessons = collected(watch, told)
    used = lessons.beside(rows)
    learned, held_back = (
        {each.prediction.request for each in part} for part in ((*lessons.learned, *used.learned), used.held_back)
    )
    assert not learned & held_back
    assert lessons.held_back == used.held_back
    for each in (lessons, used):
        assert sum(each.counts.values()) == len(told)
        assert each.counts.get("learned", 0) == len(each.learned)
        assert each.counts.get("held back", 0) == len(each.held_back)
    assert (
        max(Counter(each.client for each in (*lessons.learned, *lessons.held_back)).values(), default=0) <= PER_CLIENT
    )
    assert len(used.learned) <= 0.2 * (rows + len(used.learned))
    # Whoever says more, and whatever was said before: the side of a subject stays.
    again = collected(watch, [*told, ("dan", "7", 1.0, 50.0)])
    assert not {each.prediction.request for each in again.learned} & held_back


def test_nothing_was_said(watch):
    assert collected(watch, []) == Lessons((), (), {})


def test_about_a_third_of_the_subjects_is_held_back(watch):
    lessons = collected(watch, [(f"client {i}", f"thing {i}", 1.0, 1.0) for i in range(1000)])
    assert 250 < len(lessons.held_back) < 350
    assert lessons.counts == {"learned": 1000 - len(lessons.held_back), "held back": len(lessons.held_back)}


@pytest.mark.parametrize("client", ["", "mallory"])
def test_a_thousand_lies_of_one_client_are_twenty_and_silence_nobody(watch, client):
    honest = [(f"client {i}", f"thing {i}", 1.0, i) for i in range(60)]
    lies = [(client, f"other thing {i}", 900.0, 1000.0 + i) for i in range(1000)]
    lessons = collected(watch, [*lies, *honest])
    said = taught(lessons)
    assert lessons.counts["more than one client may say"] == 1000 - PER_CLIENT
    assert sorted(name for name in said if "other" in name) == sorted(f"other thing {i}" for i in range(980, 1000))
    assert [said[f"thing {i}"] for i in range(60)] == [(1.0, f"client {i}") for i in range(60)]


def test_without_names_all_are_one_client(watch):
    lessons = collected(watch, [("", f"thing {i}", 1.0, float(i)) for i in range(100)])
    assert len(taught(lessons)) == PER_CLIENT


def test_of_what_a_client_says_of_a_thing_the_last_counts_in_whatever_order_it_is_read(watch):
    lessons = collected(watch, [("ann", "a", 3.0, 30.0), ("ann", "a", 1.0, 10.0), ("ann", "a", 2.0, 20.0)])
    assert taught(lessons) == {"a": (3.0, "ann")}
    assert lessons.counts["said again later"] == 2


@pytest.mark.parametrize(
    ("told", "expected", "counts"),
    [
        ([("ann", 1.0), ("bob", 2.0)], None, {CONTRADICTED: 2}),
        ([("ann", 1.0), ("bob", 2.0), ("cem", 1.0)], (1.0, "cem"), {CONTRADICTED: 1, "said by another client too": 1}),
        ([("ann", 1.0), ("bob", 1.0)], (1.0, "bob"), {"said by another client too": 1}),
        ([("ann", 1.0), ("bob", 2.0), ("bob", 1.0)], (1.0, "bob"), {"said by another client too": 1}),
    ],
)
def test_clients_that_contradict_each_other_have_a_vote_each(watch, told, expected, counts):
    """One liar may silence one voice on a thing, and outvotes nobody."""
    lessons = collected(watch, [(client, "a", weight, float(at)) for at, (client, weight) in enumerate(told)])
    assert taught(lessons) == ({} if expected is None else {"a": expected})
    assert lessons.counts == {**lessons.counts, **counts}


def test_what_is_not_believed_is_counted_with_its_reason(watch):
    told = [("ann", "a", 5000.0, 1.0), ("bob", "b", "{}", 1.0), ("ann", "c", 1.0, 1.0), ("bob", "c", 2.0, 1.0)]
    lessons = collected(watch, told)
    assert lessons.counts == {"doubted: too heavy": 1, "unreadable": 1, CONTRADICTED: 2}
    assert lessons.doubted == 3


def test_the_newest_are_learned_beside_other_rows(watch):
    lessons = collected(watch, [(f"client {i}", f"thing {i}", 1.0, float(i)) for i in range(100)])
    used = lessons.beside(40)
    assert used.learned == lessons.learned[-10:]
    assert [each.at for each in lessons.learned] == sorted(each.at for each in lessons.learned)
    assert used.counts["learned"] == 10
    assert used.counts["more than 20% of the rows"] == len(lessons.learned) - 10
    assert lessons.beside(10_000) is lessons


def held_back(clients):
    row = LoggedPrediction("p", 1.0, "toy", "1", "/v1/toys", "", 1, 1.0, "[{}]", "[1.0]")
    return [Lesson(row, 0, None, client, 1.0) for client in clients]


def test_a_client_has_one_vote_however_much_it_says():
    honest = [f"client {i}" for i in range(60)]
    rng = np.random.default_rng(0)
    champion = rng.normal(1.0, 0.1, 60)
    better = champion - 0.1
    alone = compare_by_client(held_back(honest), champion, better)
    lies = ["mallory"] * 1000
    comparison = compare_by_client(
        held_back([*honest, *lies]), [*champion, *np.zeros(1000)], [*better, *np.full(1000, 0.5)]
    )
    assert alone.difference.estimate == pytest.approx(-0.1)
    assert comparison.n == 61
    assert comparison.difference.estimate == pytest.approx((-0.1 * 60 + 0.5) / 61)
    assert alone.difference.high < comparison.difference.high < 0


@pytest.mark.parametrize(("weight", "outcome"), [(2.0, "promoted"), (1.0, "refused")], ids=["drift", "none"])
@pytest.mark.parametrize("client", ["", "mallory"])
@pytest.mark.parametrize("lie", [0.5, 3.0])
def test_a_thousand_lies_of_one_client_move_no_decision(watch, weight, outcome, client, lie):
    """The champion says 1.0, the new model the mean of what it has learned."""
    noise = np.random.default_rng(0).normal(0, 0.1, 240)
    honest = [(f"client {i}", f"thing {i}", weight + noise[i], 1.0) for i in range(240)]
    lies = [(client, f"other thing {i}", lie, 2.0) for i in range(1000)]

    def decided(told):
        lessons = collected(watch, told)
        answer = np.mean([each.truth.weight for each in lessons.learned])
        truths = np.array([each.truth.weight for each in lessons.held_back])
        recent = compare_by_client(lessons.held_back, np.abs(truths - 1.0), np.abs(truths - answer))
        within_margin = PairedComparison(Interval(0.0, -0.01, 0.01), probability_better=0.5, n=500)
        return decide_retrained(within_margin, recent, margin=0.02).outcome

    assert decided(honest) == outcome
    assert decided([*honest, *lies]) == outcome


VOTES = st.lists(st.floats(-1, 1), min_size=MIN_CLIENTS, max_size=60)


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(noise=VOTES, t=st.floats(-4, 0), lie=st.floats(-5, 5), name=st.sampled_from(["", "client 3x", "mallory"]))
def test_no_client_alone_turns_a_refusal_into_a_promotion_or_back(noise, t, lie, name):
    """The honest differences lie around the border, `t` standard errors from zero."""
    honest = np.array(noise) - np.mean(noise) + t * np.std(noise) / np.sqrt(len(noise))
    names = [f"client {i}" for i in range(len(honest))]
    within_margin = PairedComparison(Interval(0.0, -0.01, 0.01), probability_better=0.5, n=500)

    def decided(clients, losses):
        recent = compare_by_client(held_back(clients), np.zeros(len(losses)), losses)
        return decide_retrained(within_margin, recent, margin=0.02).outcome

    outcomes = decided(names, honest), decided([*names, *[name] * 6], [*honest, *[lie] * 6])
    assert outcomes[0] == outcomes[1] or "waiting" in outcomes


@pytest.mark.parametrize(("lie", "better"), [(-3.0, True), (3.0, False)])
def test_a_finding_that_one_client_makes_hangs_on_it(lie, better):
    """The honest differences alone have an upper end close to zero, on the other side."""
    honest = np.linspace(-1, 1, MIN_CLIENTS) + (-0.155 if better else -0.17)
    names = [f"client {i}" for i in range(MIN_CLIENTS)]
    alone = compare_by_client(held_back(names), np.zeros(MIN_CLIENTS), honest)
    found = compare_by_client(held_back([*names, "mallory"]), np.zeros(MIN_CLIENTS + 1), [*honest, lie])
    assert (alone.difference.high < 0) is not better
    assert (found.difference.high < 0, found.hangs_on_one) == (better, True)
    clear = compare_by_client(held_back(names), np.zeros(MIN_CLIENTS), honest - 1)
    assert not clear.hangs_on_one


def test_a_few_clients_decide_nothing():
    clients = [f"client {i % (MIN_CLIENTS - 1)}" for i in range(500)]
    assert compare_by_client(held_back(clients), np.ones(500), np.zeros(500)) is None
    assert compare_by_client(held_back([*clients, "one more"]), np.ones(501), np.zeros(501)).n == MIN_CLIENTS
    assert compare_by_client([], [], []) is None
