"""Rows: what excludes what, as a sparse matrix over a part's columns.

- a request is served once: the sum of its columns is at most 1; where two carers come together, the columns
  of each start sum to twice a choice of that start, and the choices to at most 1; a column is no more than
  its choice, without which a relaxation sends one carer whole for half a choice;
- of visits that one volunteer could not both make, at most one: a clique of the conflict graph of their
  columns a row, every conflict in one. Cliques make the linear relaxation tight where pairs would not;
- a cap: the load of the columns in it is at most what is left;
- a volunteer's visits after the first cost ``further``: the sum of their columns less a counted rest ≤ 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from services.matching.engine.arrays import Bools, Ints
from services.matching.engine.parts import Part

NO_LIMIT = 1 << 40


@dataclass(frozen=True, slots=True)
class Rows:
    """A ≤ b (or = b) over the part's columns, then ``choices`` of starts, then ``rests``.

    start, column, coefficient: row by row. right: b. equal: which rows are equalities. choices: 0 or 1, worth
    nothing. rests: at least 0, each costing the part's ``further``; rest_row: the row each is in.
    request_row: by request, the row that serves it at most once. pair_request, pair_start, pair_row: the
    rows of each start at which two carers could come together.
    """

    start: Ints
    column: Ints
    coefficient: Ints
    right: Ints
    equal: Bools
    choices: int
    rests: int
    rest_row: Ints
    request_row: Ints
    pair_request: Ints
    pair_start: Ints
    pair_row: Ints

    def __len__(self) -> int:
        return len(self.right)


@dataclass(frozen=True, slots=True)
class Points:
    """Rows that stand for a minute of a volunteer: of the visits that cover it, at most one."""

    volunteer: Ints
    minute: Ints
    row: Ints


class _Collected:
    """Rows while they are being collected."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.columns: list[Ints] = []
        self.coefficients: list[Ints] = []
        self.right: list[int] = []
        self.equal: list[bool] = []
        self.request_row: list[int] = []
        self.pairs: list[tuple[int, int, int]] = []
        self.rest_row: list[int] = []

    def add(self, columns: Ints, right: int, coefficients: Ints | None = None, *, equal: bool = False) -> int:
        """Add a row, and return its number."""
        self.columns.append(columns)
        self.coefficients.append(np.ones(len(columns), np.int64) if coefficients is None else coefficients)
        self.right.append(right)
        self.equal.append(equal)
        return len(self.right) - 1

    def add_requests(self, *, together: bool = False) -> None:
        """Add the rows of requests. together: with those that hold a column to its choice."""
        part = self.part
        borders = np.searchsorted(part.request, np.arange(len(part.requests) + 1))
        for request, carers in enumerate(part.carers.tolist()):
            columns = np.arange(borders[request], borders[request + 1])
            if carers == 1:
                self.request_row.append(self.add(columns, 1))
                continue
            starts = np.unique(part.start[columns]).tolist()
            first = len(part) + len(self.pairs)
            for start in starts:
                at = columns[part.start[columns] == start]
                coefficients = np.append(np.ones(len(at), np.int64), -carers)
                choice = len(part) + len(self.pairs)
                self.pairs.append(
                    (request, start, self.add(np.append(at, choice), 0, coefficients, equal=True))
                )
                if together:
                    for column in at.tolist():
                        self.add(np.array([column, choice]), 0, np.array([1, -1]))
            self.request_row.append(self.add(first + np.arange(len(starts)), 1))

    def add_caps(self, columns: Ints) -> None:
        """Add the caps of the volunteer whose columns these are that could be exceeded."""
        part, volunteer = self.part, self.part.volunteer[columns[0]]
        start = part.start[columns]
        for cap in range(int(part.caps.start[volunteer]), int(part.caps.start[volunteer + 1])):
            inside = columns[(part.cap_start[cap] <= start) & (start < part.cap_end[cap])]
            if part.load[inside].sum() > part.cap_load[cap]:
                self.add(inside, int(part.cap_load[cap]), part.load[inside])

    def add_rest(self, columns: Ints) -> None:
        """Count the visits of a volunteer after the first, where that costs."""
        part = self.part
        if part.further and part.request[columns].min() < part.request[columns].max():
            rest = len(part) + len(self.pairs) + len(self.rest_row)
            coefficients = np.append(np.ones(len(columns), np.int64), -1)
            self.rest_row.append(self.add(np.append(columns, rest), 1, coefficients))

    def rows(self) -> Rows:
        """Return what was collected."""
        counts = [len(each) for each in self.columns]
        pairs = np.array(self.pairs, np.int64).reshape(len(self.pairs), 3)
        return Rows(
            start=np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)]),
            column=np.concatenate(self.columns),
            coefficient=np.concatenate(self.coefficients),
            right=np.array(self.right, np.int64),
            equal=np.array(self.equal, np.bool_),
            choices=len(self.pairs),
            rests=len(self.rest_row),
            rest_row=np.array(self.rest_row, np.int64),
            request_row=np.array(self.request_row, np.int64),
            pair_request=pairs[:, 0],
            pair_start=pairs[:, 1],
            pair_row=pairs[:, 2],
        )


def rows_of(part: Part) -> Rows:
    """Return a part's rows."""
    rows = _Collected(part)
    rows.add_requests(together=True)
    for columns in _by_volunteer(part):
        for clique in cliques(excludes := conflicts(part, columns), excludes):
            rows.add(columns[clique], 1)
        rows.add_caps(columns)
        rows.add_rest(columns)
    return rows.rows()


def point_rows(part: Part) -> tuple[Rows, Points]:
    """Return a part's rows with those of overlapping visits written by points in time.

    A point's row would hold for any other visit that covers it too. Columns are not held to their choices: as
    many rows as columns would be too many here.
    """
    rows = _Collected(part)
    rows.add_requests()
    points: list[tuple[int, int, int]] = []
    for columns in _by_volunteer(part):
        start = part.start[columns]
        end = start + part.blocks[part.request[columns]]
        minutes = np.unique(start)
        covers = (start[None, :] <= minutes[:, None]) & (minutes[:, None] < end[None, :])
        volunteer = int(part.volunteer[columns[0]])
        for minute, covering in zip(minutes.tolist(), covers, strict=True):
            if np.count_nonzero(covering) > 1:
                points.append((volunteer, minute, rows.add(columns[covering], 1)))
        excludes = conflicts(part, columns)
        unwritten = excludes & ~((start[:, None] < end[None, :]) & (start[None, :] < end[:, None]))
        for clique in cliques(excludes, unwritten):
            rows.add(columns[clique], 1)
        rows.add_caps(columns)
        rows.add_rest(columns)
    told = np.array(points, np.int64).reshape(len(points), 3)
    return rows.rows(), Points(told[:, 0], told[:, 1], told[:, 2])


def _by_volunteer(part: Part) -> Iterator[Ints]:
    """Yield each volunteer's columns in order of start; nobody without one."""
    order = np.lexsort((part.request, part.start, part.volunteer))
    yield from np.split(order, np.flatnonzero(np.diff(part.volunteer[order])) + 1)


def conflicts(part: Part, columns: Ints) -> Bools:
    """Return which of one volunteer's columns exclude which: a symmetric matrix, False on its diagonal.

    Two visits exclude each other where there is no time to walk between them, where they are of one request,
    and where both together would exceed a cap.
    """
    request = part.request[columns]
    start, spot = part.start[columns], part.spot[request]
    minutes, blocks = part.minutes[request], part.blocks[request]
    walk = part.ground.walk_minutes(spot[:, None], spot[None, :])
    after = start[:, None] + np.maximum(blocks[:, None], minutes[:, None] + walk)
    excludes: Bools = (start[:, None] <= start[None, :]) & (start[None, :] < after)
    excludes |= excludes.T
    excludes |= request[:, None] == request[None, :]
    load = part.load[columns]
    volunteer = part.volunteer[columns[0]]
    for cap in range(int(part.caps.start[volunteer]), int(part.caps.start[volunteer + 1])):
        inside = (part.cap_start[cap] <= start) & (start < part.cap_end[cap])
        over = load[:, None] + load[None, :] > part.cap_load[cap]
        excludes |= over & inside[:, None] & inside[None, :]
    np.fill_diagonal(excludes, False)
    return excludes


def cliques(excludes: Bools, needed: Bools) -> list[list[int]]:
    """Return cliques that together hold every conflict needed, each as large as it gets in order of position.

    Rows are numbers of many bits, so that a step of growing is one operation.
    """
    near, open_edges = _bits(excludes), _bits(needed)
    found: list[list[int]] = []
    for seed in range(len(near)):
        while open_edges[seed]:
            members, mask = [seed], 1 << seed
            # First who has an open edge with the seed, so that one clique closes as many as it can.
            for candidates in (open_edges[seed], near[seed]):
                rest = candidates & ~mask
                for member in members[1:]:
                    rest &= near[member]
                while rest:
                    lowest = rest & -rest
                    member = lowest.bit_length() - 1
                    members.append(member)
                    mask |= lowest
                    rest &= near[member]
            for member in members:
                open_edges[member] &= ~mask
            found.append(members)
    return found


def _bits(table: Bools) -> list[int]:
    """Return each row as a number, its first column the lowest bit."""
    packed = np.packbits(table, axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]
