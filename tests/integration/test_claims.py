"""What governments owe for meals: the sum of what was frozen with each, less what went back."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import openpyxl
import pytest

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.subsidy.payers import Hardship
from services.settlement.subsidies import claim_sheets, claims, freezing
from services.settlement.views import Claim, ClaimKind
from tests.integration.test_meal_shares import rule, set_standing
from tests.shops import Shop, open_shop

MARCH = "2026-03"


@pytest.fixture
async def shop(app_url: str, canteen_url_db: str) -> AsyncIterator[Shop]:
    async with open_shop(app_url, canteen_url_db) as shop:
        await rule(shop)
        await set_standing(shop)
        yield shop


async def claim_of(shop: Shop, period: str | None = MARCH, *, by_person: bool = False) -> Claim:
    async with shop.database.unit_of_work(1) as uow:
        return await claims.claim(uow, period, by_person=by_person)


def owed(claim: Claim) -> dict[tuple[str, str | None], tuple[int, int]]:
    return {(each.payer.value, each.place): (each.meals, each.fen) for each in claim.totals}


async def test_a_claim_is_the_frozen_shares_of_what_was_handed_over_and_names_groups_only(shop: Shop) -> None:
    await shop.served("lunch_set")
    await shop.redeem("dinner_set")
    await set_standing(shop, Hardship.BEREAVED, born="1930-01-01")
    told = await claim_of(shop)
    assert owed(told) == {
        ("city", "4401"): (1, 300),
        ("district", "440118"): (1, 300),
        ("town", "440118108"): (1, 500),
    }
    assert told.fen == 1_100
    assert {(line.tier, line.ledger_ref, line.kind) for line in told.lines} == {
        ("hardship_60", None, ClaimKind.SERVED)
    }
    assert {line.ledger_ref for line in (await claim_of(shop, by_person=True)).lines} == {
        shop.elder.ledger_ref
    }
    assert (await claim_of(shop, "2026-Q1")).fen == 1_100
    assert (await claim_of(shop, None)).period == MARCH
    assert (await claim_of(shop, "2026-02")).lines == ()
    with pytest.raises(InvalidValue):
        await claim_of(shop, "March")


async def test_what_goes_back_later_is_a_negative_line_of_that_month_with_its_day_kept(shop: Shop) -> None:
    served = await shop.served("lunch_set")
    before = await claim_of(shop)
    shop.clock.move_to(shop.clock.now() + timedelta(days=30))
    async with shop.database.unit_of_work(1) as uow:
        await freezing.refund_meal(uow, uuid4(), served.id, fen=600)
    async with shop.database.unit_of_work(1) as uow:
        await freezing.refund_meal(uow, uuid4(), served.id, fen=600)
    assert owed(await claim_of(shop)) == owed(before)
    april = await claim_of(shop, "2026-04")
    assert owed(april) == {payer: (-meals, -fen) for payer, (meals, fen) in owed(before).items()}
    assert {(line.kind, line.served_on) for line in april.lines} == {(ClaimKind.BACK, served.captured_on)}


async def test_a_claims_tables_say_the_same_as_the_claim(shop: Shop) -> None:
    await shop.served("lunch_set")
    told = await claim_of(shop, by_person=True)
    text, book = io.BytesIO(), io.BytesIO()
    claim_sheets.write_csv(told, str, text, by_person=True)
    claim_sheets.write_xlsx(told, str, book, by_person=True)
    lines = text.getvalue().decode("utf-8-sig").splitlines()
    assert lines[1] == (
        f"payer.city,4401,claim.kind.served,hardship_60,meal.lunch,,1,300,3.00,{shop.elder.ledger_ref}"
    )
    assert lines[-1] == "payer.town,440118108,claim.total,,,,1,500,5.00"
    rows = list(openpyxl.load_workbook(book).active.iter_rows(values_only=True))
    assert (len(rows), rows[1][6:9], rows[-1][6:9]) == (len(lines), (1, 300, 3), (1, 500, 5))
