"""The form of a pairing run: all of it there and back, the same bytes, and faults by their path."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.grid import SmallGrid, default_grid_plan, grid_plan
from pointsbank.domain.pairing.form import canonical, read_instance, written_instance
from pointsbank.domain.pairing.instance import Cap, Instance, Promise, Request, Spot, Stretch, Volunteer
from pointsbank.domain.pairing.plan import (
    Alternative,
    Change,
    How,
    PartOfPlan,
    Plan,
    PlannedVisit,
    Smallest,
    Unpaired,
)
from pointsbank.domain.pairing.plan_form import read_parts, read_plan, written_plan
from pointsbank.domain.pairing.rules import Blocked
from pointsbank.domain.pairing.value import Term
from pointsbank.domain.pairing.weights import Weights

GRIDS = (
    default_grid_plan(),
    grid_plan([SmallGrid(7, 1)], []),
    grid_plan([SmallGrid(3, 2), SmallGrid(1, 1)], [(3, 1)]),
)
minutes = st.integers(-5_000, 20_000)
words = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=6
)
counts = st.integers(0, 500)


@st.composite
def instances(draw: st.DrawFn) -> Instance:
    grids = draw(st.sampled_from(GRIDS))
    numbers = st.sampled_from(sorted(grids.small_grids))
    metres = st.integers(-5_000, 5_000)
    spots = st.builds(Spot, numbers) | st.builds(Spot, numbers, metres, metres)

    def request(at: int) -> Request:
        length = draw(st.integers(1, 300))
        return Request(
            id=f"{at}{draw(words)}",
            elder=draw(st.just("") | words),
            spot=draw(spots),
            minutes=length,
            starts=tuple(sorted(draw(st.sets(minutes, min_size=1, max_size=4)))),
            preferred=draw(minutes),
            blocks=length + draw(counts),
            urgency=draw(st.integers(0, 3)),
            waited=draw(counts),
            carers=draw(st.integers(1, 2)),
            kind=draw(st.just("") | words),
            skills=frozenset(draw(st.sets(words, max_size=3))),
            gender=draw(st.none() | words),
            gender_hard=draw(st.booleans()),
            language=draw(st.none() | words),
            same_carer=draw(st.booleans()),
            excluded=frozenset(draw(st.sets(words, max_size=3))),
            known=draw(st.dictionaries(words, counts, max_size=2)),
            promised=draw(st.dictionaries(words, minutes, max_size=2)),
        )

    def volunteer(at: int) -> Volunteer:
        ends = sorted(draw(st.sets(minutes, max_size=6)))
        promises = st.builds(
            lambda start, length, spot: Promise(start, start + length, spot),
            minutes,
            counts.map(lambda n: n + 1),
            spots,
        )
        return Volunteer(
            id=f"{at}{draw(words)}",
            home=draw(spots),
            grids=frozenset(draw(st.sets(numbers))),
            free=tuple(Stretch(one, other) for one, other in zip(ends[::2], ends[1::2], strict=False)),
            busy=tuple(draw(st.lists(promises, max_size=2))),
            caps=tuple(draw(st.lists(st.builds(Cap, minutes, minutes, minutes), max_size=2))),
            skills=draw(st.dictionaries(words, st.none() | minutes, max_size=3)),
            gender=draw(st.none() | words),
            languages=frozenset(draw(st.sets(words, max_size=2))),
            recent=draw(counts),
            visits=draw(counts),
            reliability=draw(st.integers(0, 1_000)),
        )

    return Instance(
        origin=draw(st.sampled_from(["2026-03-02T00:00:00+08:00", "2026-03-01T16:00:00Z"])),
        grids=grids,
        weights=Weights(keep=draw(counts), serve=(1, 2, 3, draw(counts))),
        requests=tuple(request(at) for at in range(draw(st.integers(0, 3)))),
        volunteers=tuple(volunteer(at) for at in range(draw(st.integers(0, 3)))),
        scarce=frozenset(draw(st.sets(words, max_size=3))),
    )


@settings(max_examples=60, deadline=None)
@given(instances())
def test_an_instance_comes_back_whole_from_its_bytes(instance: Instance) -> None:
    told = canonical(written_instance(instance))
    again = read_instance(json.loads(told))
    assert again == instance
    assert canonical(written_instance(again)) == told


def test_the_order_of_sets_and_names_does_not_change_the_bytes() -> None:
    one = Volunteer("v", Spot(1), frozenset({1, 9, 5}), (), skills={"b": 1, "a": None})
    other = Volunteer("v", Spot(1), frozenset({5, 9, 1}), (), skills={"a": None, "b": 1})
    told = [
        canonical(written_instance(Instance("2026-03-02T00:00:00+08:00", GRIDS[0], Weights(), (), (each,))))
        for each in (one, other)
    ]
    assert told[0] == told[1]
    assert canonical({"b": {3, 1}, "a": "陪伴"}) == '{"a":"陪伴","b":[1,3]}'.encode()


PLAN = Plan(
    visits=(
        PlannedVisit("r", "v", 540, 990, {Term.SERVE: 1_000, Term.METRES: -10}),
        PlannedVisit("s", "w", 600, 900, {Term.SERVE: 900}, Alternative("v", 615, 880, "r")),
    ),
    unpaired=(Unpaired("t", {Blocked.CAP: 2}, 1, Change(Smallest.OTHER_TIME, -15, 1)),),
    worth=1_850,
    bound=1_900,
    kept=1,
    moved=0,
    parts=(PartOfPlan(3, 2, 9, 1_850, 1_900, How.STOPPED, 4),),
)


def test_a_plan_comes_back_whole_from_its_bytes() -> None:
    told = json.loads(canonical(written_plan(PLAN)))
    assert read_plan(told) == PLAN
    assert read_parts(told) == PLAN.parts


@pytest.mark.parametrize(
    ("place", "value", "field", "rule"),
    [
        (("parts", 0, "how"), "luck", "parts[0].how", "known_value"),
        (("visits", 1, "alternative", "start"), 1.5, "visits[1].alternative.start", "whole_number"),
        (("visits", 0, "terms"), {"charm": 1}, "visits[0].terms", "known_value"),
        (("unpaired", 0, "change", "why"), "", "unpaired[0].change.why", "unknown_field"),
        (("worth",), None, "worth", "missing"),
    ],
)
def test_a_wrong_plan_is_refused_by_its_path(
    place: tuple[Any, ...], value: object, field: str, rule: str
) -> None:
    document: Any = json.loads(canonical(written_plan(PLAN)))
    into = document
    for step in place[:-1]:
        into = into[step]
    into[place[-1]] = value
    with pytest.raises(InvalidValue) as refused:
        read_plan(document)
    assert (refused.value.field, refused.value.rule) == (field, rule)


def by_hand(
    request: dict[str, Any] | None = None, volunteer: dict[str, Any] | None = None, **rest: Any
) -> dict[str, Any]:
    return {
        "requests": [{"id": "r", "minutes": 60, "start": "2026-03-02T09:00"} | (request or {})],
        "volunteers": [{"id": "v", "free": [["2026-03-02 08:00", "2026-03-02 12:00"]]} | (volunteer or {})],
        **rest,
    }


def test_what_people_write_begins_at_its_first_midnight_in_one_grid() -> None:
    read = read_instance(by_hand())
    assert read.origin.startswith("2026-03-02T00:00:00")
    assert read.requests[0] == Request("r", "", Spot(1), 60, (540,), 540, 60)
    assert read.volunteers[0] == Volunteer("v", Spot(1), frozenset({1}), (Stretch(480, 720),))
    assert len(read.grids.small_grids) == 1
    assert len(read_instance(by_hand({"grid": 3}, {"grid": 4})).grids.small_grids) == 16


def test_a_window_has_a_start_each_quarter_and_a_slot_blocks_its_hours() -> None:
    window = {"start": None, "earliest": "09:00", "latest": "10:00"}
    assert read_instance(by_hand(window)).requests[0].starts == (540, 555, 570, 585, 600)
    slot = {"start": None, "slot": "morning", "day": "2026-03-03"}
    read = read_instance(by_hand(slot, origin="2026-03-02")).requests[0]
    assert (read.starts, read.blocks) == ((1_440 + 480,), 210)


def test_a_time_with_an_offset_is_told_against_the_origins() -> None:
    read = read_instance(by_hand({"start": "2026-03-02T01:00:00Z"}, origin="2026-03-02T00:00:00+08:00"))
    assert read.requests[0].starts == (540,)


def test_free_time_that_touches_is_joined_and_a_proof_holds_to_the_end_of_its_day() -> None:
    hours = [["10:00", "12:00"], {"start": 480, "end": 600}, ["14:00", "15:00"]]
    read = read_instance(by_hand(None, {"free": hours, "skills": {"nursing": "2026-03-02"}})).volunteers[0]
    assert read.free == (Stretch(480, 720), Stretch(840, 900))
    assert read.skills == {"nursing": 1_440}


def test_scarce_skills_are_reckoned_unless_told() -> None:
    needing = {"skills": ["nursing"]}
    assert read_instance(by_hand(needing)).scarce == {"nursing"}
    assert read_instance(by_hand(needing, scarce=[])).scarce == frozenset()


@pytest.mark.parametrize(
    ("document", "field", "rule"),
    [
        (by_hand({"minutes": None}), "requests[0].minutes", "missing"),
        (by_hand({"minutes": True}), "requests[0].minutes", "whole_number"),
        (by_hand({"minutes": 0}), "requests[0].minutes", "at_least_1_and_within_blocks"),
        (by_hand({"start": "tomorrow"}), "requests[0].start", "local_moment"),
        (by_hand({"start": "2026-03-02T09:00:30"}), "requests[0].start", "whole_minutes"),
        (by_hand({"start": None}), "requests[0].start", "missing"),
        (by_hand({"start": 10**12}), "requests[0].start", "too_large"),
        (by_hand({"starts": []}), "requests[0].starts", "1_to_200_ascending"),
        (by_hand({"start": None, "slot": "teatime"}), "requests[0].slot", "known_value"),
        (by_hand({"colour": "red"}), "requests[0].colour", "unknown_field"),
        (by_hand({"id": "\ud800"}), "requests[0].id", "printable"),
        (by_hand({"spot": {"grid": 99}}), "requests[0].spot.grid", "known_grid"),
        (by_hand({"east": 4}), "requests[0].spot", "both_coordinates"),
        (by_hand(None, {"free": [["12:00", "08:00"]]}), "volunteers[0].free[0].end", "after_start"),
        (by_hand(None, {"free": "08:00"}), "volunteers[0].free", "list"),
        (by_hand(None, {"reliability": 2_000}), "volunteers[0].reliability", "between_0_and_1000"),
        (by_hand(weights={"charm": 1}), "weights.charm", "unknown_field"),
        (by_hand(weights={"serve": [1]}), "weights.serve", "four_numbers"),
        (by_hand(extra=1), "extra", "unknown_field"),
        ([], "document", "object"),
    ],
)
def test_a_wrong_document_is_refused_by_its_path(document: Any, field: str, rule: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        read_instance(document)
    assert (refused.value.field, refused.value.rule) == (field, rule)
