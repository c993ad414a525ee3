"""Who may ask: keys, hosts, origins and rates, checked before anything else of a request is looked at."""

from starlette.types import Scope

from portfolio_shared.serving.settings import ServiceSettings


class Access:
    """What a service asks of every request before it answers."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings

    def check(self, scope: Scope) -> None:
        """Raise `ProblemError` for a request that may not be answered."""
