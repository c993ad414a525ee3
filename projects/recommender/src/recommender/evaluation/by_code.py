"""The numbers that prose names and nothing measures: constants of the code, and what follows by arithmetic."""

from collections.abc import Iterator

from portfolio_shared.operations.comparison import CLIENTS
from portfolio_shared.operations.lessons import MIN_CLIENTS
from portfolio_shared.operations.watch import REFERENCE_ROWS
from recommender.data.shaping import LARGEST_EIGENPROBLEM
from recommender.data.splits import HIDDEN
from recommender.evaluation import experiment, grid
from recommender.evaluation.privacy import NEARLY
from recommender.evaluation.tables import percent
from recommender.models.calibrate import MOST_PEOPLE


def by_code() -> dict[str, str]:
    """Return the numbers by name."""
    return dict(_of_parts()) | dict(_of_limits()) | dict(_of_interleaving())


def _of_parts() -> Iterator[tuple[str, str]]:
    """Yield how much of a history each part has; the validation part is as large as the test."""
    yield "hidden_share", percent(HIDDEN)
    yield "before_test_share", percent(1 - HIDDEN)
    yield "train_share", percent(1 - 2 * HIDDEN)


def _of_limits() -> Iterator[tuple[str, str]]:
    yield "exact_rows", f"{LARGEST_EIGENPROBLEM:,}"
    yield "grid_people", f"{grid.MOST_USERS:,}"
    yield "grid_most_penalty", f"{max(grid.PENALTIES):.1f}"
    yield "attacked", f"{grid.ATTACKED:,}"
    yield "chance_people", f"{MOST_PEOPLE:,}"
    yield "reference", f"{REFERENCE_ROWS:,}"
    yield "nearly", percent(NEARLY)


def _of_interleaving() -> Iterator[tuple[str, str]]:
    """Yield how many people tell each preference from chance."""
    yield "compared_from", str(CLIENTS)
    yield "held_back_from", str(MIN_CLIENTS)
    yield "sign_deviation", f"{experiment.SIGN_DEVIATION:g}"
    yield "sign_deviation_most", f"{(1 - experiment.TIED) ** 0.5:.2f}"
    for name, preference in experiment.PREFERENCES.items():
        yield f"preference_{name}", f"{preference:g}"
        yield f"preference_{name}_people", str(experiment.people_interleaved(preference))
