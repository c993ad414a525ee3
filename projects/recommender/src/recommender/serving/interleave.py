"""Two models in one list, because a list that nobody saw is judged by no feedback: team-draft interleaving.

Radlinski, Kurup and Joachims (2008), "How Does Clickthrough Data Reflect Retrieval Quality?", CIKM, section 4.2. What
somebody watches of such a list says which model's films serve better, with the same person, history and moment on
both sides.
"""

import random
from collections.abc import Sequence
from typing import Literal

from recommender.models.prediction import Basis
from recommender.serving.answers import Answer

Team = Literal["champion", "challenger"]


def team_draft(champion: Sequence[int], challenger: Sequence[int], k: int, seed: int) -> list[tuple[int, Team | None]]:
    """Draw one list of two, as captains choose teams: each round, a coin says who picks first.

    Parameters
    ----------
    champion, challenger
        Different films, best first.
    k
        How many films the list gets, if both have so many together.

    Returns
    -------
    Films in their order, each with the model that picked it. As many are drafted as the shorter list has, so that
    neither runs out of films; beyond them come the rest of the champion's and the challenger's, of no team.

    Examples
    --------
    >>> team_draft([1, 2, 3, 4], [1, 5, 2, 6], k=4, seed=1)
    [(1, 'challenger'), (2, 'champion'), (5, 'challenger'), (3, 'champion')]
    >>> team_draft([1, 2, 3], [4], k=3, seed=1)
    [(4, 'challenger'), (1, None), (2, None)]
    """
    rankings: dict[Team, Sequence[int]] = {"champion": champion, "challenger": challenger}
    coin, drafted = random.Random(seed), min(k, len(champion), len(challenger))  # noqa: S311 - an experiment
    picked: dict[int, Team | None] = {}
    while len(picked) < drafted:
        captains = list(rankings)
        coin.shuffle(captains)
        for team in captains[: drafted - len(picked)]:
            picked[next(film for film in rankings[team] if film not in picked)] = team
    for film in (*champion, *challenger):
        if len(picked) < k:
            picked.setdefault(film, None)
    return list(picked.items())


def interleave(champion: Answer, challenger: Answer, *, k: int, seed: int) -> tuple[Answer, list[Team | None]]:
    """Return one answer of two to the same history, and the team of each of its films.

    A film has the score, chance and reasons of the model that picked it. What one of the models knows is not unknown.
    """
    by_film = {"champion": champion.recommendations, "challenger": challenger.recommendations}
    drafted = team_draft(list(champion.recommendations), list(challenger.recommendations), k, seed)
    everything = challenger.recommendations | champion.recommendations
    recommended = {film: (by_film[team] if team else everything)[film] for film, team in drafted}
    basis: Basis = "popularity" if champion.basis == challenger.basis == "popularity" else "history"
    unknown = tuple(film for film in champion.unknown if film in challenger.unknown)
    return Answer(recommended, basis, unknown), [team for _, team in drafted]
