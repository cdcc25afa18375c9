"""The pages of a batch and of refunds: signed by two, paid, exported, and what was served given back."""

from __future__ import annotations

from uuid import UUID

from pointsbank.domain.redemption import PartnerWord
from services.settlement import batches, refunds, service
from services.settlement.service import Redeem
from tests.web.conftest import Site, program
from tests.worlds import NINE_ON_MONDAY, give_points


async def served(site: Site) -> UUID:
    """A lunch that the canteen handed over."""
    elder = site.world.elder
    await give_points(site.database, site.world, elder, 50_000)
    async with site.database.unit_of_work(1) as uow:
        meal = await service.redeem(uow, elder.actor, Redeem(elder.id, "canteen", "lunch_set"))
    async with site.database.unit_of_work(1) as uow:
        canteen = await service.partner(uow, "canteen")
        await service.hear(uow, meal.id, PartnerWord.FULFILLED, reference="C-1", said_by=canteen.id)
    return meal.id


async def test_a_batch_is_signed_by_two_paid_and_told_as_the_statement_to_sign(site: Site) -> None:
    meal = await served(site)
    (batch,) = await batches.freeze_batches(site.database, 1, NINE_ON_MONDAY.date())
    path = f"/books/settlement/{batch.id}"
    payment = {"reference": "2026-03-0042", "paid_on": "2026-03-02"}
    async with program(site, site.world.coordinator) as client:
        assert path in (await client.get("/books/settlement")).text
        assert (await client.post(f"{path}/paid", data=payment | {"key": "early"})).status_code == 409
        done = await client.post(f"{path}/sign", data={"key": "one"}, follow_redirects=True)
        assert "还要另一个人签" in done.text
        assert (await client.post(f"{path}/sign", data={"key": "again"})).status_code == 403
    async with program(site, site.world.auditor) as client:
        done = await client.post(f"{path}/sign", data={"key": "two"}, follow_redirects=True)
        assert "已签字，待付款" in done.text
        table = (await client.get(f"{path}/csv")).content.decode("utf-8-sig")
        assert all(word in table for word in (str(meal), batch.content_hash.hex(), "12.00", "社区签字"))
        assert site.world.elder.name not in table
        assert (await client.get(f"{path}/xlsx")).content.startswith(b"PK")
        assert (await client.get(f"{path}/exe")).status_code == 404
    async with program(site, site.world.coordinator) as client:
        done = await client.post(f"{path}/paid", data=payment | {"key": "pay"}, follow_redirects=True)
        assert "2026-03-0042" in done.text
    async with program(site, site.world.elder) as client:
        assert (await client.get(path)).status_code == 403


async def test_a_refund_proposed_on_the_orders_page_is_decided_by_another_from_the_queue(site: Site) -> None:
    meal = await served(site)
    form = {"reason": "bad_quality", "key": "one"}
    async with program(site, site.world.elder) as client:
        assert "提出退回" not in (await client.get(f"/orders/{meal}")).text
        assert (await client.post(f"/orders/{meal}/refund", data=form)).status_code == 403
    async with program(site, site.world.coordinator) as client:
        assert "提出退回" in (await client.get(f"/orders/{meal}")).text
        done = await client.post(f"/orders/{meal}/refund", data=form, follow_redirects=True)
        assert "质量不好" in done.text
        assert "/approve" not in done.text
        assert f"/orders/{meal}/refund" not in (await client.get(f"/orders/{meal}")).text
    async with site.database.unit_of_work(1) as uow:
        (proposed,) = await refunds.refunds_of(uow, meal)
    async with program(site, site.world.auditor) as client:
        assert "马上退给本人" in (await client.get("/books/refunds")).text
        done = await client.post(
            f"/books/refunds/{proposed.id}/approve", data={"key": "two"}, follow_redirects=True
        )
        assert "没有等待决定的退回" in done.text
    async with site.database.unit_of_work(1) as uow:
        assert (await refunds.refund(uow, proposed.id)).state == "approved"
