"""What takes a challenger out of service, and what does not: accidents, one client, a difference that is tolerated."""

import random

import pytest
from scipy.stats import hypergeom

from portfolio_shared.serving.guards import GROUPS, LOOK, WINDOW, Arm, breach, excess_failures

RUNS = 100


def arm(*, failed=0, failed_groups=9, answers=16 * LOOK, log_seconds=-4.0, abstained=0.1, groups=GROUPS, seed=0):
    """Return an arm whose groups differ by chance."""
    drawn = random.Random(seed)  # noqa: S311 - no secret
    made, per_group, spread = Arm(), answers // GROUPS, 0.3
    for i in range(answers):
        made.add(i % failed_groups, failed=i < failed)
    for group in range(groups):
        for _ in range(per_group):
            made.log_seconds.add(group, drawn.gauss(log_seconds, spread))
            made.abstained.add(group, drawn.random() < abstained)
    return made


@pytest.mark.parametrize("counts", [(0, 10, 0, 90), (3, 50, 1, 450), (20, 50, 180, 450), (7, 7, 2, 3), (5, 5, 0, 0)])
def test_failures_are_compared_exactly(counts):
    failed, answers, failed_beside, answers_beside = counts
    together, everything = failed + failed_beside, answers + answers_beside
    expected = hypergeom.sf(failed - 1, everything, answers, together)
    assert excess_failures(*counts) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("changes", "guard"),
    [
        ({}, None),
        ({"failed": 1}, None),
        ({"failed": 8}, "errors"),
        ({"log_seconds": -3.5}, None),  # somewhat slower is tolerated
        ({"log_seconds": -3.0}, "latency"),  # much slower is not
        ({"log_seconds": -4.7}, None),
        ({"abstained": 0.6}, "abstention"),
        ({"abstained": 0.0}, None),
        ({"abstained": 1.0, "log_seconds": 0.0, "groups": 15}, None),  # a few clients' requests may be odd
        ({"failed": 8, "failed_groups": 3, "groups": 15}, "errors"),  # but several are not to blame for failures
        ({"failed": 160, "failed_groups": 2}, None),  # as two may be, whose requests are large
        ({"failed": 8, "answers": 16 * LOOK + 1}, None),  # at the next look
        ({"failed": 8, "answers": 17 * LOOK}, "errors"),
    ],
)
def test_a_guard_breaks_when_the_challenger_is_worse_by_more_than_chance(changes, guard):
    found = breach(arm(seed=1, **changes), arm(answers=144 * LOOK))
    assert (found and found.guard) == guard


def test_one_client_breaks_no_guard_however_often_it_asks():
    challenger = arm(seed=1)
    while challenger.answers < 1024 * LOOK:
        challenger.add(5, failed=True)
        challenger.log_seconds.add(5, 2.0)
        challenger.abstained.add(5, 1)
    assert breach(challenger, arm(answers=144 * LOOK)) is None


def test_looking_again_and_again_does_not_condemn_a_challenger_that_is_as_good():
    drawn = random.Random(0)  # noqa: S311 - no secret

    def condemned():
        """Answer a window of requests by each of two equal models, of subjects who differ, and look each time."""
        arms = (Arm(), Arm())
        subjects = [(drawn.randrange(GROUPS), drawn.gauss(-4, 0.5), drawn.random() ** 4) for _ in range(400)]
        while arms[0].answers < WINDOW:
            place = drawn.randrange(400)
            group, log_seconds, odd = subjects[place]
            one = arms[place % 2]
            one.add(group, failed=drawn.random() < 0.02)
            one.log_seconds.add(group, drawn.gauss(log_seconds, 0.5))
            one.abstained.add(group, drawn.random() < odd)
            if place % 2 == 0 and breach(*arms):
                return True
        return False

    assert not any(condemned() for _ in range(RUNS))
