"""Whether the API is going: what lasts, ends; what asks for readiness, hears no."""

import asyncio


class Draining:
    """A switch that is turned once; `begun` may be waited for."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    def begin(self) -> None:
        self.begun.set()

    @property
    def has_begun(self) -> bool:
        return self.begun.is_set()
