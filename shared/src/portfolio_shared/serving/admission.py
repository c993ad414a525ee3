"""Which requests are let in: a service that is full says so at once, and keeps what it has begun."""

from collections.abc import Iterator
from contextlib import contextmanager

from portfolio_shared.serving.pool import too_many_requests
from portfolio_shared.serving.problems import ProblemError
from portfolio_shared.serving.settings import ServiceSettings

FEEDBACK_AT_ONCE = 16  # beside the predictions, whose places it would take while the database hangs


class Admission:
    """The places of one service, for predictions and for feedback; changed on the event loop only."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._most = settings.max_concurrent_requests
        self._active = self._active_feedback = 0  # in progress

    @contextmanager
    def place(self, *, counted: bool, feedback: bool) -> Iterator[None]:
        """Hold a place until the end of the block, or raise `ProblemError` if there is none.

        Parameters
        ----------
        counted
            Whether it is a prediction.
        feedback
            Whether it is feedback; neither of the two is always let in.
        """
        if counted and self._active >= self._most:
            raise too_many_requests(self._most)
        if feedback and self._active_feedback >= FEEDBACK_AT_ONCE:
            detail = "Too much feedback waits to be kept. Send it again later."
            raise ProblemError(503, detail, headers={"Retry-After": "1"})
        self._active += counted
        self._active_feedback += feedback
        try:
            yield
        finally:
            self._active -= counted
            self._active_feedback -= feedback
