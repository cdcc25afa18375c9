"""So many at once and no more: work that anybody can ask for must not take what all others need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.errors import TooManyReaders


class Gate:
    """Lets ``places`` in at once and has ``waiting`` more wait; whoever comes beyond those is refused."""

    def __init__(self, places: int, waiting: int = 0) -> None:
        self._places = asyncio.Semaphore(places)
        self._most = places + waiting
        self.there = 0  # inside or waiting

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        """Be inside for as long as the context lasts. Raises TooManyReaders."""
        if self.there >= self._most:
            raise TooManyReaders
        self.there += 1
        try:
            async with self._places:
                yield
        finally:
            self.there -= 1


RECOMPUTING = Gate(1)
"""For whoever has the newest entries recomputed while they wait, by a page or by a program."""
