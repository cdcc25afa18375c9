"""A stretch of time between two moments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Period:
    """A half-open stretch of time, both ends aware."""

    start: datetime
    end: datetime

    def overlaps(self, other: Period) -> bool:
        """Tell whether two periods share a moment."""
        return self.start < other.end and other.start < self.end

    def covers(self, other: Period) -> bool:
        """Tell whether ``other`` lies wholly inside."""
        return self.start <= other.start and other.end <= self.end
