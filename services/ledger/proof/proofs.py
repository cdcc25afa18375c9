"""Statements and certificates that prove themselves: every line with its columns, its place in the chain, a
Merkle proof against a seal, and the seal. Whoever has the public key checks them offline
(:mod:`services.ledger.proof.proof_check`).

A certificate of service is the statement of a member's minutes with their sum. What such a file proves by the
seal: each line stands in the sealed journal as shown. That these are all of the account's lines in the period
is the bank's word, which the signature over the whole file keeps: its holder can cut and change nothing. The
running balances alone would show a gap, but neither lines that cancel one another nor lines after the last.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pointsbank.domain import chain
from pointsbank.domain.accounts import AccountCode, AccountKind
from pointsbank.domain.chain import Line
from pointsbank.domain.errors import InvalidValue, NotFound
from pointsbank.platform.database import UnitOfWork
from services.ledger import store
from services.ledger.batch import account_id
from services.ledger.proof import audit_store, line_form, proof_store, seal_form
from services.ledger.proof.tree import Tree

LINES_MAX = 10_000
ENTRIES_PER_READ = 500

STATEMENT, CERTIFICATE = "statement", "certificate"


async def statement(uow: UnitOfWork, code: AccountCode, from_: datetime, to: datetime) -> dict[str, Any]:
    """Return an account over recorded time [from_, to), proven against the newest seal, as JSON takes it.

    Lines behind the newest seal are listed as unproven: seal first. It is to be signed before it is handed
    out (:func:`signed`). Raises InvalidValue (period empty, more
    than ``LINES_MAX`` lines), NotFound (an account that was never used), TreeIncomplete.
    """
    if to <= from_:
        raise InvalidValue(field="to", rule="after_from")
    account = (await store.account_numbers(uow, [code])).get(code)
    if account is None:
        raise NotFound(what="account")
    before = await store.last_entry_before(uow, from_)
    through = await store.last_entry_before(uow, to)
    wanted = await proof_store.numbers_of(uow, account, after=before, through=through, limit=LINES_MAX + 1)
    if len(wanted) > LINES_MAX:
        raise InvalidValue(field="from", rule="too_many")
    seal = await audit_store.last_seal(uow)
    tree = Tree(uow, seal["entry_number"] if seal else 0)
    opening_line = await proof_store.last_line_of(uow, account, through=before)
    proven, unproven = await _proven(uow, tree, wanted)
    opened, opened_unproven = await _proven(uow, tree, [opening_line] if opening_line else [])
    opening = await store.balance_at_entry(uow, account, before)
    closing = await store.balance_at_entry(uow, account, through)
    kind = CERTIFICATE if code.kind is AccountKind.MEMBER_SERVICE else STATEMENT
    return {
        "pointsbank": kind,
        "format": line_form.FORMAT,
        "community_id": uow.community_id,
        "algorithm": chain.ALGORITHM,
        "account": {
            "id": str(account_id(uow.community_id, code)),
            "kind": code.kind.value,
            "owner": str(code.owner),
            "commodity": code.commodity.value,
        },
        "from": line_form.moment(from_),
        "to": line_form.moment(to),
        "opening": opening,
        "closing": closing,
        **({"minutes": closing - opening} if kind == CERTIFICATE else {}),
        "seal": seal_form.as_written(uow.community_id, seal) if seal else None,
        "before": opened[0] if opened else None,
        **({"before_unproven": opened_unproven[0]} if opened_unproven else {}),
        "lines": proven,
        "unproven": unproven,
    }


def signed(document: dict[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """Return a statement or certificate as it is handed out: signed as a whole with the key of the seals."""
    facts = {**document, "public_key": key.public_key().public_bytes_raw().hex()}
    return {**facts, "signature": key.sign(_signed_text(facts)).hex()}


def is_signed(document: dict[str, Any], public_key: bytes) -> bool:
    """Tell whether everything in it is as it was signed with that key."""
    facts = {name: value for name, value in document.items() if name != "signature"}
    try:
        signature = bytes.fromhex(document["signature"])
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, _signed_text(facts))
    except (KeyError, TypeError, ValueError, InvalidSignature):
        return False
    return facts.get("public_key") == public_key.hex()


def _signed_text(facts: dict[str, Any]) -> bytes:
    return json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()


async def _proven(
    uow: UnitOfWork, tree: Tree, wanted: list[tuple[int, int]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return lines with their proofs, and those that the tree does not reach, as they are."""
    proven: list[dict[str, Any]] = []
    unproven: list[dict[str, Any]] = []
    for start in range(0, len(wanted), ENTRIES_PER_READ):
        part = wanted[start : start + ENTRIES_PER_READ]
        numbers = sorted({number for number, _ in part})
        ends = await proof_store.last_hashes(uow, [number - 1 for number in numbers if number > 1])
        entries: dict[int, list[tuple[Line, bytes]]] = {number: [] for number in numbers}
        for line, hash_ in await proof_store.whole_entries(uow, numbers):
            entries[line.number].append((line, hash_))
        for number, place in part:
            lines = entries[number]
            line, hash_ = lines[place - 1]
            if number > tree.size:
                unproven.append(line_form.written(line, hash_))
                continue
            previous = lines[place - 2][1] if place > 1 else ends.get(number - 1)
            proven.append(
                {
                    "line": line_form.written(line, hash_),
                    "previous": (previous or chain.genesis(uow.community_id)).hex(),
                    "following": [chain.leaf(later).hex() for later, _ in lines[place:]],
                    "proof": [step.hex() for step in await tree.inclusion(number)],
                }
            )
    return proven, unproven
