"""The door of the care room: help requests and visits.

Locks are taken in one order: request, visit, the volunteer's person row, the journal.
"""

from __future__ import annotations

from services.care.requests import (
    ask,
    board,
    cancel_request,
    expire_requests,
    lock_open_requests,
    lock_request,
    mark_offered,
    mark_offered_many,
    reopen,
    reopen_offered,
    request,
    requests_by_id,
    requests_in,
    requests_of_elder,
)
from services.care.views import AskForHelp, BoardLine, Promise, RequestInfo, VisitInfo
from services.care.visits import (
    cancel_visit,
    check_in,
    check_out,
    confirm,
    earned_so_far,
    plan_visit,
    promises,
    visit,
    visits_of_elder,
    visits_of_volunteer,
    visits_to_confirm,
)

__all__ = [
    "AskForHelp",
    "BoardLine",
    "Promise",
    "RequestInfo",
    "VisitInfo",
    "ask",
    "board",
    "cancel_request",
    "cancel_visit",
    "check_in",
    "check_out",
    "confirm",
    "earned_so_far",
    "expire_requests",
    "lock_open_requests",
    "lock_request",
    "mark_offered",
    "mark_offered_many",
    "plan_visit",
    "promises",
    "reopen",
    "reopen_offered",
    "request",
    "requests_by_id",
    "requests_in",
    "requests_of_elder",
    "visit",
    "visits_of_elder",
    "visits_of_volunteer",
    "visits_to_confirm",
]
