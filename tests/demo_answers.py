"""How far two answers of a project are apart: that of its service, and that of the demo in a browser."""

from typing import Any

PICTURES, FILMS = "image-classifier", "recommender"
CLOSE = 1e-4


def furthest(ours: Any, theirs: Any, path: str = "") -> float:
    """Return the largest difference of numbers of two answers, which must be equal in everything else."""
    if isinstance(theirs, float) and ours is not None:
        return abs(ours - theirs)
    if isinstance(theirs, dict):
        assert ours.keys() >= theirs.keys(), path
        return max((furthest(ours[name], theirs[name], f"{path}.{name}") for name in theirs), default=0.0)
    if isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs), f"{path}: {ours} {theirs}"
        return max((furthest(a, b, f"{path}[]") for a, b in zip(ours, theirs, strict=True)), default=0.0)
    assert ours == theirs, path
    return 0.0
