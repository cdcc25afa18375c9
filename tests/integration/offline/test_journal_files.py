"""A whole journal is checked from its file alone; whatever was changed in it is named with its line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.cli.auditing import audit
from pointsbank.domain import accounts, chain, merkle
from pointsbank.domain.accounts import Commodity
from pointsbank.platform.database import Database
from services.ledger.batch import account_id
from services.ledger.proof import audit_store, line_form, proof_store, seal_form, seals
from services.ledger.proof.faults import Fault, FileFault
from services.ledger.proof.file_check import FileReport
from services.ledger.proof.proof_check import check_file
from tests.integration.offline.support import MEMBER, OTHER, told
from tests.ledgers import NOON


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
