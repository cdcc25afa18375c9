"""A statement or certificate checked from its file alone, with the public key of the seals.

For each line: columns → leaf → the chain's hash at it → at its entry's last line → the Merkle root → the
seal's signature; the arithmetic: opening, running balances, closing; and that all of it is as it was handed
out, by the signature over the whole.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from pointsbank.domain import chain, merkle
from pointsbank.domain.accounts import AccountKind
from pointsbank.domain.chain import Line
from services.ledger.batch import account_id
from services.ledger.proof import line_form, proofs, seal_form
from services.ledger.proof.faults import Fault, FileFault, Findings
from services.ledger.proof.file_check import FileReport, check_journal
from services.ledger.proof.line_form import Amount, Hash, Int4, Moment, WrittenAccount, WrittenLine
from services.ledger.proof.seal_form import SealedHead, SealUnreadable

FILE_BYTES_MAX = 1 << 28
PROOF_STEPS_MAX = 63
FIRST_BYTES = 200


class ProvenLine(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A line with what leads from it to the root. following: the leaves of its entry's later lines."""

    line: WrittenLine
    previous: Hash
    following: list[Hash]
    proof: list[Hash]


class Document(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A statement, or a certificate (with ``minutes``)."""

    pointsbank: str
    format: int
    community_id: Int4
    algorithm: str
    account: WrittenAccount
    from_: Moment = msgspec.field(name="from")
    to: Moment
    opening: Amount
    closing: Amount
    seal: Any
    before: ProvenLine | None
    lines: list[ProvenLine]
    unproven: list[WrittenLine]
    public_key: str
    signature: str
    before_unproven: WrittenLine | None = None
    minutes: Amount | None = None


def check_file(path: Path, public_key: bytes, *, unsealed: bool = False) -> FileReport:
    """Check whatever was handed out: a statement, a certificate, or a whole journal. Raises OSError.

    public_key: 32 bytes, known from elsewhere. unsealed: what no seal covers is no fault.
    """
    with path.open("rb") as file:
        first = file.read(FIRST_BYTES)
    if b'"journal"' in first.split(b",", 1)[0]:
        return check_journal(path, public_key, unsealed=unsealed)
    return check_document(path, public_key, unsealed=unsealed)


def check_document(path: Path, public_key: bytes, *, unsealed: bool = False) -> FileReport:
    """Check a statement or a certificate; see :func:`check_file`. Raises OSError."""
    with path.open("rb") as file:
        text = file.read(FILE_BYTES_MAX + 1)
    findings = Findings()
    try:
        if len(text) > FILE_BYTES_MAX:
            raise ValueError("too long")
        written = json.loads(text)
        document = msgspec.convert(written, Document)
        code = document.account.code()
    except (msgspec.DecodeError, ValueError, RecursionError):
        findings.add(FileFault.UNREADABLE, "file")
        return FileReport("unknown", 0, 0, 0, 0, None, tuple(findings.told))
    if not _is_ours(document):
        findings.add(FileFault.UNREADABLE, "file")
    if not proofs.is_signed(written, public_key):
        findings.add(FileFault.DOCUMENT_ALTERED, "file")
    if account_id.__wrapped__(document.community_id, code) != document.account.id:
        findings.add(Fault.ACCOUNT_ALTERED, f"account {document.account.id}")
    seal = _seal(document, public_key, findings)
    for each in [*([document.before] if document.before else []), *document.lines]:
        _check_line(document, each, seal, findings)
    _check_sums(document, findings)
    for unproven in () if unsealed else _unproven(document):
        findings.add(FileFault.UNPROVEN, f"entry {unproven.number}")
    return FileReport(
        kind=document.pointsbank,
        community_id=document.community_id,
        entries=len(document.lines) + len(_unproven(document)),
        proven=len(document.lines),
        seals=1 if seal else 0,
        sealed_at=seal.sealed_at if seal else None,
        findings=tuple(findings.told),
        omitted=findings.omitted,
        sums=_sums(document),
    )


def _unproven(document: Document) -> Sequence[WrittenLine]:
    before = [document.before_unproven] if document.before_unproven else []
    return [*before, *document.unproven]


def _is_ours(document: Document) -> bool:
    certificate = document.pointsbank == proofs.CERTIFICATE
    return (
        document.pointsbank in (proofs.STATEMENT, proofs.CERTIFICATE)
        and document.format == line_form.FORMAT
        and document.algorithm == chain.ALGORITHM
        and certificate == (document.account.kind is AccountKind.MEMBER_SERVICE)
        and certificate == (document.minutes is not None)
    )


def _sums(document: Document) -> tuple[tuple[str, int], ...]:
    named = (("opening", document.opening), ("closing", document.closing), ("minutes", document.minutes))
    return tuple((name, value) for name, value in named if value is not None)


def _seal(document: Document, public_key: bytes, findings: Findings) -> SealedHead | None:
    if document.seal is None:
        return None
    try:
        seal = seal_form.checked(document.seal, public_key)
    except SealUnreadable:
        findings.add(Fault.SEAL_FORGED, "seal")
        return None
    if seal.community_id != document.community_id:
        findings.add(Fault.SEAL_MISMATCH, "seal")
    return seal


def _check_line(document: Document, each: ProvenLine, seal: SealedHead | None, findings: Findings) -> None:
    line, where = each.line.read(), f"entry {each.line.number}"
    hash_ = chain.extend(bytes.fromhex(each.previous), chain.leaf(line))
    if hash_ != bytes.fromhex(each.line.hash) or line.community_id != document.community_id:
        findings.add(Fault.ENTRY_ALTERED, where)
        return
    for later in each.following:
        hash_ = chain.extend(hash_, bytes.fromhex(later))
    proof = [bytes.fromhex(step) for step in each.proof[: PROOF_STEPS_MAX + 1]]
    if seal is None or not merkle.holds_inclusion(
        merkle.leaf_hash(hash_), line.number - 1, seal.entry_number, proof, seal.merkle_root
    ):
        findings.add(FileFault.PROOF_MISMATCH, where)


def _check_sums(document: Document, findings: Findings) -> None:
    """Follow the account from opening to closing through the lines."""
    balance = document.opening
    at = (0, 0)
    before = document.before.line if document.before else document.before_unproven
    if before is not None:
        line = before.read()
        at = (line.number, line.line)
        if _posted(document, line)[1] != balance or line.recorded_at >= document.from_:
            findings.add(FileFault.SUM_MISMATCH, "opening")
    elif balance:
        findings.add(FileFault.SUM_MISMATCH, "opening")
    for written in [*(each.line for each in document.lines), *document.unproven]:
        line, where = written.read(), f"entry {written.number}"
        amount, after = _posted(document, line)
        in_period = document.from_ <= line.recorded_at < document.to
        if not amount or not in_period or (line.number, line.line) <= at:
            findings.add(FileFault.NOT_IN_PERIOD, where)
        elif balance + amount != after:
            findings.add(Fault.RUNNING_BALANCE, where)
        balance, at = after, (line.number, line.line)
    if balance != document.closing:
        findings.add(FileFault.SUM_MISMATCH, "closing")
    if document.minutes is not None and document.minutes != document.closing - document.opening:
        findings.add(FileFault.SUM_MISMATCH, "minutes")


def _posted(document: Document, line: Line) -> tuple[int, int]:
    """Return what a line put on the account, and what it had after; (0, 0) for a line of another account."""
    if line.debit == document.account.id:
        return line.amount, line.debit_after
    if line.credit == document.account.id:
        return -line.amount, line.credit_after
    return 0, 0
