"""What every project's schemas have in common; needs pydantic alone, so that schemas stay light."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

ANSWER_ID = "Made by the service, a UUID in the order of time; POST /v1/feedback takes that of a prediction"


class Strict(BaseModel):
    """Unknown fields are refused: a misspelt name must not be taken for a missing one."""

    model_config = ConfigDict(extra="forbid")


class ModelName(BaseModel):
    """Which model answered."""

    name: str
    version: str


class Answered(BaseModel):
    """What every response carries: its id, and which model answered."""

    id: str = Field(description=ANSWER_ID)
    model: ModelName


@dataclass(frozen=True)
class ExampleRequest:
    """A request that every model of a project can answer: for tests, load tests and documentation."""

    path: str
    body: bytes
    content_type: str = "application/json"
