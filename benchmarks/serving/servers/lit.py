"""LitServe with our predictor behind it, as its own pages show: one worker, everything else at its default."""

import sys
from typing import Any

import litserve
from answers import PROJECT, answerer
from fastapi import Request


class Api(litserve.LitAPI):  # type: ignore[misc]  # litserve is not where types are checked
    """Four steps of a request."""

    def setup(self, device: str) -> None:
        """Load the model in the worker's process."""
        del device
        self.answer = answerer()

    def decode_request(self, request: Request) -> Any:
        """Return the body that was JSON, or the bytes of the picture."""
        return request["files"].file.read() if PROJECT == "image-classifier" else request  # parsed by LitServe

    def predict(self, x: Any) -> Any:
        """Answer."""
        return self.answer(x)

    def encode_response(self, output: Any) -> Any:
        """Return what becomes JSON."""
        return output


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
