"""A first plan by greed and ejection: quick, sound by itself, and never beaten by what is returned.

Greed takes columns in the order of worth (or in that of a hint) while they fit. Ejection then improves: a
request may take the place of the one visit that stands in its way if that one can go elsewhere, or if it
is worth less. Every step makes the plan worth more, so it ends; ``ROUNDS_MAX`` bounds it as well. The same
part and hint give the same plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

import numpy as np

from services.matching.engine.arrays import Floats, Ints
from services.matching.engine.parts import Part

ROUNDS_MAX = 12
DEPTH_MAX = 3
"""How many visits one chain of ejections may move."""

TRIED_MAX = 12
"""Columns of one request that are tried in one step of a chain."""

LOOKS_A_REQUEST = 120
"""How often columns are looked at for ejection, in all, for each request of the part: bounds the time."""


class Diary:
    """A part's plan while it is being made: what each volunteer does, and what would stand in the way."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.request: list[int] = part.request.tolist()
        self.volunteer: list[int] = part.volunteer.tolist()
        self.start: list[int] = part.start.tolist()
        self.value: list[int] = part.value.tolist()
        self.load: list[int] = part.load.tolist()
        self.carers: list[int] = part.carers.tolist()
        self._minutes = part.minutes.tolist()
        self._blocks = part.blocks.tolist()
        spots, where = np.unique(part.spot, return_inverse=True)
        self._spot = where.tolist()
        self._walk = part.ground.walk_minutes(spots[:, None], spots[None, :]).tolist()
        self._caps = [
            list(
                zip(
                    part.cap_start[low:high].tolist(),
                    part.cap_end[low:high].tolist(),
                    part.cap_load[low:high].tolist(),
                    strict=True,
                )
            )
            for low, high in zip(part.caps.start[:-1].tolist(), part.caps.start[1:].tolist(), strict=True)
        ]
        self.held: list[list[int]] = [[] for _ in range(len(part.volunteers))]
        self.taken: list[tuple[int, ...]] = [()] * len(part.requests)
        self.looks = 0

    def plan(self) -> Ints:
        """Return the chosen columns, ascending."""
        return np.array(sorted(column for columns in self.taken for column in columns), np.int64)

    def gain(self, column: int) -> int:
        """Return what taking a column adds, now."""
        return self.value[column] - (self.part.further if self.held[self.volunteer[column]] else 0)

    def blockers(self, column: int, most: int = 1) -> list[int] | None:
        """Return the chosen columns in the way of a column; None if more than ``most``, or a cap is."""
        volunteer, start = self.volunteer[column], self.start[column]
        starts, held = self.start, self.held[volunteer]
        found: list[int] = []
        if held:
            request = self.request[column]
            minutes, blocks = self._minutes[request], self._blocks[request]
            walk = self._walk[self._spot[request]]
            for other in held:
                begin, theirs = starts[other], self.request[other]
                walked = walk[self._spot[theirs]]
                # Between two visits lie the minutes of the first and the walk, or what its slot blocks.
                if start <= begin:
                    if begin - start >= blocks and begin - start >= minutes + walked:
                        continue
                elif (
                    start - begin >= self._blocks[theirs] and start - begin >= self._minutes[theirs] + walked
                ):
                    continue
                found.append(other)
                if len(found) > most:
                    return None
        for low, high, left in self._caps[volunteer]:
            if low <= start < high:
                left -= self.load[column]
                for other in held:
                    if low <= starts[other] < high and other not in found:
                        left -= self.load[other]
                if left < 0:
                    return None
        return found

    def take(self, columns: tuple[int, ...]) -> None:
        """Choose columns for their request."""
        self.taken[self.request[columns[0]]] = columns
        for column in columns:
            self.held[self.volunteer[column]].append(column)

    def drop(self, request: int) -> tuple[int, ...]:
        """Leave a request unserved, and return what was chosen for it."""
        columns = self.taken[request]
        self.taken[request] = ()
        for column in columns:
            self.held[self.volunteer[column]].remove(column)
        return columns


def worth(part: Part, plan: Ints) -> int:
    """Return what a plan is worth: its columns less ``further`` for visits after a volunteer's first."""
    visits = np.bincount(part.volunteer[plan], minlength=1)
    return int(part.value[plan].sum()) - part.further * int(np.maximum(visits - 1, 0).sum())


def greedy(part: Part, hint: Floats | None = None, *, looks: int = LOOKS_A_REQUEST) -> Ints:
    """Return a plan: chosen columns, ascending.

    hint: by column, what a relaxation makes of it; the higher the earlier.
    """
    diary = Diary(part)
    diary.looks = looks * len(part.requests)
    mine = _by_request(part)
    by_hint = None if hint is None else np.lexsort((-part.value, -hint)).tolist()
    together: set[int] = set()
    for column in _by_worth(diary, mine) if by_hint is None else by_hint:
        request = diary.request[column]
        if diary.taken[request]:
            continue
        if diary.carers[request] == 1:
            if diary.blockers(column, 0) is not None:
                diary.take((column,))
        elif request not in together:
            together.add(request)
            _take_together(diary, mine[request])
    for _ in range(ROUNDS_MAX):
        if not _improve(diary, mine):
            break
    return diary.plan()


def _by_worth(diary: Diary, mine: list[list[int]]) -> Iterator[int]:
    """Yield columns, the worthiest first, of the requests that are still unserved when their turn comes.

    Each request's next best waits in a heap: few columns are looked at where most requests find somebody.
    """
    heap = [(-diary.value[columns[0]], columns[0], 0) for columns in mine]
    heapify(heap)
    while heap:
        _, column, place = heappop(heap)
        yield column
        request, following = diary.request[column], place + 1
        if not diary.taken[request] and following < len(mine[request]):
            after = mine[request][following]
            heappush(heap, (-diary.value[after], after, following))


def _by_request(part: Part) -> list[list[int]]:
    """Return each request's columns, the worthiest first."""
    order = np.lexsort((-part.value, part.request))
    borders = np.searchsorted(part.request[order], np.arange(1, len(part.requests)))
    return [each.tolist() for each in np.split(order, borders)]


def _take_together(diary: Diary, columns: list[int]) -> bool:
    """Serve a request of several carers at the start that is worth most, if there is one."""
    request = diary.request[columns[0]]
    carers = diary.carers[request]
    by_start: dict[int, list[int]] = {}
    for column in columns:
        some = by_start.setdefault(diary.start[column], [])
        if len(some) < carers and diary.blockers(column, 0) is not None:
            some.append(column)
    whole = [some for some in by_start.values() if len(some) == carers]
    if not whole:
        return False
    diary.take(tuple(max(whole, key=lambda some: sum(diary.gain(column) for column in some))))
    return True


def _improve(diary: Diary, mine: list[list[int]]) -> bool:
    """Try every request once for a better place, the unserved first; tell whether one was found."""
    better = False
    served = [bool(columns) for columns in diary.taken]
    for request in sorted(range(len(mine)), key=served.__getitem__):
        if diary.carers[request] > 1:
            better |= not diary.taken[request] and _take_together(diary, mine[request])
            continue
        before = diary.drop(request)
        lost = _freed(diary, before)
        if _chain(diary, mine, request, lost, DEPTH_MAX, frozenset()):
            better = True
        elif before:
            diary.take(before)
    return better


def _freed(diary: Diary, columns: tuple[int, ...]) -> int:
    """Return what dropped columns were worth: to be exceeded by what replaces them."""
    return sum(diary.gain(column) for column in columns)


def _chain(
    diary: Diary, mine: list[list[int]], request: int, lost: int, depth: int, moved: frozenset[int]
) -> bool:
    """Serve a request for more than ``lost``, moving at most ``depth`` others; tell whether it was done.

    Nothing is changed when it was not.
    """
    blocked: list[tuple[int, int]] = []
    for column in mine[request]:
        if diary.value[column] <= lost or diary.looks <= 0:
            break
        diary.looks -= 1
        found = diary.blockers(column)
        if found is None:
            continue
        if not found:
            if diary.gain(column) > lost:
                diary.take((column,))
                return True
        elif len(blocked) < TRIED_MAX:
            blocked.append((column, found[0]))
    if not depth:
        return False
    for column, blocker in blocked:
        other = diary.request[blocker]
        if other in moved or diary.carers[other] > 1:
            continue
        dropped = diary.drop(other)
        cost = _freed(diary, dropped)
        gain = diary.gain(column)
        diary.take((column,))
        if _chain(diary, mine, other, lost + cost - gain, depth - 1, moved | {request}):
            return True
        if gain - cost > lost:  # worth it even with the other unserved
            return True
        diary.drop(request)
        diary.take(dropped)
    return False
