"""A pairing run told in sentences and on a map."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from api.web.pairing_map import draw
from api.web.pairing_words import nearness, tell
from api.web.words import Words
from pointsbank.domain.grid import default_grid_plan
from pointsbank.domain.pairing.instance import Instance, Request, Spot, Stretch, Volunteer
from pointsbank.domain.pairing.weights import Weights
from services.matching.engine.run import plan_by_greed
from tests.unit.pairing.days import day

NAMES = {"li": "李阿姨", "he": "何伯", "chen": "陈志愿", "wong": "黄志愿"}


def words(locale: str = "zh_CN") -> Words:
    return Words(locale, timezone="Asia/Shanghai", today=date(2026, 3, 4))


def shopping(**changed: object) -> Request:
    asked = Request(
        id="r1",
        elder="li",
        spot=Spot(1),
        minutes=45,
        starts=(570,),
        preferred=570,
        blocks=45,
        kind="shopping",
        language="yue",
        known={"chen": 3},
    )
    return replace(asked, **changed)  # type: ignore[arg-type]


def volunteer(name: str, **changed: object) -> Volunteer:
    free = Volunteer(
        id=name,
        home=Spot(1),
        grids=frozenset({1, 2}),
        free=(Stretch(480, 720),),
        languages=frozenset({"yue"}),
        visits=5,
    )
    return replace(free, **changed)  # type: ignore[arg-type]


def instance(requests: tuple[Request, ...], volunteers: tuple[Volunteer, ...]) -> Instance:
    return Instance("2026-03-04T00:00:00+08:00", default_grid_plan(), Weights(), requests, volunteers)


def told(given: Instance, locale: str = "zh_CN"):  # type: ignore[no-untyped-def]
    return tell(words(locale), given, plan_by_greed(given), NAMES)


def test_a_pair_is_told_with_its_reasons_and_who_would_have_been_next() -> None:
    other = shopping(id="r2", elder="he", known={"wong": 4})
    found = told(instance((shopping(), other), (volunteer("chen"), volunteer("wong"))))
    first = found.paired[0]
    assert (first.heading, first.volunteer) == ("李阿姨 · 代买东西 · 3月4日周三 09:30", "陈志愿")
    assert first.reasons == "住在同一个小网格，去过 3 次，会说粤语"
    assert first.next_best == "其次是黄志愿，但那时要去何伯家"
    assert sum(points for _, points in first.terms) == first.worth


def test_the_same_pair_is_told_in_english() -> None:
    (pair,) = told(instance((shopping(),), (volunteer("chen"), volunteer("wong"))), "en").paired
    assert pair.reasons == "same small grid, has been there 3 times, speaks Cantonese"
    assert pair.next_best == "Next best: 黄志愿"


def test_a_slot_is_told_with_its_end_and_a_stranger_by_a_dash() -> None:
    slot = shopping(elder="nobody", starts=(480,), preferred=480, blocks=210)
    (pair,) = told(instance((slot,), (volunteer("chen"),))).paired
    assert pair.heading == "— · 代买东西 · 3月4日周三 08:00–11:30"
    assert pair.next_best == "别的人都不合适"


def test_what_is_left_over_is_told_with_what_kept_whom_away_and_what_would_help() -> None:
    late = volunteer("chen", free=(Stretch(600, 720),))
    (left,) = told(instance((shopping(),), (late, volunteer("wong", grids=frozenset({9}))))).unpaired
    assert left.away == "不去那个网格：1 人，那时没空：1 人"
    assert left.change == "晚 30 分钟 开始，就有 1 人能来"


@pytest.mark.parametrize(
    ("worth", "bound", "said"),
    [(9_998, 10_000, "99.98"), (99_999, 100_000, "99.99"), (5, 5, "100.00"), (0, 0, "100.00")],
)
def test_how_near_a_plan_is_never_sounds_nearer_than_it_is(worth: int, bound: int, said: str) -> None:
    assert nearness(worth, bound) == said


@pytest.mark.parametrize("locale", ["zh_CN", "zh_Hant_HK", "en"])
def test_a_whole_day_is_told_without_leftovers(locale: str) -> None:
    given = day(seed=4, requests=80, volunteers=60, mode="window", carers=0.1)
    plan = plan_by_greed(given)
    found = tell(words(locale), given, plan, {})
    every = [text for pair in found.paired for text in (pair.heading, pair.reasons, pair.next_best)]
    every += [text for left in found.unpaired for text in (left.heading, left.away, left.change)]
    every += found.ways
    assert (len(found.paired), len(found.unpaired)) == (len(plan.visits), len(plan.unpaired))
    assert found.unpaired
    assert [text for text in every if "pairing." in text or "{" in text or not text] == []


@pytest.mark.parametrize("metres", [True, False])
def test_the_map_shows_every_request_once_and_a_way_for_every_visit(metres: bool) -> None:
    given = day(seed=4, requests=80, volunteers=60)
    if not metres:
        given = replace(
            given,
            requests=tuple(replace(each, spot=Spot(each.spot.grid)) for each in given.requests),
            volunteers=tuple(replace(each, home=Spot(each.home.grid)) for each in given.volunteers),
        )
    plan = plan_by_greed(given)
    drawn = draw(given, plan, {}, {})
    assert drawn.to_scale is metres
    assert len(drawn.paired) + len(drawn.unpaired) == 80
    assert len(drawn.lines) == len(plan.visits)
    homes = {(home.x, home.y) for home in drawn.homes}
    assert {(line.x1, line.y1) for line in drawn.lines} == homes
    ends = {(line.x2, line.y2) for line in drawn.lines}
    assert ends == {(mark.x, mark.y) for mark in drawn.paired}
    for mark in (*drawn.paired, *drawn.unpaired, *drawn.homes):
        assert 0 < mark.x < drawn.width
        assert 0 < mark.y < drawn.height
    assert sum(area.paired for area in drawn.areas) == len(drawn.paired)
    assert sum(area.unpaired for area in drawn.areas) == len(drawn.unpaired)


def test_north_is_up_and_a_spot_without_metres_lies_within_its_grid() -> None:
    south, north = Spot(1, 0, 0), Spot(2, 100, 500)
    given = instance(
        (shopping(spot=south), shopping(id="r2", elder="he", spot=north), shopping(id="r3", spot=Spot(2))),
        (),
    )
    drawn = draw(given, plan_by_greed(given), {}, {})
    below, above, within = drawn.unpaired
    assert drawn.to_scale
    assert below.y > above.y
    assert abs(within.x - above.x) < 10
