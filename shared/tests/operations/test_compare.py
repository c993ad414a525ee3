"""What two models are compared by, on real logs: whose truths count, how much, and what is said of the others."""

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest

from portfolio_shared.operations.compare import compare
from portfolio_shared.operations.comparison import APART, BY_BOTH, CLIENTS, INTERLEAVED
from portfolio_shared.operations.sequences import confidence_sequence, rests_on
from portfolio_shared.operations.store import Feedback, LoggedPrediction, Shadow, connect

CHAMPION, CHALLENGER = 1.0, 1.2  # what they answer to everything
FAR = 2.0


class Told(NamedTuple):
    """What somebody says of a thing, which is asked about anew."""

    truth: Any
    client: str
    at: float = 0.0
    subject: str = ""
    answers: tuple[Any, Any] = (CHAMPION, CHALLENGER)


def doubt(row, index, truth):
    return "far away" if abs(json.loads(row.response)[index] - truth.weight) > FAR else None


@pytest.fixture
def experiment(toy, tmp_path):
    """What somebody says of things -> the comparison of both models on them."""

    def run(told: Sequence[Told], *, shadowed=lambda i: True, **watch):
        url = f"sqlite:///{tmp_path}/experiment.db"
        (tmp_path / "experiment.db").unlink(missing_ok=True)
        usual = LoggedPrediction("", 1.0, "toy", "3", "/v1/toys", "", 1, 1.0, "", "")
        with closing(connect(url)) as store:
            store.insert(
                usual._replace(
                    id=f"{i:05}",
                    at=float(i),
                    request=json.dumps([said.subject or f"thing {i}"]),
                    response=json.dumps([said.answers[0]]),
                )
                for i, said in enumerate(told)
            )
            store.insert_shadows(
                Shadow(f"{i:05}", "4", 1.0, 1.0, json.dumps([said.answers[1]]))
                for i, said in enumerate(told)
                if shadowed(i)
            )
            with store.database.transaction():
                for i, said in enumerate(told):
                    truth = said.truth if isinstance(said.truth, str) else json.dumps({"weight": said.truth})
                    given = Feedback(f"{i:05}", 0, said.at or 1000.0 + i, said.client, truth)
                    store.execute("INSERT INTO feedback VALUES (?, ?, ?, ?, ?)", given)
            return compare(replace(toy.watch, doubt=doubt, **watch), store, champion="3", challenger="4")

    return run


def honest(n, *, best, seed=0):
    """Truths of n clients around the answer that is best."""
    truths = np.random.default_rng(seed).normal(best, 0.2, n)
    return [Told(float(truth), f"client {i}") for i, truth in enumerate(truths)]


WORLDS = {"promote": CHALLENGER, "go on": 1.1, "keep": CHAMPION}


@pytest.mark.parametrize("decision", WORLDS)
def test_who_is_nearer_to_the_truths_is_better(experiment, decision):
    found = experiment(honest(300, best=WORLDS[decision]))
    assert (found.decision, found.n) == (decision, 300)
    assert found.summary.startswith(
        {"promote": "Promote version 4: its absolute error is lower by", "keep": "Keep version 3"}.get(
            decision, "Go on"
        )
    )
    assert sum(found.counts.values()) == found.counts["counted"] == 300


def test_it_takes_fifty_two_clients_who_speak_of_as_many_things(experiment):
    told = honest(CLIENTS, best=1.3)
    assert (CLIENTS, experiment(told).decision) == (52, "promote")
    few = experiment(told[:51])
    assert (few.decision, few.summary) == ("go on", "Go on: it takes 52 clients, and there are 51.")
    same = experiment([said._replace(subject=f"thing {i % 51}") for i, said in enumerate(told)])
    assert same.summary == "Go on: it takes 52 clients who speak of different things, and there are 51."


def test_one_client_does_not_make_a_thing_that_all_speak_of_into_many(experiment):
    told = [said._replace(subject="the house") for said in honest(60, best=1.3)]
    others = [Told(1.3, "one client", subject=f"house {i}") for i in range(60)]
    alone, with_others = experiment(told), experiment([*told, *others])
    assert (alone.decision, alone.subjects) == ("go on", 1)
    assert (with_others.decision, with_others.subjects, with_others.n) == ("go on", 2, 61)


def test_two_that_always_tie_go_on(experiment):
    found = experiment([said._replace(answers=(1.0, 1.0)) for said in honest(200, best=1.0)])
    assert found.decision == "go on"
    assert found.summary == "Go on: all 200 clients saw a difference of 0, which says nothing of the next one."
    assert found.needed == {}


def test_an_undecided_experiment_says_how_many_more_for_which_difference(experiment):
    found = experiment(honest(300, best=1.1))
    (size, more), *others = found.needed.items()
    assert size == pytest.approx(abs(found.differences.mean()))
    assert "would show one of this size" in found.summary
    deviation = found.differences.std()
    assert [(round(size / deviation, 6), left > 0) for size, left in others] == [
        (0.1, True),
        (0.2, False),
        (0.5, False),
    ]
    assert more > 100


def test_a_gain_that_is_certainly_too_small_keeps_the_champion(experiment):
    found = experiment(honest(300, best=1.1))
    enough = replace(found, worthwhile=-found.last[1] + 0.01)
    assert (found.decision, enough.decision) == ("go on", "keep")
    assert "and no gain of" in enough.summary
    assert enough.hangs_on > 1


# Whose word counts, and how much


@pytest.mark.parametrize("client", ["a liar", ""])
@pytest.mark.parametrize("lie", [CHALLENGER + 1, CHAMPION - 1], ids=["for the challenger", "for the champion"])
@pytest.mark.parametrize("decision", WORLDS)
def test_a_thousand_lies_of_one_client_move_no_decision(experiment, decision, lie, client):
    told = honest(200, best=WORLDS[decision], seed=4)
    alone = experiment(told)
    with_lies = experiment([Told(lie, client, 1.0 + i / 1000) for i in range(1000)] + told)
    assert (alone.decision, with_lies.decision) == (decision, decision)
    assert (with_lies.n, with_lies.truths) == (201, 1200)
    assert with_lies.nameless == (0 if client else 1000)
    assert bool(client) is not any("clients without a name, who count as one" in said for said in with_lies.cautions)


def test_one_client_does_not_make_a_finding_that_the_others_lack(experiment):
    told = honest(119, best=1.16, seed=106)
    assert [experiment(those).decision for those in (told, [*told, Told(CHALLENGER, "one more")])] == ["go on", "go on"]


def test_no_decision_hangs_on_two_clients(experiment):
    found, values = experiment(honest(100, best=1.1)), np.linspace(-1, 1, 100)
    shifts = {rests_on(values - shift): shift for shift in np.arange(0, 1, 0.001)}
    for sign, decision in ((1, "promote"), (-1, "keep")):
        few, enough = (replace(found, differences=sign * (values - shifts[k])) for k in (APART, APART + 1))
        assert (rests_on(few.differences), few.decision, few.hangs_on) == (2, "go on", 0)
        assert few.summary.endswith("after 100 clients, and hangs on 2 of them or fewer.")
        assert (enough.decision, enough.hangs_on) == (decision, 3)


def test_a_decision_without_any_one_client_is_still_a_finding_that_hangs_on_no_other(experiment):
    values = np.linspace(-1, 1, 100)
    shift = next(shift for shift in np.arange(0, 1, 0.001) if rests_on(values - shift) > APART)
    assert replace(experiment(honest(3, best=1.1)), subjects=100, differences=values - shift).decision == "promote"
    for i in range(100):
        others = np.delete(values - shift, i)
        assert confidence_sequence(others)[1][-1] < 0
        assert rests_on(others) > 1


def test_the_last_word_of_a_client_on_a_subject_counts(experiment):
    told = [Told(2.0, "a", 10.0, "house"), Told(1.0, "a", 11.0, "house"), Told(2.0, "b", 12.0, "house")]
    found = experiment(told)
    assert found.differences == pytest.approx([0.2, -0.2])
    assert found.counts == {"counted": 2, "said again later": 1}
    late = experiment([told[1], told[0]])  # in the order of time, not of the requests
    assert late.differences == pytest.approx([0.2])


def test_a_client_is_the_mean_of_its_subjects_at_the_time_of_its_first(experiment):
    told = [Told(2.0, "b", 11.0), Told(2.0, "a", 10.0), Told(1.0, "a", 12.0), Told(1.05, "a", 13.0)]
    assert experiment(told).differences == pytest.approx([(-0.2 + 0.2 + 0.1) / 3, -0.2])


# Which truths are counted


def test_a_truth_that_one_model_alone_doubts_is_counted(experiment):
    told = [
        Told(CHAMPION + FAR + 0.1, "after the change"),
        Told(CHALLENGER - FAR - 0.1, "before it"),
        Told(99.0, "nonsense"),
        Told(1.0, "plain"),
    ]
    found = experiment(told)
    assert found.counts == {
        "counted": 1,
        "counted, doubted by the champion alone": 1,
        "counted, doubted by the challenger alone": 1,
        BY_BOTH: 1,
    }
    assert found.differences == pytest.approx([-0.2, 0.2, 0.2])
    assert found.with_doubted == pytest.approx([-0.2, 0.2, -0.2, 0.2])


@pytest.mark.parametrize(
    ("truth", "answers", "fate"),
    [
        ('{"weight": "?"}', (1.0, 1.2), "unreadable: ValidationError weight float_parsing"),
        (1.0, ("a house", 1.2), "unreadable: TypeError"),
        (1.0, (1.0, float("inf")), "unreadable: a difference that is not finite"),
        (1.0, (None, None), "says nothing of the loss"),
        (1.0, (1.0, None), "only one model has an answer"),
        (1.0, (None, 1.2), "only one model has an answer"),
    ],
)
def test_what_cannot_be_compared_is_counted_and_no_more(toy, experiment, truth, answers, fate):
    def loss(row, index, truth):
        return None if json.loads(row.response)[index] is None else toy.watch.loss(row, index, truth)

    found = experiment([Told(1.0, "a", 1.0), Told(truth, "b", 2.0, answers=answers)], loss=loss)
    assert found.counts == {"counted": 1, fate: 1}
    assert (found.n, found.truths) == (1, 1)


def test_answers_that_the_challenger_failed_on_are_shown(experiment):
    found = experiment(honest(100, best=1.1), shadowed=lambda i: i % 5 or i == 0)
    assert (found.answered, found.asked, found.truths) == (81, 100, 81)
    assert any("has not answered 19 of 100 requests (19%)" in said for said in found.cautions)


# Many who lie


def test_lies_of_one_client_in_five_are_seen_where_they_are_wild(experiment):
    rng = np.random.default_rng(6)
    told = [
        said._replace(truth=float(rng.uniform(0, 100))) if i % 5 == 0 else said
        for i, said in enumerate(honest(400, best=WORLDS["promote"]))
    ]
    found = experiment(told)
    assert found.decision == "promote"
    assert found.counts[BY_BOTH] >= 70
    assert any("because both models hold them next to impossible" in said for said in found.cautions)


@pytest.mark.parametrize(
    ("world", "lie", "decision"),
    [
        ("promote", CHAMPION - 0.5, "go on"),  # lies can hide what is true
        ("go on", CHALLENGER + 0.5, "promote"),  # and make what is not: nothing in them is impossible
    ],
)
def test_careful_lies_of_one_client_in_five_can_turn_a_decision_and_it_says_on_how_few_it_hangs(
    experiment, world, lie, decision
):
    told = [said._replace(truth=lie) if i % 5 == 0 else said for i, said in enumerate(honest(400, best=WORLDS[world]))]
    found = experiment(told)
    assert found.decision == decision
    assert found.counts.get(BY_BOTH, 0) == 0
    if decision == "promote":
        assert found.hangs_on <= 80
        assert found.cautions[0].startswith(f"Without the {found.hangs_on} clients that speak most for it")


# Interleaved lists


def test_interleaved_lists_are_compared_by_who_won_them(experiment):
    def preference(row, index, truth, challenger):
        assert challenger == "4"
        return truth.weight if abs(truth.weight) <= 1 else None

    told = [Told(won, f"client {i}") for i, won in enumerate([1.0, 1.0, 0.0, -1.0] * 100)]
    found = experiment([*told, Told(5.0, "not interleaved")], preference=preference, shadowed=lambda i: False)
    assert (found.label, found.n, found.asked) == (INTERLEAVED, 400, 0)
    assert found.differences[:4].tolist() == [-1.0, -1.0, 0.0, 1.0]
    assert found.counts == {"counted": 400, "not on a list of these two": 1}
    assert found.summary.startswith("Promote version 4: its share of lists lost is lower by 0.25")
