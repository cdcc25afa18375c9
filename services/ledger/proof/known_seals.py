"""The seals that a verification knows of: those kept outside the database, and the database's copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pointsbank.domain import chain, merkle
from pointsbank.platform.database import UnitOfWork
from services.ledger.proof import audit_store, merkle_store, policy_form, seal_form
from services.ledger.proof.faults import Fault, Findings
from services.ledger.proof.ranges import TILE
from services.ledger.proof.seal_form import SealedHead, SealUnreadable


@dataclass(frozen=True, slots=True)
class KnownSeals:
    """Seals behind the entry that is begun with, each signature checked, by size.

    kept, stored: how many were outside and in the database; to_meet: all of them, each once.
    """

    kept: int
    stored: int
    to_meet: tuple[SealedHead, ...]

    def meet(
        self, met: dict[int, tuple[bytes, bytes | None]], *, tree_broken: bool, findings: Findings
    ) -> None:
        """Compare each with the (chain's hash, root) that the journal gives at its size."""
        for seal in self.to_meet:
            hash_, root = met.get(seal.entry_number, (b"", None))
            if hash_ != seal.hash or not (tree_broken or root == seal.merkle_root):
                findings.add(Fault.SEAL_MISMATCH, f"entry {seal.entry_number}")


async def known_seals(
    uow: UnitOfWork,
    given: Sequence[SealedHead],
    *,
    sent: int,
    public_key: bytes | None,
    start: int,
    findings: Findings,
) -> KnownSeals:
    """Return the seals behind entry ``start``, and tell of those that are forged or must have been there.

    given: seals kept outside, of any community. sent: how many of them were posted away, as was noted then.
    public_key: by which all must be signed; None: each by the one it names.
    """
    kept: list[SealedHead] = []
    for seal in given:
        if seal.community_id != uow.community_id:
            continue
        if public_key is not None and seal.public_key != public_key:
            findings.add(Fault.SEAL_FORGED, f"entry {seal.entry_number}")
        else:
            kept.append(seal)
    _check_empty(uow, kept, findings)
    stored: list[SealedHead] = []
    async for row in audit_store.all_seals(uow, after=start):
        try:
            stored.append(seal_form.checked(seal_form.as_written(uow.community_id, row), public_key))
        except SealUnreadable:
            findings.add(Fault.SEAL_FORGED, f"entry {row['entry_number']}")
    if sent > len(given):
        findings.add(Fault.SEALS_MISSING, f"seal {len(given) + 1}")
    # Nodes are stored when a head is sealed, and never else.
    newest = await audit_store.last_seal(uow)
    known = max([newest["entry_number"] if newest else 0, *(seal.entry_number for seal in kept)])
    whole = await merkle_store.last_place(uow, 1) + 1
    if whole > known // TILE:
        findings.add(Fault.SEALS_MISSING, f"entry {whole * TILE}")
    behind = [seal for seal in kept if seal.entry_number > start]
    unique = {(seal.entry_number, seal.hash, seal.merkle_root): seal for seal in (*behind, *stored)}
    policies = policy_form.digests(await audit_store.policies(uow))
    for seal in unique.values():
        if seal.policies is not None and seal.policies not in policies:
            findings.add(Fault.POLICY_ALTERED, f"entry {seal.entry_number}")
    ordered = sorted(unique.values(), key=lambda seal: seal.entry_number)
    return KnownSeals(len(behind), len(stored), tuple(ordered))


def _check_empty(uow: UnitOfWork, kept: list[SealedHead], findings: Findings) -> None:
    """A seal of a journal without entries covers nothing, yet must be of this journal's beginning."""
    beginning = chain.genesis(uow.community_id), merkle.EMPTY
    for seal in kept:
        if not seal.entry_number and (seal.hash, seal.merkle_root) != beginning:
            findings.add(Fault.SEAL_MISMATCH, "entry 0")
