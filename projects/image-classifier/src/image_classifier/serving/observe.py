"""What is watched of pictures: the truth that feedback brings, and the columns that are compared with the training."""

from pydantic import Field

from portfolio_shared.serving.schemas import Strict


class Truth(Strict):
    """What a picture shows."""

    label: str | None = Field(max_length=100, description="The right label; None: none of them")
