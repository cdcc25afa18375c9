"""A statement is checked from its file alone; whatever was changed in it is named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.cli.auditing import audit
from pointsbank.domain import accounts
from pointsbank.domain.accounts import Commodity
from pointsbank.domain.errors import InvalidValue, NotFound
from pointsbank.domain.journal import EntryKind, Transfer, reversal
from pointsbank.platform.database import Database
from services.ledger import service
from services.ledger.proof import proofs, seals
from services.ledger.proof.faults import Fault, FileFault
from services.ledger.proof.proof_check import check_file
from tests.integration.offline.support import (
    DAY,
    MEMBER,
    OTHER,
    Change,
    checked,
    checked_as_it_is,
    proven,
    told,
)
from tests.ledgers import NOON, entry, grant, origin


async def test_a_statement_proves_itself_offline(ledger: Database, tmp_path: Path, public: bytes) -> None:
    document = await proven(ledger, accounts.available(MEMBER))
    report = checked(document, tmp_path, public)
    assert report.sound, report.findings
    assert (report.kind, report.entries, report.proven) == ("statement", 10, 10)
    assert dict(report.sums) == {"opening": 1_800, "closing": 5_400}


async def test_a_certificate_tells_the_minutes_it_proves(
    ledger: Database, tmp_path: Path, public: bytes
) -> None:
    document = await proven(ledger, accounts.service(MEMBER))
    report = checked(document, tmp_path, public)
    assert report.sound, report.findings
    assert report.kind == "certificate"
    assert dict(report.sums)["minutes"] == 240
    assert any(each["following"] for each in document["lines"]), "entries of two lines are met"


async def test_a_period_without_lines_still_proves_what_was_there(
    ledger: Database, tmp_path: Path, public: bytes
) -> None:
    report = checked(await proven(ledger, accounts.available(MEMBER), first=5), tmp_path, public)
    assert report.sound, report.findings
    assert dict(report.sums) == {"opening": 5_400, "closing": 5_400}


async def test_the_first_period_of_an_account_begins_with_nothing(
    ledger: Database, tmp_path: Path, public: bytes
) -> None:
    document = await proven(ledger, accounts.available(MEMBER), first=0)
    assert document["before"] is None
    assert checked(document, tmp_path, public).sound


def _line(document: dict[str, Any], at: int = 0) -> Any:
    return document["lines"][at]


CHANGES: list[tuple[str, Change, str]] = [
    ("an amount", lambda d: _line(d)["line"].update(amount=501), Fault.ENTRY_ALTERED),
    ("a day", lambda d: _line(d)["line"].update(expires_on="2030-01-01"), Fault.ENTRY_ALTERED),
    ("the subject", lambda d: _line(d)["line"].update(subject_ref=str(OTHER)), Fault.ENTRY_ALTERED),
    ("the chain before", lambda d: _line(d).update(previous="00" * 32), Fault.ENTRY_ALTERED),
    ("a line left out", lambda d: d["lines"].pop(3), Fault.RUNNING_BALANCE),
    ("a line twice", lambda d: d["lines"].insert(1, _line(d)), FileFault.NOT_IN_PERIOD),
    ("a proof cut", lambda d: _line(d)["proof"].pop(), FileFault.PROOF_MISMATCH),
    ("a proof of another", lambda d: _line(d).update(proof=_line(d, 5)["proof"]), FileFault.PROOF_MISMATCH),
    ("opening", lambda d: d.update(opening=0), FileFault.SUM_MISMATCH),
    ("closing", lambda d: d.update(closing=9_999), FileFault.SUM_MISMATCH),
    ("what was before left out", lambda d: d.update(before=None), FileFault.SUM_MISMATCH),
    ("another period", lambda d: d.update({"from": d["to"]}), FileFault.NOT_IN_PERIOD),
    ("another's account", lambda d: d["account"].update(owner=str(OTHER)), Fault.ACCOUNT_ALTERED),
    ("the sealed root", lambda d: d["seal"].update(merkle_root="00" * 32), Fault.SEAL_FORGED),
    ("no seal", lambda d: d.update(seal=None), FileFault.PROOF_MISMATCH),
    ("another community", lambda d: d.update(community_id=2), Fault.ACCOUNT_ALTERED),
    ("minutes of points", lambda d: d.update(minutes=5), FileFault.UNREADABLE),
    ("a word for a number", lambda d: d.update(opening="1800"), FileFault.UNREADABLE),
    ("a number too large", lambda d: _line(d)["line"].update(amount=2**80), FileFault.UNREADABLE),
    ("something more", lambda d: d.update(more=1), FileFault.UNREADABLE),
]


@pytest.mark.parametrize(
    ("change", "fault"), [each[1:] for each in CHANGES], ids=[each[0] for each in CHANGES]
)
async def test_whatever_is_changed_in_a_statement_is_named(
    ledger: Database, tmp_path: Path, public: bytes, change: Change, fault: str
) -> None:
    document = await proven(ledger, accounts.available(MEMBER))
    change(document)
    assert fault in {found for found, _ in told(checked(document, tmp_path, public))}


async def test_a_certificate_that_claims_more_minutes_is_found(
    ledger: Database, tmp_path: Path, public: bytes
) -> None:
    document = await proven(ledger, accounts.service(MEMBER))
    document["minutes"] += 60
    assert told(checked(document, tmp_path, public)) == [(FileFault.SUM_MISMATCH, "minutes")]


async def test_another_key_proves_nothing(ledger: Database, tmp_path: Path) -> None:
    document = await proven(ledger, accounts.available(MEMBER))
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    assert told(checked(document, tmp_path, other))[:2] == [
        (FileFault.DOCUMENT_ALTERED, "file"),
        (Fault.SEAL_FORGED, "seal"),
    ]


async def test_lines_newer_than_the_seal_are_listed_as_unproven(
    ledger: Database, tmp_path: Path, public: bytes
) -> None:
    async with ledger.unit_of_work(1) as uow:
        number = (await service.post(uow, grant(MEMBER, 7, "late"))).number
    document = await proven(ledger, accounts.available(MEMBER))
    assert [line["number"] for line in document["unproven"]] == [number]
    assert told(checked(document, tmp_path, public)) == [(FileFault.UNPROVEN, f"entry {number}")]


async def test_an_honest_file_whose_opening_is_newer_than_the_seal_is_unproven_and_not_tampered_with(
    ledger: Database, tmp_path: Path, public: bytes
) -> None:
    async with ledger.unit_of_work(1) as uow:
        number = (await service.post(uow, grant(MEMBER, 7, "late"))).number
    document = await proven(ledger, accounts.available(MEMBER), first=3)
    assert told(checked(document, tmp_path, public)) == [(FileFault.UNPROVEN, f"entry {number}")]
    accepted = checked(document, tmp_path, public, unsealed=True)
    assert accepted.sound
    assert (accepted.entries, accepted.proven) == (1, 0)
    document["opening"] = document["closing"] = 1
    assert told(checked(document, tmp_path, public, unsealed=True)) == [(FileFault.SUM_MISMATCH, "opening")]


def _cut_the_last(document: dict[str, Any]) -> None:
    document["lines"].pop()
    last, mine = document["lines"][-1]["line"], document["account"]["id"]
    document["closing"] = last["debit_after"] if last["debit"] == mine else last["credit_after"]
    document["minutes"] = document["closing"] - document["opening"]


def _cut_what_was_taken_back(document: dict[str, Any]) -> None:
    reversal = next(at for at, each in enumerate(document["lines"]) if each["line"]["reverses"])
    reversed_ = document["lines"][reversal]["line"]["reverses"]
    document["lines"] = [
        each
        for each in document["lines"]
        if reversed_ not in (each["line"]["number"], each["line"]["reverses"])
    ]


def _tell_an_old_balance(document: dict[str, Any]) -> None:
    """Nothing happened, says the file, since a line of long ago."""
    document["before"], document["lines"] = document["lines"][0], []
    document["opening"] = document["closing"] = document["before"]["line"]["debit_after"]
    document["minutes"] = 0
    document["from"] = "2026-03-04T12:00:00.000000+00:00"
    document["to"] = "2026-03-05T12:00:00.000000+00:00"


@pytest.mark.parametrize("change", [_cut_the_last, _cut_what_was_taken_back, _tell_an_old_balance])
async def test_a_holder_cannot_leave_out_lines_though_all_that_is_left_adds_up(
    ledger: Database, tmp_path: Path, public: bytes, key: Ed25519PrivateKey, change: Change
) -> None:
    async with ledger.unit_of_work(1) as uow:
        earned = await service.post(
            uow,
            entry(
                "taken-back",
                [Transfer(accounts.issuance(Commodity.MINUTE), accounts.service(MEMBER), 30)],
                kind=EntryKind.EARNING,
            ),
        )
        back = reversal(
            earned.number,
            [Transfer(accounts.service(MEMBER), accounts.issuance(Commodity.MINUTE), 30)],
            origin=origin(MEMBER),
            occurred_at=NOON,
        )
        await service.post(uow, back)
        await service.post(
            uow,
            entry(
                "later",
                [Transfer(accounts.issuance(Commodity.MINUTE), accounts.service(MEMBER), 5)],
                kind=EntryKind.EARNING,
            ),
        )
        await seals.seal_head(uow, key)
    document = proofs.signed(await proven(ledger, accounts.service(MEMBER)), key)
    assert checked_as_it_is(document, tmp_path, public).sound
    change(document)
    assert checked(document, tmp_path, public).sound, "all that is left adds up"
    assert told(checked_as_it_is(document, tmp_path, public)) == [(FileFault.DOCUMENT_ALTERED, "file")]
    del document["signature"]
    assert not checked_as_it_is(document, tmp_path, public).sound


async def test_what_cannot_be_proven_is_refused(ledger: Database) -> None:
    async with ledger.unit_of_work(1, snapshot=True) as uow:
        with pytest.raises(NotFound):
            await proofs.statement(uow, accounts.available(UUID(int=9)), NOON, NOON + DAY)
        with pytest.raises(InvalidValue):
            await proofs.statement(uow, accounts.available(MEMBER), NOON, NOON)


@pytest.mark.parametrize("text", [b"", b"\x00\xff\n", b"[" * 100_000, b'{"pointsbank":"journal"}\n', b"{}"])
def test_a_file_that_is_something_else_is_unreadable_and_no_crash(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(text)
    report = check_file(path, bytes(32))
    assert FileFault.UNREADABLE in {found for found, _ in told(report)}


async def test_the_command_says_what_it_found_and_fails_when_it_must(
    ledger: Database, tmp_path: Path, public: bytes
) -> None:
    document = proofs.signed(await proven(ledger, accounts.service(MEMBER)), seals.load_key(tmp_path))
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(document))
    altered = copy.deepcopy(document)
    altered["lines"][2]["line"]["amount"] = 60
    bad.write_text(json.dumps(altered))

    def run(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(audit, ["verify-file", *words])
        return result.exit_code, result.output

    code, output = run(str(good), "--key", public.hex())
    assert code == 0
    assert "certificate of community 1: 8 entries, 8 covered by a seal of 2026-03-04 04:00 UTC" in output
    assert "minutes 240" in output
    assert output.endswith("everything in it holds\n")

    number = document["lines"][2]["line"]["number"]
    code, output = run(str(bad), "--key", public.hex())
    assert code == 1
    assert f"entry {number}: entry_altered" in output
    assert "faults, the first at file: document_altered" in output

    assert run(str(good), "--key", "ab")[0] == 1
