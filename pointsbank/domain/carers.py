"""A request's places, and what its visits say of it: some kinds of help need two volunteers."""

from __future__ import annotations

from collections.abc import Sequence

from pointsbank.domain.help_request import RequestState
from pointsbank.domain.visit import GIVEN_UP, VisitState

CARERS_MAX = 2

ENDED = frozenset({RequestState.CANCELLED, RequestState.EXPIRED, RequestState.POSTED})
BEGUN = frozenset(
    {
        VisitState.UNDER_WAY,
        VisitState.MISSING,
        VisitState.DONE,
        VisitState.DISPUTED,
        VisitState.CONFIRMED,
    }
)
NOT_OVER = frozenset({VisitState.PLANNED, VisitState.UNDER_WAY, VisitState.MISSING})


def request_after(state: RequestState, visits: Sequence[VisitState], *, carers: int) -> RequestState:
    """Return where a request stands by its visits.

    Accepted when every place is taken, under way from the first check-in, done when nobody is expected or
    there any longer, posted when all are confirmed. A place that is given up before anybody came opens the
    request again; when nobody was at home, or what was done did not stand, it is over. visits: the states of
    all that were ever planned for it.
    """
    taking = [each for each in visits if each not in GIVEN_UP]
    if any(each in BEGUN for each in taking):
        if state is RequestState.CANCELLED and VisitState.DONE in taking:
            return RequestState.DONE  # an appeal has brought its visit back
        if state in ENDED:
            return state
        if any(each in NOT_OVER for each in taking):
            return RequestState.UNDER_WAY
        if all(each is VisitState.CONFIRMED for each in taking):
            return RequestState.POSTED
        return RequestState.DONE
    if state in ENDED:
        return state
    if len(taking) >= carers:
        return RequestState.ACCEPTED
    if VisitState.NO_SHOW_ELDER in visits or state in (RequestState.UNDER_WAY, RequestState.DONE):
        return RequestState.CANCELLED
    return RequestState.OPEN if state is RequestState.ACCEPTED else state


def free_place(taken: Sequence[int], *, carers: int) -> int | None:
    """Return the lowest place that is free, from 1; None: all are taken."""
    return next((place for place in range(1, carers + 1) if place not in taken), None)
