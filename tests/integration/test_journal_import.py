"""An exported journal in an empty database is the same journal."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pointsbank.domain import accounts, chain
from pointsbank.domain.accounts import Commodity
from pointsbank.platform.database import Database
from services.founding import found_community
from services.ledger import holds, service
from services.ledger.exchange import export_store, journal_file, journal_import
from services.ledger.exchange.exports import Format
from services.ledger.exchange.journal_file import JournalFileDamaged, JournalFileFault
from services.ledger.exchange.journal_import import AnotherJournalThere, Imported
from services.ledger.proof import audit_store, seal_form, seals
from services.ledger.proof.verification import verify
from tests.journals import MEMBERS, PARTNER, earning, exported, fill, varied_journal
from tests.ledgers import bare_ledger

Change = Callable[[list[dict[str, Any]]], None]


async def bring_in(database: Database, path: Path, public_key: bytes | None = None) -> Imported:
    """Restore without telling anybody how far it is."""
    return await journal_import.import_journal(
        database, path, progress=lambda _step, _done, _of: None, public_key=public_key
    )


async def sealed(database: Database, directory: Path) -> dict[str, Any]:
    """Seal the third entry with the directory's key."""
    async with database.unit_of_work(1) as uow:
        seal: dict[str, Any] = json.loads(await seals.seal_head(uow, seals.load_key(directory), number=3))
    return seal


def without_moment(path: Path) -> list[str]:
    """The file's lines, the moment of export left out of the first."""
    lines = path.read_text().splitlines(keepends=True)
    header = json.loads(lines[0])
    header.pop("exported_at")
    return [json.dumps(header), *lines[1:]]


def changed(path: Path, change: Change) -> Path:
    """A copy of the file with its objects changed."""
    objects = [json.loads(line) for line in path.read_text().splitlines()]
    change(objects)
    copy = path.with_name("changed.jsonl")
    copy.write_text("".join(json.dumps(each, separators=(",", ":")) + "\n" for each in objects))
    return copy


async def count(database: Database, table: str) -> int:
    """How many rows a table of the bank has in all."""
    async with database.unit_of_work(1) as uow:
        return int(await (await uow.connection()).fetchval(f"SELECT count(*) FROM bank.{table}"))


async def test_an_import_gives_the_same_head_balances_statements_and_holds(
    database: Database, other_database: Database, tmp_path: Path
) -> None:
    await varied_journal(database)
    path = tmp_path / "books.jsonl"
    books = await exported(database, Format.JSONL, path, seals=(await sealed(database, tmp_path),))
    done = await bring_in(other_database, path)
    assert (done.entries, done.already, done.header.head) == (books.entries, 0, books.head.hex())
    seen = []
    for each in (database, other_database):
        async with each.unit_of_work(1, snapshot=True) as uow:
            verification = await verify(uow)
            assert verification.sound
            now = uow.clock.now()
            codes = [accounts.available(MEMBERS[0]), accounts.held(MEMBERS[0]), accounts.service(MEMBERS[1])]
            seen.append(
                (
                    await audit_store.head(uow),
                    await service.balances(uow, codes),
                    [
                        (await service.statement(uow, code, books.recorded_at.replace(year=2020), now)).lines
                        for code in codes
                    ],
                    [hold async for page in export_store.holds(uow) for hold in page],
                    await export_store.policies(uow),
                    await export_store.accounts(uow),
                )
            )
    assert seen[0] == seen[1]
    assert {hold["state"] for hold in seen[0][3]} == {"open", "captured", "voided", "expired"}


async def test_the_export_of_an_import_is_the_file_it_was_imported_from(
    database: Database, other_database: Database, tmp_path: Path
) -> None:
    await varied_journal(database)
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    await exported(database, Format.JSONL, first, seals=(await sealed(database, tmp_path),))
    done = await bring_in(other_database, first)
    await exported(other_database, Format.JSONL, second, seals=tuple(done.header.seals))
    assert without_moment(second) == without_moment(first)


async def test_the_first_line_says_what_a_check_needs(database: Database, tmp_path: Path) -> None:
    await varied_journal(database)
    path = tmp_path / "books.jsonl"
    seal = await sealed(database, tmp_path)
    books = await exported(database, Format.JSONL, path, seals=(seal,))
    header, *rest = (json.loads(line) for line in path.read_text().splitlines())
    assert {name: header[name] for name in ("pointsbank", "format", "community_id", "algorithm")} == {
        "pointsbank": "journal",
        "format": 1,
        "community_id": 1,
        "algorithm": "sha256",
    }
    assert (header["entries"], header["head"], header["seals"]) == (books.entries, books.head.hex(), [seal])
    kinds = ["account" if "account" in each else "hold" if "hold" in each else "line" for each in rest]
    assert kinds == sorted(kinds)
    assert rest[-1]["hash"] == header["head"]
    assert rest[-1]["recorded_at"].endswith("+00:00")
    assert len(rest[-1]["recorded_at"]) == len("2026-03-02T04:00:00.000000+00:00")


async def test_a_restored_journal_goes_on(
    database: Database, other_database: Database, tmp_path: Path
) -> None:
    await varied_journal(database)
    path = tmp_path / "books.jsonl"
    books = await exported(database, Format.JSONL, path)
    await bring_in(other_database, path)
    async with other_database.unit_of_work(1) as uow:
        posted = await service.post(uow, earning(MEMBERS[0], 30))
        assert posted.number == books.entries + 1
        found = [hold async for page in export_store.holds(uow) for hold in page]
        open_hold = next(hold["id"] for hold in found if hold["state"] == "open")
        await holds.void_hold(uow, open_hold, actor=PARTNER)
    async with other_database.unit_of_work(1, snapshot=True) as uow:
        assert (await verify(uow)).sound


async def test_an_import_that_was_cut_off_goes_on_where_it_stopped(
    database: Database, other_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await varied_journal(database)
    path = tmp_path / "books.jsonl"
    books = await exported(database, Format.JSONL, path)
    monkeypatch.setattr(journal_import, "LINES_PER_COMMIT", 3)
    commits = 0

    def cut(step: str, _done: int, _of: int) -> None:
        nonlocal commits
        commits += step == "import"
        if commits == 6:
            raise KeyboardInterrupt

    already = []
    for _ in range(20):
        commits = 0
        try:
            done = await journal_import.import_journal(other_database, path, progress=cut)
            break
        except KeyboardInterrupt:
            async with other_database.unit_of_work(1, snapshot=True) as uow:
                verification = await verify(uow)
                already.append((verification.entries, verification.sound))
    assert len(already) >= 3
    assert all(sound for _, sound in already)
    assert done.already == already[-1][0] < done.entries == books.entries
    async with other_database.unit_of_work(1, snapshot=True) as uow:
        assert (await audit_store.head(uow))["hash"] == books.head
        assert (await verify(uow)).sound
    again = await bring_in(other_database, path)
    assert again.already == again.entries == books.entries


async def test_every_size_of_commit_gives_the_same_journal(
    database: Database, other_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await varied_journal(database)
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    await exported(database, Format.JSONL, first)
    monkeypatch.setattr(journal_import, "LINES_PER_COMMIT", 1)
    await bring_in(other_database, first)
    await exported(other_database, Format.JSONL, second)
    assert without_moment(second) == without_moment(first)


async def test_a_file_with_one_changed_byte_is_refused_by_number_and_writes_nothing(
    database: Database, other_database: Database, tmp_path: Path
) -> None:
    await varied_journal(database)
    path = tmp_path / "books.jsonl"
    await exported(database, Format.JSONL, path)
    lines = path.read_bytes().splitlines(keepends=True)
    place = len(lines) - 9
    line = json.loads(lines[place])
    at = lines[place].index(b'"subject_ref":"') + 20
    lines[place] = lines[place][:at] + bytes([lines[place][at] ^ 1]) + lines[place][at + 1 :]
    path.write_bytes(b"".join(lines))
    with pytest.raises(JournalFileDamaged) as refused:
        await bring_in(other_database, path)
    assert refused.value.facts() == {"fault": "altered", "file_line": place + 1, "entry": line["number"]}
    assert await count(other_database, "communities") == 0


def rehash(objects: list[dict[str, Any]]) -> None:
    """Do what a forger would: give every line the hash it now has, and the header the new head."""
    hashed = chain.genesis(1)
    for each in objects:
        if "hash" in each:
            line = journal_file.decode_line(json.dumps(each).encode())
            hashed = chain.extend(hashed, chain.leaf(line))  # type: ignore[arg-type]
            each["hash"] = hashed.hex()
    objects[0]["head"] = hashed.hex()


def forge_amount(objects: list[dict[str, Any]]) -> None:
    objects[-3]["amount"] += 1
    rehash(objects)


def forge_overdraft(objects: list[dict[str, Any]]) -> None:
    """The last line takes more than there is, and everything adds up."""
    ids = {each["account"]["kind"]: each["account"]["id"] for each in objects if "account" in each}
    pool = next(each for each in reversed(objects) if each.get("credit") == ids["pool"])
    line = objects[-1]
    issuance = next(each for each in reversed(objects[:-1]) if each.get("credit") == line["credit"])
    line |= {
        "debit": line["credit"],
        "credit": ids["pool"],
        "amount": 10**9,
        "debit_after": issuance["credit_after"] + 10**9,
        "credit_after": pool["credit_after"] - 10**9,
        "expires_on": None,
    }
    rehash(objects)


def forge_passing_overdraft(objects: list[dict[str, Any]]) -> None:
    """The entry after the overdraft pays it back."""
    forge_overdraft(objects)
    line, pool = objects[-1], next(each for each in reversed(objects[:-1]) if "credit" in each)
    before = pool["credit_after"] if pool["credit"] == line["debit"] else line["debit_after"] - 10**9
    objects.append(
        line
        | {
            "number": line["number"] + 1,
            "line": 1,
            "id": str(uuid4()),
            "debit": line["credit"],
            "credit": line["debit"],
            "debit_after": line["credit_after"] + 10**9,
            "credit_after": before,
        }
    )
    objects[0]["entries"] += 1
    rehash(objects)


def forge_second_reversal(objects: list[dict[str, Any]]) -> None:
    """The last entry claims to take back what was taken back before."""
    reversal = next(each for each in objects if each.get("reverses"))
    for line in objects[-2:]:
        line |= {"kind": "reversal", "reverses": reversal["reverses"]}
    rehash(objects)


def hold_of(objects: list[dict[str, Any]], state: str) -> dict[str, Any]:
    return next(each["hold"] for each in objects if each.get("hold", {}).get("state") == state)


def double(objects: list[dict[str, Any]]) -> None:
    objects.insert(-1, dict(objects[-1]))


def swap_accounts(objects: list[dict[str, Any]]) -> None:
    one, other = objects[1]["account"], objects[2]["account"]
    one["owner"], other["owner"] = other["owner"], one["owner"]
    one["kind"], other["kind"] = other["kind"], one["kind"]
    one["commodity"], other["commodity"] = other["commodity"], one["commodity"]


def no_holds(objects: list[dict[str, Any]]) -> None:
    objects[:] = [each for each in objects if "hold" not in each]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda o: o[0].update(format=2), JournalFileFault.NEWER_FORMAT),
        (lambda o: o[0].update(pointsbank="statement"), JournalFileFault.NOT_A_JOURNAL),
        (lambda o: o[0].update(algorithm="md5"), JournalFileFault.UNKNOWN_ALGORITHM),
        (lambda o: o[0].update(head="00" * 32), JournalFileFault.HEAD),
        (lambda o: o[0].update(entries=1), JournalFileFault.HEAD),
        (lambda o: o.pop(), JournalFileFault.HEAD),
        (lambda o: o.__delitem__(slice(-2, None)), JournalFileFault.CUT_SHORT),
        (lambda o: o.__delitem__(slice(-4, -2)), JournalFileFault.GAP),
        (lambda o: o.pop(-3), JournalFileFault.ALTERED),
        (double, JournalFileFault.GAP),
        (lambda o: o.pop(1), JournalFileFault.ACCOUNT),
        (swap_accounts, JournalFileFault.ACCOUNT),
        (lambda o: o[-4].update(amount="7"), JournalFileFault.UNREADABLE),
        (lambda o: o[-4].update(amount=2**64), JournalFileFault.UNREADABLE),
        (lambda o: o[-4].update(extra=1), JournalFileFault.UNREADABLE),
        (lambda o: o[-4].update(policy_version=9), JournalFileFault.ALTERED),
        (lambda o: o[-4].update(community_id=2), JournalFileFault.ALTERED),
        (forge_amount, JournalFileFault.BALANCE),
        (forge_overdraft, JournalFileFault.FLOOR),
        (forge_passing_overdraft, JournalFileFault.FLOOR),
        (forge_second_reversal, JournalFileFault.REFUSED),
        (no_holds, JournalFileFault.HOLD),
        (lambda o: hold_of(o, "captured").update(captured=599), JournalFileFault.HOLD),
        (lambda o: hold_of(o, "voided").update(state="open"), JournalFileFault.HOLD),
        (lambda o: hold_of(o, "open").update(amount=1), JournalFileFault.HOLD),
    ],
)
async def test_a_damaged_or_forged_file_is_refused_by_what_is_wrong_with_it(
    database: Database, other_database: Database, tmp_path: Path, change: Change, fault: JournalFileFault
) -> None:
    await varied_journal(database)
    path = tmp_path / "books.jsonl"
    await exported(database, Format.JSONL, path)
    with pytest.raises(JournalFileDamaged) as refused:
        await bring_in(other_database, changed(path, change))
    assert refused.value.fault == fault
    assert await count(other_database, "journal_lines") == 0


def _signed(key: Ed25519PrivateKey, seal: dict[str, Any], **changed: Any) -> dict[str, Any]:
    facts = {
        "community_id": seal["community_id"],
        "entry_number": seal["entry_number"],
        "hash_": bytes.fromhex(seal["hash"]),
        "merkle_root": bytes.fromhex(seal["merkle_root"]),
    }
    at = datetime.fromisoformat(seal["sealed_at"])
    return seal_form.sign(key, algorithm=seal["algorithm"], sealed_at=at, **(facts | changed))


@pytest.mark.parametrize(
    "change",
    [
        {"community_id": 2},
        {"entry_number": 4},
        {"entry_number": 0},
        {"entry_number": 10**6},
        {"hash_": bytes(32)},
        {"merkle_root": bytes(32)},
    ],
)
async def test_a_seal_that_is_not_of_the_files_journal_is_refused_before_anything_is_written(
    database: Database, other_database: Database, tmp_path: Path, change: dict[str, Any]
) -> None:
    await varied_journal(database)
    path, key = tmp_path / "books.jsonl", seals.load_key(tmp_path)
    good = await sealed(database, tmp_path)
    await exported(database, Format.JSONL, path, seals=(good, _signed(key, good, **change)))
    with pytest.raises(JournalFileDamaged) as refused:
        await bring_in(other_database, path)
    assert refused.value.fault == JournalFileFault.SEAL
    assert await count(other_database, "communities") == 0


async def test_a_seal_that_is_none_or_by_another_key_is_refused(
    database: Database, other_database: Database, tmp_path: Path
) -> None:
    await varied_journal(database)
    path = tmp_path / "books.jsonl"
    good = await sealed(database, tmp_path)
    key = seals.load_key(tmp_path).public_key().public_bytes_raw()
    for seal in (
        good | {"signature": "11" * 64},
        good | {"more": 1},
        _signed(Ed25519PrivateKey.generate(), good),
    ):
        await exported(database, Format.JSONL, path, seals=(seal,))
        with pytest.raises(JournalFileDamaged) as refused:
            await bring_in(other_database, path, key)
        assert refused.value.fault == JournalFileFault.SEAL
    await exported(database, Format.JSONL, path, seals=(good,))
    assert (await bring_in(other_database, path, key)).entries


async def test_a_first_line_as_long_as_many_seals_make_it_is_read(database: Database, tmp_path: Path) -> None:
    await varied_journal(database)
    path = tmp_path / "books.jsonl"
    await exported(database, Format.JSONL, path, seals=tuple([await sealed(database, tmp_path)] * 40_000))
    with path.open("rb") as file:
        assert len(file.readline()) > journal_file.LINE_BYTES_MAX
    assert len(journal_file.read_header(path).seals) == 40_000


async def test_half_a_line_at_the_end_is_refused(
    database: Database, other_database: Database, tmp_path: Path
) -> None:
    await varied_journal(database)
    path = tmp_path / "books.jsonl"
    await exported(database, Format.JSONL, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(JournalFileDamaged) as refused:
        await bring_in(other_database, path)
    assert refused.value.fault == JournalFileFault.UNREADABLE
    assert refused.value.file_line == path.read_bytes().count(b"\n") + 1


async def test_a_journal_does_not_come_into_another_ones_database(
    database: Database, other_database: Database, tmp_path: Path
) -> None:
    await varied_journal(database)
    path = tmp_path / "books.jsonl"
    await exported(database, Format.JSONL, path)
    await bare_ledger(other_database)
    await fill(other_database, 3)
    with pytest.raises(AnotherJournalThere) as refused:
        await bring_in(other_database, path)
    assert refused.value.entries == 3
    async with other_database.unit_of_work(1, snapshot=True) as uow:
        assert (await audit_store.head(uow))["entry_number"] == 3


async def test_another_journal_of_the_same_length_and_accounts_is_told_from_the_files(
    database: Database, other_database: Database, tmp_path: Path
) -> None:
    for each in (database, other_database):
        await bare_ledger(each)
        await fill(each, 6)
    path = tmp_path / "books.jsonl"
    await exported(database, Format.JSONL, path)
    with pytest.raises(AnotherJournalThere):
        await bring_in(other_database, path)


async def test_a_journal_that_went_on_takes_no_older_copy_of_itself(
    database: Database, tmp_path: Path
) -> None:
    await varied_journal(database)
    path = tmp_path / "books.jsonl"
    await exported(database, Format.JSONL, path)
    await fill(database, 1)
    with pytest.raises(AnotherJournalThere):
        await bring_in(database, path)


async def test_a_community_with_other_words_or_rules_takes_no_journal(
    database: Database, other_database: Database, tmp_path: Path
) -> None:
    await varied_journal(database)
    path = tmp_path / "books.jsonl"
    await exported(database, Format.JSONL, path)
    await bare_ledger(other_database)

    def other_code(objects: list[dict[str, Any]]) -> None:
        objects[0]["community"]["code"] = "other"

    def other_rules(objects: list[dict[str, Any]]) -> None:
        objects[0]["policies"][0]["body"]["hold_hours"] += 1

    for change in (other_code, other_rules):
        with pytest.raises(AnotherJournalThere):
            await bring_in(other_database, changed(path, change))
    assert await count(other_database, "policy_versions") == 1


async def test_a_founded_community_with_an_empty_journal_takes_it(
    database: Database, other_database: Database, tmp_path: Path
) -> None:
    for each in (database, other_database):
        await found_community(each, community_id=1, code="test", name="测试")
    await fill(database, 20)
    path = tmp_path / "books.jsonl"
    books = await exported(database, Format.JSONL, path)
    assert (await bring_in(other_database, path)).entries == 20
    async with other_database.unit_of_work(1) as uow:
        assert (await audit_store.head(uow))["hash"] == books.head
        assert await service.balance(uow, accounts.issuance(Commodity.MINUTE)) < 0


async def test_an_empty_journal_is_imported_as_an_empty_journal(
    database: Database, other_database: Database, tmp_path: Path
) -> None:
    await bare_ledger(database)
    path = tmp_path / "books.jsonl"
    await exported(database, Format.JSONL, path)
    assert (await bring_in(other_database, path)).entries == 0
    assert await count(other_database, "ledger_heads") == 1
