"""The database judges every batch as the pure model does."""

from __future__ import annotations

from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pointsbank.domain import accounts
from pointsbank.domain.accounts import AccountCode, Commodity
from pointsbank.domain.journal import InsufficientPoints, JournalEntry, Transfer
from pointsbank.domain.posting import judge
from pointsbank.platform.database import Database
from pointsbank.platform.ids import uuid7
from services.ledger import service
from services.ledger.proof.verification import verify
from tests.ledgers import bare_ledger, entry

MEMBERS = [UUID(int=number) for number in range(1, 5)]
CODES = [accounts.issuance(Commodity.POINT), *(accounts.available(member) for member in MEMBERS)]


@st.composite
def entries(draw: st.DrawFn) -> JournalEntry:
    """An entry of one to four transfers over few accounts."""
    pairs = st.tuples(st.sampled_from(CODES), st.sampled_from(CODES)).filter(lambda two: two[0] != two[1])
    moved = draw(st.lists(st.tuples(pairs, st.integers(1, 50)), min_size=1, max_size=4))
    return entry(str(uuid7()), [Transfer(source, target, amount) for (source, target), amount in moved])


async def test_a_batch_is_judged_as_the_model_judges_it(database: Database) -> None:
    await bare_ledger(database)
    known: dict[AccountCode, int] = dict.fromkeys(CODES, 0)
    seen: set[bool] = set()

    async def check(batch: list[JournalEntry]) -> None:
        nonlocal known
        expected = judge(batch, known)
        async with database.unit_of_work(1) as uow:
            verdicts = await service.post_many(uow, batch)
            stored = await service.balances(uow, CODES)
        for verdict, refusal in zip(verdicts, expected.refusals, strict=True):
            assert (verdict.error is None) == (refusal is None)
            seen.add(refusal is None)
            if refusal is not None:
                assert isinstance(verdict.error, InsufficientPoints)
        assert stored == expected.balances
        known = expected.balances

    batches: list[list[JournalEntry]] = []

    @settings(max_examples=60, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(entries(), min_size=1, max_size=8))
    def collect(batch: list[JournalEntry]) -> None:
        batches.append(batch)

    collect()
    for batch in batches:
        await check(batch)
    assert seen == {True, False}, "both verdicts must have been met"
    async with database.unit_of_work(1, snapshot=True) as uow:
        assert (await verify(uow)).sound
