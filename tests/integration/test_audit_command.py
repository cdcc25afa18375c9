"""``pointsbank audit``: what its commands say, write and answer."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner

from api.cli import main
from pointsbank.domain import accounts
from pointsbank.domain.accounts import Commodity
from pointsbank.domain.journal import EntryKind, Transfer
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.ledger import service
from services.ledger.proof import last_verification, seal_form, seals
from tests.ledgers import NOON, entry, tamper
from tests.worlds import small_world

SECOND_DAY = NOON + timedelta(days=1)
ENTRIES = 600


@dataclass(frozen=True, slots=True)
class Said:
    """How the command ended and what it printed."""

    code: int
    output: str


@dataclass(frozen=True, slots=True)
class Desk:
    """A bank with a journal of two days; run: ``pointsbank audit …`` on it."""

    app_url: str
    data: Path
    member: str
    code: str

    async def run(self, *words: str | Path) -> Said:
        """Run ``pointsbank audit`` with these words."""
        environment = {
            "POINTSBANK_APP_DATABASE_URL": self.app_url,
            "POINTSBANK_DATA": str(self.data),
            "COLUMNS": "200",
        }
        given = ["audit", *map(str, words)]
        result = await asyncio.to_thread(CliRunner().invoke, main, given, env=environment)
        assert isinstance(result.exception, SystemExit | None), result.exc_info
        return Said(result.exit_code, result.output)


@pytest.fixture
async def audited(database: Database, app_url: str, tmp_path: Path) -> Desk:
    clock = FixedClock(NOON - timedelta(hours=3))
    database.clock = clock
    world = await small_world(database)
    member = world.volunteer
    assert member.member_number is not None
    for day, number in ((NOON, 0), (SECOND_DAY, ENTRIES // 2)):
        clock.move_to(day)
        async with database.unit_of_work(1) as uow:
            await service.post_many(
                uow,
                [
                    entry(
                        f"v{at}",
                        [
                            Transfer(
                                accounts.issuance(Commodity.MINUTE), accounts.service(member.ledger_ref), 30
                            ),
                            Transfer(
                                accounts.issuance(Commodity.POINT), accounts.available(member.ledger_ref), 500
                            ),
                        ],
                        kind=EntryKind.EARNING,
                    )
                    for at in range(number, number + ENTRIES // 2)
                ],
            )
    async with database.unit_of_work(1) as uow:
        code = await (await uow.connection()).fetchval("SELECT code FROM bank.communities WHERE id = 1")
    return Desk(app_url, tmp_path, member.member_number, code)


@pytest.fixture
async def owner(audited: Desk, owner_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(owner_url)
    yield connection
    await connection.close()


async def test_a_journal_is_verified_and_the_page_will_know(audited: Desk) -> None:
    said = await audited.run("verify", "--processes", "2")
    assert said.code == 0, said.output
    assert f"{audited.code}: {ENTRIES} entries in {2 * ENTRIES} lines, 4 accounts, 0 seals" in said.output
    assert "0 seals (0 kept outside, 0 in the database)" in said.output
    assert said.output.endswith("it is sound in itself, but no seal vouches for it\n")
    await audited.run("seal")
    said = await audited.run("verify")
    assert "1 seals (1 kept outside, 1 in the database)" in said.output
    assert said.output.endswith("the journal is sound\n")
    last = last_verification.recall(audited.data, 1)
    assert last is not None
    assert last.sound
    assert last.entries == ENTRIES


async def test_since_a_day_and_since_a_number_say_from_where(audited: Desk) -> None:
    by_day = await audited.run("verify", "--since", "2026-03-03")
    assert f"344 entries from entry 257 on in {2 * 344} lines" in by_day.output
    assert by_day.output.endswith("it is sound in itself from there on, but no seal vouches for it\n")
    by_number = await audited.run("verify", "--since", "301")
    assert by_number.output == by_day.output
    assert last_verification.recall(audited.data, 1) is None, "it was not a whole verification"
    for wrong in ("0", "yesterday", "-1", "2026-02-30"):
        said = await audited.run("verify", f"--since={wrong}")
        assert said.code == 2, wrong


async def test_a_tampered_journal_is_named_and_the_command_fails(
    audited: Desk, owner: asyncpg.Connection
) -> None:
    await tamper(owner, "UPDATE bank.journal_lines SET amount = amount * 2 WHERE number = 300 AND line = 2")
    said = await audited.run("verify")
    assert said.code == 1
    assert "  entry 300: entry_altered\n" in said.output
    last = last_verification.recall(audited.data, 1)
    assert last is not None
    assert not last.sound
    assert last.findings[0] == ("entry_altered", "entry 300")


async def test_a_seal_by_another_key_than_the_one_here_is_a_fault(audited: Desk) -> None:
    await audited.run("seal")
    key = seals.load_key(audited.data).public_key().public_bytes_raw().hex()
    (audited.data / seals.KEY_FILE).unlink()
    assert (await audited.run("verify")).code == 0, "no key is known here"
    other = seals.load_key(audited.data)
    said = await audited.run("verify")
    assert said.code == 1
    assert f"  entry {ENTRIES}: seal_forged\n" in said.output
    assert (await audited.run("verify", "--key", key)).code == 0
    said = await audited.run("verify", "--key", other.public_key().public_bytes_raw().hex())
    assert "seal_forged" in said.output
    assert (await audited.run("verify", "--key", "ab")).code == 1


async def test_nothing_is_not_sound(app_url: str, database: Database, tmp_path: Path) -> None:
    said = await Desk(app_url, tmp_path, "", "").run("verify")
    assert said.code == 1
    assert "there is no community" in said.output


async def test_seals_of_a_journal_that_is_not_here_are_a_fault(audited: Desk) -> None:
    sealed = json.loads((await audited.run("seal")).output)
    path, key = audited.data / "given.jsonl", seals.load_key(audited.data)
    strange = seal_form.sign(
        key,
        community_id=7,
        entry_number=3,
        hash_=bytes(32),
        merkle_root=bytes(32),
        algorithm="sha256",
        sealed_at=NOON,
    )
    path.write_text(json.dumps(sealed) + "\n")
    assert (await audited.run("verify", "--seals", path)).code == 0
    path.write_text(json.dumps(sealed) + "\n" + json.dumps(strange) + "\n")
    said = await audited.run("verify", "--seals", path)
    assert said.code == 1
    assert "seals of community 7: seal_mismatch" in said.output


async def test_a_journal_that_does_not_go_on_from_its_seals_is_not_sealed_and_that_is_said_in_one_line(
    audited: Desk,
) -> None:
    other = seal_form.sign(
        seals.load_key(audited.data),
        community_id=1,
        entry_number=ENTRIES,
        hash_=bytes(32),
        merkle_root=bytes(32),
        algorithm="sha256",
        sealed_at=NOON,
    )
    seals.append_seal(seals.seals_file(audited.data, 1), json.dumps(other))
    said = await audited.run("seal")
    assert said.code == 1
    assert "does not go on from the last seal kept: nothing was signed" in said.output
    days = ("--from", "2026-03-03", "--to", "2026-03-03")
    said = await audited.run("prove", "--member", audited.member, *days, "-o", audited.data / "x.json")
    assert said.code == 1
    assert "nothing was signed" in said.output
    assert len(seals.read_seals(seals.seals_file(audited.data, 1))) == 1


async def test_a_seal_is_written_to_the_file_and_printed_for_paper(audited: Desk) -> None:
    said = await audited.run("seal", "--print")
    (sealed,) = seals.read_seals(seals.seals_file(audited.data, 1))
    assert sealed.entry_number == ENTRIES
    assert said.output.startswith(f"{audited.code}  entry {ENTRIES}  ")
    root = sealed.merkle_root.hex()
    assert f"root {root[:4]} {root[4:8]} " in said.output
    plain = await audited.run("seal")
    assert json.loads(plain.output)["merkle_root"] == root


async def test_a_member_gets_a_certificate_that_anybody_can_check(audited: Desk) -> None:
    file = audited.data / "certificate.json"
    days = ("--from", "2026-03-03", "--to", "2026-03-03")
    said = await audited.run("prove", "--member", audited.member, "--of", "minutes", *days, "-o", file)
    assert said.output == f"{file}: certificate, {ENTRIES // 2} lines proven\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600, "it names a member's account"
    key = seals.load_key(audited.data).public_key().public_bytes_raw().hex()
    checked = await audited.run("verify-file", file, "--key", key)
    assert checked.code == 0, checked.output
    assert f"minutes {ENTRIES // 2 * 30}\n" in checked.output
    assert checked.output.endswith("everything in it holds\n")
    assert len(seals.read_seals(seals.seals_file(audited.data, 1))) == 1, "what was proven was sealed first"


async def test_without_sealing_first_the_lines_are_told_to_be_unproven(audited: Desk) -> None:
    file = audited.data / "statement.json"
    days = ("--from", "2026-03-02", "--to", "2026-03-03")
    said = await audited.run("prove", "--member", audited.member, *days, "--no-seal", "-o", file)
    assert said.output == f"{file}: statement, 0 lines proven, {ENTRIES} newer than any seal\n"
    key = seals.load_key(audited.data).public_key().public_bytes_raw().hex()
    checked = await audited.run("verify-file", file, "--key", key)
    assert checked.code == 1
    assert "the first at entry 1: unproven" in checked.output
    accepted = await audited.run("verify-file", file, "--key", key, "--unsealed")
    assert accepted.code == 0
    assert accepted.output.endswith("no seal vouches for it\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--member", "nobody", "--from", "2026-03-02", "--to", "2026-03-03"), "there is no such person"),
        (
            ("--member", "MEMBER", "--from", "2026-03-03", "--to", "2026-03-01"),
            "cannot be proven: invalid_value",
        ),
        (
            ("--member", "MEMBER", "--from", "2026-03-02", "--to", "2026-03-03", "--community", "x"),
            "name one of the communities",
        ),
    ],
)
async def test_what_cannot_be_proven_is_told_in_one_line(
    audited: Desk, words: tuple[str, ...], said: str
) -> None:
    given = [audited.member if word == "MEMBER" else word for word in words]
    answer = await audited.run("prove", *given, "-o", audited.data / "x.json")
    assert answer.code == 1
    assert said in answer.output
    assert not (audited.data / "x.json").exists()


def test_a_kept_verification_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    folder = tmp_path / last_verification.FOLDER
    folder.mkdir()
    (folder / "community-1.json").write_text("{")
    assert last_verification.recall(tmp_path, 1) is None
