"""What every prediction response carries; needs pydantic alone, so that schemas that use it stay light."""

from pydantic import BaseModel


class ModelName(BaseModel):
    """Which model answered."""

    name: str
    version: str
