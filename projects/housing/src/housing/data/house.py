"""From outside to a record: one check for the API, CSV files and MLflow's table."""

from collections.abc import Mapping

from pydantic import ValidationError

from housing.data.columns import Record
from housing.data.consistency import Violation, violations
from housing.serving.schemas import House


class ImpossibleHouseError(ValueError):
    """A house that breaks rules across columns."""

    def __init__(self, broken: list[Violation]) -> None:
        self.broken = broken
        super().__init__("; ".join(describe(violation) for violation in broken))


class InvalidHouseError(ValueError):
    """A house with fields that are missing, unknown or out of bounds; the message names each."""


def describe(violation: Violation) -> str:
    """Return the violation as a sentence: field, value, rule and limit."""
    return f"{violation.field} = {violation.value}: expected {violation.rule}, here at most {violation.limit:g}"


def validated(fields: Mapping[str, object]) -> Record:
    """Return the fields as a record if a house can be like that.

    Parameters
    ----------
    fields
        Field -> value; text such as "3" is read as a number, None means unknown.

    Raises
    ------
    InvalidHouseError
        If a field is missing, unknown or out of bounds.
    ImpossibleHouseError
        If fields contradict each other.
    """
    try:
        house = House.model_validate(fields)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in item['loc'])} = {item['input']!r}: {item['msg']}"
            if item["type"] != "missing"
            else f"{item['loc'][-1]} is missing"
            for item in error.errors(include_url=False)
        ]
        raise InvalidHouseError("; ".join(problems)) from None
    record: Record = house.model_dump(exclude_none=True)
    if broken := violations(record):
        raise ImpossibleHouseError(broken)
    return record
