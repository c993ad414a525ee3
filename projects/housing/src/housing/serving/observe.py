"""What is watched of houses: the truth that feedback brings, and the columns that are compared with the training."""

from pydantic import Field

from portfolio_shared.serving.schemas import Strict


class Truth(Strict):
    """What a house was sold for."""

    price: float = Field(gt=0, lt=1e9, allow_inf_nan=False, description="Price paid, in dollars")
