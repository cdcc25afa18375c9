"""What was handed out is checked from its file alone; whatever was changed in it is named."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.cli.auditing import audit
from pointsbank.domain import accounts, chain, merkle
from pointsbank.domain.accounts import AccountCode, Commodity
from pointsbank.domain.errors import InvalidValue, NotFound
from pointsbank.domain.journal import EntryKind, Transfer, reversal
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.ledger import service
from services.ledger.batch import account_id
from services.ledger.proof import audit_store, line_form, proof_store, proofs, seal_form, seals
from services.ledger.proof.faults import Fault, FileFault
from services.ledger.proof.file_check import FileReport
from services.ledger.proof.proof_check import check_file
from tests.ledgers import NOON, bare_ledger, entry, grant, move, origin

MEMBER, OTHER = UUID(int=101), UUID(int=102)
DAY = timedelta(days=1)
Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def key(tmp_path: Path) -> Ed25519PrivateKey:
    return seals.load_key(tmp_path)


@pytest.fixture
def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


@pytest.fixture
async def ledger(database: Database, key: Ed25519PrivateKey) -> Database:
    """Three days of entries of two lines and of one; sealed after the second day and at the end."""
    clock = FixedClock(NOON)
    database.clock = clock
    await bare_ledger(database)
    for day in range(3):
        clock.move_to(NOON + day * DAY)
        async with database.unit_of_work(1) as uow:
            for visit in range(4):
                await service.post(
                    uow,
                    entry(
                        f"v{day}.{visit}",
                        [
                            Transfer(accounts.issuance(Commodity.MINUTE), accounts.service(MEMBER), 30),
                            Transfer(accounts.issuance(Commodity.POINT), accounts.available(MEMBER), 500),
                        ],
                        kind=EntryKind.EARNING,
                    ),
                )
                await service.post(uow, grant(OTHER, 100, f"o{day}.{visit}"))
            await service.post(
                uow, move(accounts.available(MEMBER), accounts.available(OTHER), 200, f"m{day}")
            )
            if day:
                await seals.seal_head(uow, key)
    return database


async def proven(ledger: Database, code: AccountCode, first: int = 1, days: int = 2) -> dict[str, Any]:
    async with ledger.unit_of_work(1, snapshot=True) as uow:
        start = NOON + first * DAY - timedelta(hours=1)
        return await proofs.statement(uow, code, start, start + days * DAY)


def checked(document: dict[str, Any], tmp_path: Path, public: bytes, *, unsealed: bool = False) -> FileReport:
    """Check a document as the bank would have signed it."""
    facts = {name: value for name, value in document.items() if name != "signature"}
    signed = proofs.signed(facts, seals.load_key(tmp_path))
    return checked_as_it_is(signed, tmp_path, public, unsealed=unsealed)


def checked_as_it_is(
    document: dict[str, Any], tmp_path: Path, public: bytes, *, unsealed: bool = False
) -> FileReport:
    path = tmp_path / "file.json"
    path.write_text(json.dumps(document))
    return check_file(path, public, unsealed=unsealed)


def told(report: FileReport) -> list[tuple[str, str]]:
    return [(finding.fault, finding.where) for finding in report.findings]


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


# The whole journal.


async def journal(ledger: Database) -> list[dict[str, Any]]:
    """The journal as the export writes it: a header, the accounts, the lines."""
    async with ledger.unit_of_work(1, snapshot=True) as uow:
        lines = await proof_store.whole_entries(uow, range(1, 10_000))
        sealed = await seals.newest(uow)
    codes = [
        accounts.issuance(Commodity.POINT),
        accounts.issuance(Commodity.MINUTE),
        accounts.service(MEMBER),
        accounts.available(MEMBER),
        accounts.available(OTHER),
    ]
    return [
        {
            "pointsbank": "journal",
            "format": 1,
            "community_id": 1,
            "algorithm": "sha256",
            "entries": lines[-1][0].number,
            "head": lines[-1][1].hex(),
            "exported_at": "2026-03-05T00:00:00.000000+00:00",
            "seals": sealed,
        },
        *(
            {
                "account": {
                    "id": str(account_id(1, code)),
                    "number": number,
                    "kind": code.kind,
                    "owner": str(code.owner),
                    "commodity": code.commodity,
                    "opened_at": "2026-03-02T04:00:00.000000+00:00",
                }
            }
            for number, code in enumerate(codes, start=1)
        ),
        {"hold": {"id": str(UUID(int=8)), "state": "open"}},
        *(line_form.written(line, hash_) for line, hash_ in lines),
    ]


def checked_lines(lines: list[dict[str, Any]], tmp_path: Path, public: bytes) -> FileReport:
    path = tmp_path / "journal.jsonl"
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    return check_file(path, public)


HEADED = 7
"""Lines of the file before the first of the journal."""


async def test_a_whole_journal_is_checked_from_its_file(
    ledger: Database, tmp_path: Path, public: bytes
) -> None:
    report = checked_lines(await journal(ledger), tmp_path, public)
    assert report.sound, report.findings
    assert (report.kind, report.entries, report.proven, report.seals) == ("journal", 27, 27, 2)


def rehash(lines: list[dict[str, Any]], start: int) -> None:
    """Forge on: give every line from ``start`` on the hash that its columns give, and the header the last."""
    previous = bytes.fromhex(lines[start - 1]["hash"])
    for line in lines[start:]:
        written = line_form.WrittenLine(
            **{name: value for name, value in read_back(line).items() if name != "hash"}, hash="00" * 32
        )
        previous = chain.extend(previous, chain.leaf(written.read()))
        line["hash"] = previous.hex()
    lines[0]["head"] = previous.hex()


def read_back(line: dict[str, Any]) -> dict[str, Any]:
    return msgspec.structs.asdict(msgspec.json.decode(json.dumps(line), type=line_form.WrittenLine))


JOURNAL_CHANGES: list[tuple[str, Callable[[list[dict[str, Any]]], Any], str, str]] = [
    ("a column", lambda j: j[HEADED + 4].update(policy_version=2), Fault.ENTRY_ALTERED, "file line 12"),
    ("a hash", lambda j: j[HEADED + 4].update(hash="00" * 32), Fault.ENTRY_ALTERED, "file line 12"),
    ("a line cut out", lambda j: j.pop(HEADED + 2), Fault.ENTRY_MISSING, "file line 10"),
    ("lines swapped", lambda j: j.insert(HEADED + 5, j.pop(HEADED + 2)), Fault.ENTRY_MISSING, "file line 10"),
    ("the end cut off", lambda j: j.pop(), Fault.HEAD_MISMATCH, "entry 26"),
    ("the head", lambda j: j[0].update(head="00" * 32), Fault.HEAD_MISMATCH, "entry 27"),
    ("an owner", lambda j: j[4]["account"].update(owner=str(OTHER)), Fault.ACCOUNT_ALTERED, "file line 5"),
    ("an account left out", lambda j: j.pop(3), Fault.ACCOUNT_ALTERED, "file line 7"),
    ("a seal", lambda j: j[0]["seals"][0].update(entry_number=26), Fault.SEAL_FORGED, "seal 1"),
    ("no JSON", lambda j: j.insert(HEADED, {"account": 5}), FileFault.UNREADABLE, "file line 8"),
    ("another format", lambda j: j[0].update(format=2), FileFault.UNREADABLE, "file line 1"),
]


@pytest.mark.parametrize(
    ("change", "fault", "where"),
    [each[1:] for each in JOURNAL_CHANGES],
    ids=[each[0] for each in JOURNAL_CHANGES],
)
async def test_whatever_is_changed_in_a_journals_file_is_named_with_its_line(
    ledger: Database, tmp_path: Path, public: bytes, change: Callable[[Any], Any], fault: str, where: str
) -> None:
    lines = await journal(ledger)
    change(lines)
    first = told(checked_lines(lines, tmp_path, public))[0]
    assert first[0] == fault
    assert first[1].startswith(where)


async def test_a_journals_file_rewritten_with_all_its_hashes_no_longer_fits_its_seals(
    ledger: Database, tmp_path: Path, public: bytes
) -> None:
    lines = await journal(ledger)
    lines[HEADED + 20]["actor_ref"] = str(OTHER)
    rehash(lines, HEADED + 20)
    number = lines[HEADED + 20]["number"]
    found = told(checked_lines(lines, tmp_path, public))
    sealed = sorted(seal["entry_number"] for seal in lines[0]["seals"] if seal["entry_number"] >= number)
    assert found[:-1] == [(Fault.SEAL_MISMATCH, f"entry {size}") for size in sealed]
    assert found[-1][0] == FileFault.UNPROVEN
    assert sealed


async def test_a_tail_cut_off_a_journals_file_with_its_header_is_found_by_the_seal(
    ledger: Database, tmp_path: Path, public: bytes
) -> None:
    lines = (await journal(ledger))[:-1]
    lines[0].update(entries=26, head=lines[-1]["hash"])
    assert told(checked_lines(lines, tmp_path, public)) == [
        (Fault.SEAL_MISMATCH, "entry 27"),
        (FileFault.UNPROVEN, "entry 19 on"),
    ]


async def test_rules_in_a_journals_file_must_be_those_under_its_seals(
    ledger: Database, tmp_path: Path, public: bytes
) -> None:
    lines = await journal(ledger)
    async with ledger.unit_of_work(1) as uow:
        lines[0]["policies"] = await audit_store.policies(uow)
    assert checked_lines(lines, tmp_path, public).sound
    lines[0]["policies"][0]["body"]["hold_hours"] += 1
    assert sorted(told(checked_lines(lines, tmp_path, public))) == [
        (Fault.POLICY_ALTERED, "entry 18"),
        (Fault.POLICY_ALTERED, "entry 27"),
    ]
    lines[0]["policies"] = [{}]
    assert (FileFault.UNREADABLE, "file line 1") in told(checked_lines(lines, tmp_path, public))


def invent(lines: list[dict[str, Any]]) -> None:
    """Add an entry of one's own behind the last."""
    last = next(
        line for line in reversed(lines) if line.get("debit") == str(account_id(1, accounts.available(OTHER)))
    )
    before = next(line for line in reversed(lines) if line.get("credit") == last["credit"])
    after = next(
        line["debit_after"] if line["debit"] == last["debit"] else line["credit_after"]
        for line in reversed(lines)
        if last["debit"] in (line.get("debit"), line.get("credit"))
    )
    lines.append(
        before
        | {
            "number": lines[-1]["number"] + 1,
            "line": 1,
            "debit": last["debit"],
            "amount": 9_000,
            "debit_after": after + 9_000,
            "credit_after": before["credit_after"] - 9_000,
        }
    )
    lines[0]["entries"] += 1
    rehash(lines, len(lines) - 1)


async def test_entries_made_up_behind_the_last_seal_of_a_journals_file_are_unproven(
    ledger: Database, tmp_path: Path, public: bytes
) -> None:
    lines = await journal(ledger)
    invent(lines)
    report = checked_lines(lines, tmp_path, public)
    assert told(report) == [(FileFault.UNPROVEN, "entry 28 on")]
    assert (report.entries, report.proven) == (28, 27)
    path = str(tmp_path / "journal.jsonl")
    strict = CliRunner().invoke(audit, ["verify-file", path, "--key", public.hex()])
    assert (strict.exit_code, "entry 28 on: unproven" in strict.output) == (1, True)
    lenient = CliRunner().invoke(audit, ["verify-file", path, "--key", public.hex(), "--unsealed"])
    assert lenient.exit_code == 0
    assert "not under the chain, proven by nothing: 1 holds" in lenient.output
    assert lenient.output.endswith("no seal vouches for the other 1 entries\n")


@pytest.mark.parametrize("nothing_sealed", [True, False])
async def test_a_journals_file_that_no_seal_covers_is_unproven(
    ledger: Database, tmp_path: Path, key: Ed25519PrivateKey, public: bytes, nothing_sealed: bool
) -> None:
    lines = await journal(ledger)
    lines[0]["seals"] = [_seal_of_nothing(key)] if nothing_sealed else []
    report = checked_lines(lines, tmp_path, public)
    assert told(report) == [(FileFault.UNPROVEN, "entry 1 on")]
    assert report.proven == 0
    run = ["verify-file", str(tmp_path / "journal.jsonl"), "--key", public.hex(), "--unsealed"]
    assert CliRunner().invoke(audit, run).output.endswith("whole in itself, but no seal vouches for it\n")


@pytest.mark.parametrize("wrong", [{"hash_": bytes(32)}, {"merkle_root": bytes(32)}])
async def test_a_seal_of_an_empty_journal_must_be_of_its_beginning(
    ledger: Database, tmp_path: Path, key: Ed25519PrivateKey, public: bytes, wrong: dict[str, bytes]
) -> None:
    lines = await journal(ledger)
    lines[0]["seals"] += [_seal_of_nothing(key)]
    assert checked_lines(lines, tmp_path, public).sound
    lines[0]["seals"][-1] = _seal_of_nothing(key, **wrong)
    assert told(checked_lines(lines, tmp_path, public)) == [(Fault.SEAL_MISMATCH, "entry 0")]


def _seal_of_nothing(key: Ed25519PrivateKey, **changed: bytes) -> dict[str, Any]:
    facts = {"hash_": chain.genesis(1), "merkle_root": merkle.EMPTY} | changed
    return seal_form.sign(key, community_id=1, entry_number=0, algorithm="sha256", sealed_at=NOON, **facts)


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
