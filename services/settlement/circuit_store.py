"""Partners' circuits in the database, where every worker and every page sees them."""

from __future__ import annotations

from uuid import UUID

from pointsbank.domain.circuit import Circuit, CircuitState
from pointsbank.platform.database import UnitOfWork
from services.settlement.views import CircuitInfo

COLUMNS = "state, failures, openings, next_call_at"


async def circuit(uow: UnitOfWork, partner_id: UUID, *, lock: bool = False) -> Circuit:
    """Return a partner's circuit; closed where nothing was noted. lock: until the unit of work ends."""
    connection = await uow.connection()
    row = await connection.fetchrow(
        f"SELECT {COLUMNS} FROM bank.partner_circuits"  # noqa: S608 (the columns are this module's own)
        f" WHERE community_id = $1 AND partner_id = $2{' FOR UPDATE' if lock else ''}",
        uow.community_id,
        partner_id,
    )
    if row is None:
        return Circuit()
    return Circuit(CircuitState(row["state"]), row["failures"], row["openings"], row["next_call_at"])


async def lock_circuit(uow: UnitOfWork, partner_id: UUID) -> Circuit:
    """Return a partner's circuit, locked until the unit of work ends, written down if it was not yet."""
    connection = await uow.connection()
    await connection.execute(
        "INSERT INTO bank.partner_circuits (community_id, partner_id, state, failures, openings, changed_at)"
        " VALUES ($1, $2, 'closed', 0, 0, $3) ON CONFLICT DO NOTHING",
        uow.community_id,
        partner_id,
        uow.clock.now(),
    )
    return await circuit(uow, partner_id, lock=True)


async def save(uow: UnitOfWork, partner_id: UUID, changed: Circuit, *, error: str | None) -> None:
    """Write a locked circuit. error: why the last call failed, None where it did not."""
    connection = await uow.connection()
    await connection.execute(
        "UPDATE bank.partner_circuits SET state = $3, failures = $4, openings = $5, next_call_at = $6,"
        " last_error = coalesce($7, last_error), changed_at = $8 WHERE community_id = $1 AND partner_id = $2",
        uow.community_id,
        partner_id,
        changed.state.value,
        changed.failures,
        changed.openings,
        changed.next_call_at,
        error,
        uow.clock.now(),
    )


async def circuits(uow: UnitOfWork) -> list[CircuitInfo]:
    """Return the circuit of every partner of the community, in order of code."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT p.code AS partner, coalesce(c.state, 'closed') AS state, coalesce(c.failures, 0) AS failures,
               c.next_call_at, c.changed_at, c.last_error
          FROM bank.partners p
          LEFT JOIN bank.partner_circuits c ON c.community_id = p.community_id AND c.partner_id = p.id
         WHERE p.community_id = $1 ORDER BY p.code
        """,
        uow.community_id,
    )
    return [CircuitInfo(**(dict(row) | {"state": CircuitState(row["state"])})) for row in rows]
