"""The circuit to a partner: who does not answer is left alone for a while, then asked once.

::

    closed ──FAILURES_MAX in a row──► open ──its pause is over──► half open: one call may try
      ▲                                ▲                            │          │
      │                                └──────────it failed─────────┘          │
      └───────────────────────────────it answered──────────────────────────────┘

Only a partner that could not be asked, or did not answer as agreed, fails: a refusal is an answer. (Nygard,
Release It!, ch. 5: circuit breaker.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

FAILURES_MAX = 5
"""Failures in a row that open the circuit."""

PAUSE_MIN = timedelta(seconds=5)
PAUSE_MAX = timedelta(minutes=2)
"""How long nobody calls: twice as long after each trial that failed, between these."""

TRIAL_SECONDS_MAX = timedelta(seconds=20)
"""After this long the one who was to try is taken to have died, and another may."""


class CircuitState(StrEnum):
    """Whether a partner is called."""

    CLOSED = "closed"  # as usual
    OPEN = "open"  # nobody calls
    HALF_OPEN = "half_open"  # one call is under way, as a trial


@dataclass(frozen=True, slots=True)
class Circuit:
    """failures: in a row, since the last answer. openings: pauses in a row. next_call_at: None if closed."""

    state: CircuitState = CircuitState.CLOSED
    failures: int = 0
    openings: int = 0
    next_call_at: datetime | None = None

    @property
    def untroubled(self) -> bool:
        """Whether there is nothing to remember."""
        return self == Circuit()

    def admit(self, now: datetime) -> Circuit | None:
        """Return the circuit with a call on its way, or None where nobody may call yet."""
        if self.next_call_at is None:
            return self
        if now < self.next_call_at:
            return None
        return replace(self, state=CircuitState.HALF_OPEN, next_call_at=now + TRIAL_SECONDS_MAX)

    def answered(self) -> Circuit:
        """Return the circuit after an answer, whatever it said."""
        return Circuit()

    def failed(self, now: datetime) -> Circuit:
        """Return the circuit after a call that failed. A late failure while it is open changes nothing."""
        if self.state is CircuitState.OPEN:
            return self
        failures = self.failures + 1
        if self.state is CircuitState.CLOSED and failures < FAILURES_MAX:
            return replace(self, failures=failures)
        pause = min(PAUSE_MAX, PAUSE_MIN * 2 ** min(self.openings, 16))
        return Circuit(CircuitState.OPEN, failures, self.openings + 1, now + pause)
