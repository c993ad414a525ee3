"""Every setting: its default, its flag, its help and the parameter that is logged are one line here.

Flags come from the field names, environment variables from the prefix (`IMAGE_CLASSIFIER_PORT`).
"""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from portfolio_shared.serving.settings import ServiceSettings

MODEL_NAME = "image-classifier"


class ServeSettings(ServiceSettings):
    """Serve the champion."""

    model_config = SettingsConfigDict(env_prefix="IMAGE_CLASSIFIER_", extra="forbid", frozen=True)

    port: int = Field(8003, ge=1, le=65535, description="port to listen on")
    model_name: str = Field(MODEL_NAME, description="registered model to serve")
    max_files: int = Field(32, ge=1, description="pictures in a request; above it 422")
    max_file_bytes: int = Field(10_000_000, ge=1, description="largest picture file; above it 413 for it")
    max_pixels: int = Field(
        50_000_000, ge=64, description="largest picture, width x height; above it 413 for that file"
    )
    max_frames: int = Field(500, ge=1, description="frames of an animation; above it 413 for it")
    max_body_bytes: int = Field(64_000_000, gt=0, description="largest request body; above it 413")
    # Each request may hold a whole body in memory, and a phone needs a while to send one.
    max_concurrent_requests: int = Field(16, gt=0, description="predictions at a time; above it 429")
    request_timeout_seconds: float = Field(30.0, gt=0, description="longest upload, and longest computation for a file")
