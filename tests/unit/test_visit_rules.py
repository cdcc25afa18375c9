"""What a policy says of visits, and what follows from it: tiers, places, reliability, evidence, codes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from pointsbank.domain.attendance import AttendanceMethod, Proof, evidence
from pointsbank.domain.backfill import BackfillLimit, Barred, require_backfill
from pointsbank.domain.carers import free_place, request_after
from pointsbank.domain.complaint import require_judge
from pointsbank.domain.confirming import CoordinatorNeeded, completes
from pointsbank.domain.decision import ConcernsOneself, SecondPersonNeeded
from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.points import Minutes
from pointsbank.domain.policy import DEFAULT_POLICY, parse_policy
from pointsbank.domain.reliability import Kept, reliability_of
from pointsbank.domain.visit import ConfirmationMethod, VisitState, late_minutes
from pointsbank.domain.visit_rules import (
    CONSEQUENCES,
    BarKind,
    Ground,
    VisitRules,
    parse_visit_rules,
)
from pointsbank.platform.rotating_code import code_at, matching_step, step_at

ELDER, FAMILY, COORDINATOR, WITNESS = (
    ConfirmationMethod.ELDER,
    ConfirmationMethod.FAMILY,
    ConfirmationMethod.COORDINATOR,
    ConfirmationMethod.WITNESS,
)
PLANNED, UNDER_WAY, DONE, CONFIRMED = (
    VisitState.PLANNED,
    VisitState.UNDER_WAY,
    VisitState.DONE,
    VisitState.CONFIRMED,
)
CANCELLED, NO_SHOW = VisitState.CANCELLED, VisitState.NO_SHOW_VOLUNTEER
NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


def test_a_policy_of_an_earlier_form_has_the_default_rules_of_visits() -> None:
    older = {name: part for name, part in DEFAULT_POLICY.items() if name != "visits"}
    assert parse_policy(1, date(2026, 1, 1), older).visits == VisitRules()
    assert parse_policy(1, date(2026, 1, 1), DEFAULT_POLICY).visits == VisitRules()


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"late_grace": 5}, "visits.late_grace"),
        ({"pairs_a_day": 0}, "pairs_a_day"),
        ({"pairs_a_day": True}, "pairs_a_day"),
        ({"code_seconds": 10}, "code_seconds"),
        ({"at_once_minutes": 600, "coordinator_minutes": 480}, "coordinator_minutes"),
        ({"consequences": {"rude": {}}}, "visits.consequences.rude"),
        ({"consequences": {"conduct": {"reverse": 1}}}, "reverse"),
        ({"consequences": {"conduct": {"reverse": True, "bar": "life"}}}, "bar"),
        ({"consequences": {"conduct": {"reverse": True, "bar": "service"}}}, "days"),
        ([], "visits"),
    ],
)
def test_a_wrong_rule_is_named(told: Any, field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_visit_rules(told)
    assert refused.value.field == field


def test_a_false_record_cancels_its_hours_and_bars_backfill_for_a_year_unless_a_policy_says_otherwise() -> (
    None
):
    rule = VisitRules().consequences[Ground.FALSE_RECORD]
    assert (rule.reverse, rule.bar, rule.days) == (True, BarKind.BACKFILL, 365)
    milder = parse_visit_rules(
        {"consequences": {"false_record": {"reverse": True, "bar": "backfill", "days": 30}}}
    )
    assert milder.consequences[Ground.FALSE_RECORD].days == 30
    assert milder.consequences[Ground.CONDUCT] == CONSEQUENCES[Ground.CONDUCT]


@pytest.mark.parametrize(("minutes", "tier"), [(1, 1), (480, 1), (481, 2), (720, 2), (721, 3), (1440, 3)])
def test_the_tier_of_a_visit_follows_its_length(minutes: int, tier: int) -> None:
    assert VisitRules().tier(Minutes(minutes)) == tier


@pytest.mark.parametrize(
    ("tier", "first", "method", "complete"),
    [
        (1, None, WITNESS, True),
        (2, None, ELDER, False),
        (2, None, COORDINATOR, False),
        (2, ELDER, COORDINATOR, True),
        (2, COORDINATOR, FAMILY, True),
        (2, COORDINATOR, COORDINATOR, True),
        (3, None, COORDINATOR, False),
        (3, COORDINATOR, COORDINATOR, True),
    ],
)
def test_long_visits_take_a_coordinator_and_very_long_ones_two(
    tier: int, first: ConfirmationMethod | None, method: ConfirmationMethod, complete: bool
) -> None:
    assert completes(tier, first, method) is complete


@pytest.mark.parametrize(
    ("tier", "first", "method"), [(2, ELDER, WITNESS), (3, None, ELDER), (3, COORDINATOR, ELDER)]
)
def test_a_confirmation_that_brings_a_visit_no_further_is_refused(
    tier: int, first: ConfirmationMethod | None, method: ConfirmationMethod
) -> None:
    with pytest.raises(CoordinatorNeeded):
        completes(tier, first, method)


def test_a_check_in_is_late_only_beyond_the_grace_and_then_by_all_of_it() -> None:
    at = [late_minutes(NOW, NOW + timedelta(minutes=late), grace=Minutes(10)) for late in (-30, 10, 11, 300)]
    assert at == [0, 0, 11, 300]


@pytest.mark.parametrize(
    ("before", "visits", "after"),
    [
        (RequestState.OFFERED, [PLANNED], RequestState.OFFERED),
        (RequestState.OFFERED, [PLANNED, PLANNED], RequestState.ACCEPTED),
        (RequestState.ACCEPTED, [PLANNED, CANCELLED], RequestState.OPEN),
        (RequestState.ACCEPTED, [PLANNED, UNDER_WAY], RequestState.UNDER_WAY),
        (RequestState.UNDER_WAY, [PLANNED, DONE], RequestState.UNDER_WAY),
        (RequestState.UNDER_WAY, [NO_SHOW, DONE], RequestState.DONE),
        (RequestState.UNDER_WAY, [CONFIRMED, VisitState.MISSING], RequestState.UNDER_WAY),
        (RequestState.DONE, [CONFIRMED, DONE], RequestState.DONE),
        (RequestState.DONE, [CONFIRMED, VisitState.DISPUTED], RequestState.DONE),
        (RequestState.DONE, [CONFIRMED, CONFIRMED], RequestState.POSTED),
        (RequestState.DONE, [CONFIRMED, CANCELLED], RequestState.POSTED),
        (RequestState.DONE, [CANCELLED, CANCELLED], RequestState.CANCELLED),
        (RequestState.ACCEPTED, [NO_SHOW, NO_SHOW], RequestState.OPEN),
        (RequestState.ACCEPTED, [VisitState.NO_SHOW_ELDER, PLANNED], RequestState.CANCELLED),
        (RequestState.CANCELLED, [CANCELLED, CANCELLED], RequestState.CANCELLED),
        (RequestState.CANCELLED, [DONE, CANCELLED], RequestState.DONE),
        (RequestState.EXPIRED, [PLANNED], RequestState.EXPIRED),
    ],
)
def test_a_request_stands_where_its_two_visits_say(
    before: RequestState, visits: list[VisitState], after: RequestState
) -> None:
    assert request_after(before, visits, carers=2) is after


def test_the_lowest_free_place_is_taken() -> None:
    assert [free_place(taken, carers=2) for taken in ([], [1], [2], [1, 2])] == [1, 2, 1, None]


def test_reliability_is_a_newcomers_thousand_and_falls_with_what_was_not_kept() -> None:
    rules = VisitRules()
    assert reliability_of(Kept(), rules) == 1_000
    assert reliability_of(Kept(in_time=8), rules) == 1_000
    assert reliability_of(Kept(no_show=1), rules) == 666
    assert reliability_of(Kept(in_time=6, late=1, no_show=1), rules) == 870
    assert reliability_of(Kept(no_show=8), rules) == 200
    assert reliability_of(Kept(withdrawn=1), rules) == 800
    assert reliability_of(Kept(in_time=1, withdrawn=1), VisitRules(withdrawn_permille=0)) == 750


def test_a_visit_known_by_the_volunteers_word_alone_is_worth_one_less_to_audit() -> None:
    code, plain = AttendanceMethod.CODE, AttendanceMethod.PLAIN
    assert [evidence(4, [code, code]), evidence(4, [code, plain]), evidence(1, [plain, plain])] == [4, 3, 1]
    assert evidence(2, [None, None]) == 2


def test_a_proof_never_shows_its_secret() -> None:
    assert "287082" not in repr(Proof(AttendanceMethod.CODE, "287082"))


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_codes_are_those_of_rfc_6238(seconds: int, code: str) -> None:
    """Appendix B, SHA-1, the last six of its eight digits."""
    step = step_at(datetime.fromtimestamp(seconds, UTC), seconds=30)
    secret = b"12345678901234567890"
    assert code_at(secret, step) == code
    assert matching_step(secret, code, (step - 1, step)) == step
    assert matching_step(secret, code, (step + 1, step + 2)) is None
    assert matching_step(secret, "６" * 6, (step,)) is None


def test_past_visits_are_recorded_within_the_days_the_number_and_no_bar() -> None:
    rules = VisitRules()
    fit: dict[str, Any] = {"ended_at": NOW - timedelta(days=14), "now": NOW, "this_month": 1}
    require_backfill(rules, **fit, barred_until=None)
    require_backfill(rules, **fit, barred_until=NOW)
    with pytest.raises(Barred):
        require_backfill(rules, **fit, barred_until=NOW + timedelta(seconds=1))
    with pytest.raises(BackfillLimit):
        require_backfill(rules, **(fit | {"this_month": 2}), barred_until=None)
    for ended in (NOW - timedelta(days=14, seconds=1), NOW + timedelta(seconds=1)):
        with pytest.raises(InvalidValue):
            require_backfill(rules, **(fit | {"ended_at": ended}), barred_until=None)


def test_nobody_judges_what_they_have_a_part_in() -> None:
    volunteer, complainant, judge = (UUID(int=number) for number in range(3))
    require_judge(judge, parties=(volunteer,), others=(complainant, None))
    with pytest.raises(ConcernsOneself):
        require_judge(volunteer, parties=(volunteer,), others=(complainant,))
    with pytest.raises(SecondPersonNeeded):
        require_judge(complainant, parties=(volunteer,), others=(complainant,))
