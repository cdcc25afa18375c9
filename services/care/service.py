"""The door of the care room: help requests, visits, and what comes after them.

Locks are taken in one order: request, visit, complaint, the volunteer's person row, the journal.
"""

from __future__ import annotations

from services.care.aftercare.appeals import appeal, decide_appeal
from services.care.aftercare.complaints import complain, complaints, decide, hear
from services.care.aftercare.feedback import (
    feedback_on,
    give_feedback,
    pair_history,
    reliability,
    without_feedback,
)
from services.care.aftercare.sanctions import barred, sanctions_of
from services.care.attending import check_in, check_out, nobody_home
from services.care.backfill import backfill
from services.care.confirming import confirm, earned_so_far
from services.care.door.codes import DoorCode, begin_attempt, door_code, issue_card
from services.care.requests import (
    ask,
    board,
    cancel_request,
    expire_requests,
    lock_open_requests,
    mark_offered,
    mark_offered_many,
    reopen,
    reopen_offered,
    request,
    requests_by_id,
    requests_in,
    requests_of_elder,
)
from services.care.settling import excuse_no_show, put_right, settle_overlap, unsettled_visits
from services.care.views import AskForHelp, Backfill, BoardLine, Promise, RequestInfo, VisitInfo
from services.care.visits import (
    cancel_visit,
    plan_visit,
    promises,
    visit,
    visits_of_elder,
    visits_of_volunteer,
    visits_to_confirm,
)

__all__ = [
    "AskForHelp",
    "Backfill",
    "BoardLine",
    "DoorCode",
    "Promise",
    "RequestInfo",
    "VisitInfo",
    "appeal",
    "ask",
    "backfill",
    "barred",
    "begin_attempt",
    "board",
    "cancel_request",
    "cancel_visit",
    "check_in",
    "check_out",
    "complain",
    "complaints",
    "confirm",
    "decide",
    "decide_appeal",
    "door_code",
    "earned_so_far",
    "excuse_no_show",
    "expire_requests",
    "feedback_on",
    "give_feedback",
    "hear",
    "issue_card",
    "lock_open_requests",
    "mark_offered",
    "mark_offered_many",
    "nobody_home",
    "pair_history",
    "plan_visit",
    "promises",
    "put_right",
    "reliability",
    "reopen",
    "reopen_offered",
    "request",
    "requests_by_id",
    "requests_in",
    "requests_of_elder",
    "sanctions_of",
    "settle_overlap",
    "unsettled_visits",
    "visit",
    "visits_of_elder",
    "visits_of_volunteer",
    "visits_to_confirm",
    "without_feedback",
]
