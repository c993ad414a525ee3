"""What there is to choose, and how a history stands in a cell; a model that MLflow runs needs no more of the data."""

from dataclasses import dataclass

SEPARATOR = "|"
"""Between the ids of a history in a cell."""


@dataclass(frozen=True)
class CatalogItem:
    """Something to choose: its id in the data, and what people call it."""

    id: str
    title: str
