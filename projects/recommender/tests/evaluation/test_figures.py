import numpy as np

from recommender.evaluation.figures import TAIL, draw, rated_tail, tail


def test_a_tail_falls_from_everything(trained):
    task = trained.evaluation.task
    for curve in (rated_tail(task), tail(trained.evaluation)):
        assert curve[0] == 1
        assert (np.diff(curve) <= 0).all()
    counts = np.sort(task.before.item_counts())[::-1]
    assert TAIL[-1] == 0.1
    tenth = len(counts) // 10
    assert counts[tenth + 1 :].sum() <= rated_tail(task)[-1] * counts.sum() <= counts[tenth:].sum()


def test_popularity_is_all_head(trained):
    """Everybody gets from the most popular films; the served model reaches beyond them."""
    assert tail(trained.evaluation.baselines["popularity"])[-1] < tail(trained.evaluation)[-1]


def test_a_training_draws_two_figures(trained, tmp_path):
    draw(trained.evaluation, trained.candidates, tmp_path)
    drawn = {path.stem: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert set(drawn) == {"candidates", "long-tail"}
    assert all(text.lstrip().startswith("<?xml") for text in drawn.values())
