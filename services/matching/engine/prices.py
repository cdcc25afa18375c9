"""What no plan can exceed, proved by prices.

Any prices of rows (at least 0 where a row is an inequality) prove a bound by weak duality: the prices of all
right sides, and for every column what it is worth above the prices of its rows. Prices come from the
solver in floating point; here they are rounded to whole parts of ``SCALE`` and the bound is reckoned in
integers, so that it holds however inexact they were.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.matching.engine.arrays import Floats, Ints
from services.matching.engine.parts import Part
from services.matching.engine.rows import Rows

SCALE = 1 << 14


@dataclass(frozen=True, slots=True)
class Bound:
    """``bound``: no plan of the part is worth more; ``scaled``: the same in ``SCALE``ths, before rounding.

    rest: by column, what it is worth less its prices, in ``SCALE``ths.
    """

    bound: int
    scaled: int
    rest: Ints


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices in ``SCALE``ths. row: by row. paid: by column of the rows, choices and rests after them."""

    row: Ints
    paid: Ints


def bound_by(part: Part, rows: Rows, prices: Floats) -> Bound:
    """Return the bound that prices, one a row, prove."""
    paid = paid_by(part, rows, prices)
    return proved(part, rows, paid, part.value * SCALE - paid.paid[: len(part)])


def paid_by(part: Part, rows: Rows, prices: Floats) -> Prices:
    """Return whole prices that prove something, and what every column pays."""
    whole = np.rint(prices * SCALE).astype(np.int64)
    whole = np.where(rows.equal, whole, np.maximum(whole, 0))
    # A rest is unbounded: a price above its cost would make the bound endless.
    whole[rows.rest_row] = np.minimum(whole[rows.rest_row], part.further * SCALE)
    row = np.repeat(np.arange(len(rows)), np.diff(rows.start))
    paid = np.zeros(len(part) + rows.choices + rows.rests, np.int64)
    np.add.at(paid, rows.column, rows.coefficient * whole[row])
    return Prices(whole, paid)


def proved(part: Part, rows: Rows, prices: Prices, rest: Ints) -> Bound:
    """Return what prices prove. part: whose rows they are; rest: of every column that there is."""
    choices = -prices.paid[len(part) : len(part) + rows.choices]
    scaled = int((rows.right * prices.row).sum())
    scaled += int(np.maximum(rest, 0).sum()) + int(np.maximum(choices, 0).sum())
    return Bound(scaled // SCALE, scaled, rest)
