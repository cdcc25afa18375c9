"""What volunteers say of themselves, by the rules of the policy."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from pointsbank.domain.availability import (
    Limits,
    Skill,
    VolunteerRules,
    grids_near,
    parse_volunteer_rules,
    require_languages,
    require_proof,
    require_skills,
)
from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.grid import default_grid_plan
from pointsbank.domain.language import LANGUAGES, TAISHAN
from pointsbank.domain.policy import DEFAULT_POLICY, parse_policy

TODAY = date(2026, 3, 2)
RULES = VolunteerRules(day_minutes=480, week_minutes=2_400, proven_skills=frozenset({"repair"}))
SEEN = datetime(2026, 3, 1, tzinfo=UTC)


def test_a_wish_lowers_what_the_policy_says_and_never_raises_it() -> None:
    assert Limits().under(RULES) == (480, 2_400)
    assert Limits(60, 300).under(RULES) == (60, 300)
    assert Limits(1_000, 10_000).under(RULES) == (480, 2_400)


@pytest.mark.parametrize("limits", [(0, None), (1_441, None), (None, 0), (None, 10_081), (True, None)])
def test_a_limit_is_a_part_of_its_day_or_week(limits: tuple[int | None, int | None]) -> None:
    with pytest.raises(InvalidValue):
        Limits(*limits)


def test_a_skill_that_needs_proof_counts_once_somebody_has_seen_it() -> None:
    assert Skill("haircut").counts(RULES, TODAY)
    told = Skill("repair", proof="T4407")
    assert not told.counts(RULES, TODAY)
    assert replace(told, verified_by=UUID(int=1), verified_at=SEEN).counts(RULES, TODAY)


def test_a_skill_holds_to_the_end_of_its_last_day() -> None:
    skill = Skill("haircut", valid_until=TODAY)
    assert skill.counts(RULES, TODAY)
    assert not skill.counts(RULES, TODAY + timedelta(days=1))


def test_grids_near_home_are_those_of_its_big_grid_and_those_that_touch_it_and_nearness_is_mutual() -> None:
    plan = default_grid_plan()
    assert grids_near(6, plan) == {5, 6, 7, 8, 2, 10}
    for home in plan.small_grids:
        assert all(home in grids_near(other, plan) for other in grids_near(home, plan))


@pytest.mark.parametrize("languages", [["yue", "cmn", "yue-x-taishan"], ["zh-hant-hk"], []])
def test_languages_are_codes(languages: list[str]) -> None:
    require_languages(languages)


@pytest.mark.parametrize(
    "languages",
    [["粤语"], ["Y"], ["yue "], ["yue-x"], ["x-taishan"], ["a" * 21], ["yue"] * 21],
)
def test_what_is_no_language_code_is_refused(languages: list[str]) -> None:
    with pytest.raises(InvalidValue) as refused:
        require_languages(languages)
    assert refused.value.field == "languages"


def test_skills_and_proofs_are_short_texts() -> None:
    assert require_proof(" T4407 ") == "T4407"
    for proof in (" ", "a" * 201, "a\0"):
        with pytest.raises(InvalidValue, match="proof"):
            require_proof(proof)
    for skills in ([" "], ["a" * 41], ["repair"] * 21):
        with pytest.raises(InvalidValue, match="skills"):
            require_skills(skills)


def test_a_policy_of_before_gets_the_usual_rules_for_volunteers_and_pairing() -> None:
    older = {name: part for name, part in DEFAULT_POLICY.items() if name not in ("volunteers", "pairing")}
    now, then = parse_policy(2, TODAY, DEFAULT_POLICY), parse_policy(1, TODAY, older)
    assert (then.volunteers, then.pairing) == (now.volunteers, now.pairing)


@pytest.mark.parametrize(
    ("section", "field"),
    [
        ({"day_minuts": 60}, "volunteers.day_minuts"),
        ({"day_minutes": 0}, "day_minutes"),
        ({"week_minutes": 10_081}, "week_minutes"),
        ({"urgent_offer_minutes": 1.5}, "urgent_offer_minutes"),
        ({"proven_skills": "repair"}, "proven_skills"),
        ({"proven_skills": [" "]}, "skills"),
    ],
)
def test_a_rule_that_is_wrong_is_named(section: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_volunteer_rules(section)
    assert refused.value.field == field


def test_the_weights_of_pairing_are_a_section_of_the_policy() -> None:
    body = {**DEFAULT_POLICY, "pairing": {"newcomer": 7}}
    assert parse_policy(1, TODAY, body).pairing.newcomer == 7
    with pytest.raises(InvalidValue, match="unknown_field"):
        parse_policy(1, TODAY, {**DEFAULT_POLICY, "pairing": {"newcomers": 7}})


def test_the_dialect_of_taishan_is_a_private_part_of_cantonese_and_not_the_code_of_another_people() -> None:
    assert "toi" not in LANGUAGES
    assert TAISHAN in LANGUAGES
    language, private, name = TAISHAN.partition("-x-")
    assert (language, private, name) == ("yue", "-x-", "taishan")
