"""Words of the counter page, from its message catalogues."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pointsbank.platform.messages import Catalogues


@cache
def words() -> Catalogues:
    """Return the counter's catalogues, read once."""
    return Catalogues(Path(__file__).parent / "locale")
