"""Parts: what can be planned apart, because no volunteer could be sent to both.

Big grids that share no volunteer fall apart here by themselves, and so does whatever else does. A part is
plain arrays: it is what a process of its own is given to solve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.matching.engine.arrays import Ground, Ints, Spread
from services.matching.engine.columns import Columns, Field


@dataclass(frozen=True, slots=True)
class Part:
    """A problem of its own: choose columns for the greatest worth.

    requests, volunteers: positions in the whole, ascending; request, volunteer: by column, positions in
    those. Columns are ordered by request, volunteer, start. load: by column, what it takes of a cap. carers,
    minutes, blocks, spot: by request. caps: by volunteer; cap_start, cap_end, cap_load: of each. further:
    what each visit of a volunteer after the first costs.
    """

    requests: Ints
    volunteers: Ints
    request: Ints
    volunteer: Ints
    start: Ints
    value: Ints
    load: Ints
    carers: Ints
    minutes: Ints
    blocks: Ints
    spot: Ints
    caps: Spread
    cap_start: Ints
    cap_end: Ints
    cap_load: Ints
    further: int
    ground: Ground

    def __len__(self) -> int:
        return len(self.request)


def parts_of(field: Field, columns: Columns) -> list[Part]:
    """Return the parts, that of the first request first; a request without a column is in none."""
    if not len(columns):
        return []
    label = _labels(columns, len(field.instance.requests), len(field.instance.volunteers))
    by_column = label[columns.request]
    order = np.argsort(by_column, kind="stable")
    borders = np.flatnonzero(np.diff(by_column[order])) + 1
    return [_part(field, columns.take(which)) for which in np.split(order, borders)]


def _labels(columns: Columns, requests: int, volunteers: int) -> Ints:
    """Return, by request, the lowest request it hangs together with."""
    label = np.arange(requests)
    while True:
        lowest = np.full(volunteers, requests)
        np.minimum.at(lowest, columns.volunteer, label[columns.request])
        new = label.copy()
        np.minimum.at(new, columns.request, lowest[columns.volunteer])
        new = new[new]  # a label's own label is lower still: halves the way
        if np.array_equal(new, label):
            return label
        label = new


def _part(field: Field, columns: Columns) -> Part:
    requests, request = np.unique(columns.request, return_inverse=True)
    volunteers, volunteer = np.unique(columns.volunteer, return_inverse=True)
    asked, them = field.requests, field.volunteers
    _, caps = them.caps.expand(volunteers)
    counts = them.caps.count(volunteers)
    return Part(
        requests=requests,
        volunteers=volunteers,
        request=request,
        volunteer=volunteer,
        start=columns.start,
        value=columns.value,
        load=asked.load[columns.request],
        carers=asked.carers[requests],
        minutes=asked.minutes[requests],
        blocks=asked.blocks[requests],
        spot=asked.spot[requests],
        caps=Spread(np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])),
        cap_start=them.cap_start[caps],
        cap_end=them.cap_end[caps],
        cap_load=them.cap_minutes[caps],
        further=field.instance.weights.further,
        ground=field.ground,
    )
