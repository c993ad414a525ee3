"""The invented data: the format, the defects, and something to learn in it."""

from pathlib import Path

import numpy as np

from portfolio_shared.evaluation.ranking import ndcg_at_k
from recommender.data.load import Dataset, split
from recommender.data.sample import write_sample
from recommender.evaluation.task import judge_lists, lists_for, make_task
from recommender.models.ease import fit_ease
from recommender.models.fit import Scorer
from recommender.models.history_weights import HistoryWeights
from recommender.models.popularity import fit_popularity


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    first, again, other = (write_sample(tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    for name in ("ratings.csv", "movies.csv"):
        assert (first / name).read_bytes() == (again / name).read_bytes()
        assert (first / name).read_bytes() != (other / name).read_bytes()


def test_it_has_the_header_and_line_ends_of_latest_small(tmp_path: Path) -> None:
    folder = write_sample(tmp_path)
    assert (folder / "ratings.csv").read_bytes().startswith(b"userId,movieId,rating,timestamp\r\n1,")
    assert (folder / "movies.csv").read_bytes().startswith(b"movieId,title,genres\r\n")


def test_every_kind_of_defect_is_there_and_found(sample: Dataset) -> None:
    assert sample.report.excluded == {
        "rating outside 0.5 to 5.0 stars": 2,
        "rating of a film that the list of films does not have": 1,
        "rating that the user replaced by a later one of the same film": 2,
    }
    notes = "\n".join(sample.report.notes)
    for expected in ("2 films have no year", "2 films have no genre", "titles belong to more than one film"):
        assert expected in notes


def test_popularity_has_a_long_tail(sample: Dataset) -> None:
    counts = np.sort(sample.ratings.item_counts())[::-1]
    assert counts[: len(counts) // 5].sum() > 0.5 * counts.sum()
    assert np.median(counts) < counts.mean()


def test_taste_can_be_learned_and_drifts(sample: Dataset) -> None:
    parts = split(sample)
    task = make_task(parts.before_test, parts.test, sample.catalogue)
    X = task.before.matrix()

    def quality(model: Scorer, weigh: HistoryWeights) -> float:
        lists = lists_for(model, task, k=10, weigh=weigh)
        return float(ndcg_at_k(judge_lists(lists, task.users, task.hidden), 10).mean())

    same, recent = HistoryWeights(), HistoryWeights(half_life_share=0.2)
    ease = fit_ease(X, penalty=50.0)
    assert quality(ease, same) > 1.25 * quality(fit_popularity(X), same)
    assert quality(ease, recent) > 1.1 * quality(ease, same)
