"""A weighted sample that anybody can draw again from its seed.

Every entry holds as many lottery tickets as it has weight. The ticket ``t`` (1, 2, …) of entry ``n`` in
community ``c`` bears the SHA-256 of the UTF-8 text ``seed:c:n:t``, read as a number; the tickets are taken in
ascending order, and an entry is drawn when the first of its tickets is. ``printf %s 'seed:1:17:1' |
sha256sum`` and ``sort`` are all it takes to check a draw by hand.

This is weighted sampling without replacement in the sense of Efraimidis and Spirakis (Weighted random
sampling with a reservoir, Information Processing Letters 97 (2006) 181-185, algorithm A-Res): their key
``u^(1/w)`` is distributed as the largest of ``w`` uniform numbers, here mirrored as the smallest of ``w``.
Whole weights keep the draw in integers, so no machine's logarithm can change it.
"""

from __future__ import annotations

import hashlib
import heapq
from dataclasses import dataclass, field

from pointsbank.domain.errors import InvalidValue

SAMPLE_MAX = 500
SEED_LENGTH_MAX = 100
WEIGHT_MAX = 64

WEIGHTS: dict[int, int] = {4: 1, 3: 2, 2: 4, 1: 8, 0: 16}
"""Tickets by what stands behind an earning: the strength of its confirmation (``visit.STRENGTH``), one less
where only the volunteer's word says that they were there (``attendance.evidence``); 0: no visit."""


def ticket(seed: str, community_id: int, number: int, place: int) -> int:
    """Return the number on one ticket (256 bits). place: from 1 to the entry's weight."""
    text = f"{seed}:{community_id}:{number}:{place}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest())


def best_ticket(seed: str, community_id: int, number: int, weight: int) -> int:
    """Return the smallest number on the tickets of an entry. weight: 1 or more."""
    return min(ticket(seed, community_id, number, place) for place in range(1, weight + 1))


def require_weights(weights: dict[int, int]) -> None:
    """Check weights by strength: 0 to ``WEIGHT_MAX`` for each of 0 to 4, one above 0. Raises InvalidValue."""
    if set(weights) != set(WEIGHTS):
        raise InvalidValue(field="weights", rule="known_value")
    if any(type(weight) is not int or not 0 <= weight <= WEIGHT_MAX for weight in weights.values()):
        raise InvalidValue(field="weights", rule="between_0_and_64")
    if not any(weights.values()):
        raise InvalidValue(field="weights", rule="above_zero")


@dataclass(slots=True)
class Draw:
    """A draw under way: takes entries in any order, keeps the ``size`` with the best tickets.

    seen, tickets: how many entries took part (weight above 0) and how many tickets they held together.
    """

    seed: str
    community_id: int
    size: int
    seen: int = 0
    tickets: int = 0
    _best: list[tuple[int, int]] = field(default_factory=list)  # (-ticket, number): the worst kept is first

    def __post_init__(self) -> None:
        if not self.seed or len(self.seed) > SEED_LENGTH_MAX or not self.seed.isprintable():
            raise InvalidValue(field="seed", rule=f"1_to_{SEED_LENGTH_MAX}_characters")
        if not 1 <= self.size <= SAMPLE_MAX:
            raise InvalidValue(field="size", rule=f"between_1_and_{SAMPLE_MAX}")

    def offer(self, number: int, weight: int) -> None:
        """Let one entry take part. weight: its tickets; with 0 it cannot be drawn."""
        if weight < 1:
            return
        self.seen += 1
        self.tickets += weight
        held = (-best_ticket(self.seed, self.community_id, number, weight), number)
        if len(self._best) < self.size:
            heapq.heappush(self._best, held)
        elif held > self._best[0]:
            heapq.heapreplace(self._best, held)

    def drawn(self) -> list[int]:
        """Return the numbers drawn, in the order in which their tickets came."""
        return [number for _, number in sorted(self._best, reverse=True)]
