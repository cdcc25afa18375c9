"""Reading tables, and giving refused rows back."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest

from pointsbank.platform.sheets import Column, RefusedFile, Sheet, SheetUnreadable, encoding_of
from services.care.sheet_import import SERVICE_COLUMNS
from services.people.roster import ROSTER_COLUMNS
from tests.imports import SAMPLES

COLUMNS = (Column("name", ("姓名", "name"), required=True), Column("phone", ("电话", "phone")))


def sheet_of(tmp_path: Path, content: bytes, name: str = "list.csv") -> Sheet:
    """A sheet over a file with that content."""
    (tmp_path / name).write_bytes(content)
    return Sheet(tmp_path / name, COLUMNS)


def cells_of(sheet: Sheet) -> list[tuple[int, str, str]]:
    """Row number, name and phone of every row."""
    return [(row.number, row.cells["name"], row.cells.get("phone", "")) for row in sheet.rows()]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_encoding_and_delimiter_are_found(
    tmp_path: Path, encoding: str, delimiter: str, newline: str
) -> None:
    text = newline.join([f"姓名{delimiter}电话", f"测试甲{delimiter}123456", ""])
    assert cells_of(sheet_of(tmp_path, text.encode(encoding))) == [(2, "测试甲", "123456")]


def test_a_character_cut_by_a_block_boundary_does_not_look_like_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pointsbank.platform.sheets.BLOCK_BYTES", 7)
    path = tmp_path / "list.csv"
    for encoding, found in (("utf-8", "utf-8-sig"), ("gb18030", "gb18030")):
        path.write_bytes(("姓名\n" + "测试𠮷" * 50).encode(encoding))
        assert encoding_of(path) == found


def test_a_file_in_no_known_encoding_is_named_with_line_and_byte(tmp_path: Path) -> None:
    with pytest.raises(SheetUnreadable, match=r"not UTF-8 at byte 12 \(line 2\), not GB18030 at byte 12"):
        sheet_of(tmp_path, "姓名\n12345".encode() + b"\xff\xff\n")


def test_titles_may_stand_above_the_header(tmp_path: Path) -> None:
    content = "样例社区花名册,\n,\n 姓 名 ,电话\n测试甲,123456\n"
    assert cells_of(sheet_of(tmp_path, content.encode())) == [(4, "测试甲", "123456")]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(SheetUnreadable, match="no header row with the column 姓名/name"):
        sheet_of(tmp_path, "电话\n123456\n".encode())


def test_two_columns_of_one_meaning_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SheetUnreadable, match="two columns are both name"):
        sheet_of(tmp_path, "姓名,name\n测试甲,测试乙\n".encode())


def test_an_unclosed_quotation_mark_is_named_with_its_line(tmp_path: Path) -> None:
    sheet = sheet_of(tmp_path, '姓名,电话\n测试甲,1\n"测试乙,2\n'.encode())
    with pytest.raises(SheetUnreadable, match="line 3: not a well-formed CSV"):
        list(sheet.rows())


def test_cells_beyond_the_header_are_told(tmp_path: Path) -> None:
    sheet = sheet_of(tmp_path, "姓名,电话\n测试甲,1,\n测试乙,2,3\n".encode())
    assert [row.excess for row in sheet.rows()] == [False, True]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty|has no header row"),
        (b"PK\x03\x04 not a workbook", "not a whole .xlsx workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old .xls"),
    ],
)
def test_what_is_no_table_gets_one_line(tmp_path: Path, content: bytes, complaint: str) -> None:
    with pytest.raises(SheetUnreadable, match=complaint):
        sheet_of(tmp_path, content, "list.xlsx")


def test_a_missing_file_gets_one_line(tmp_path: Path) -> None:
    with pytest.raises(SheetUnreadable, match="cannot be read: No such file"):
        Sheet(tmp_path / "none.csv", COLUMNS)


def test_a_workbook_cut_anywhere_is_refused_and_never_breaks(tmp_path: Path) -> None:
    whole = (SAMPLES / "service.xlsx").read_bytes()
    draw = random.Random(7)
    for length in [draw.randrange(4, len(whole) - 1) for _ in range(40)]:
        (tmp_path / "cut.xlsx").write_bytes(whole[:length])
        with pytest.raises(SheetUnreadable):
            list(Sheet(tmp_path / "cut.xlsx", SERVICE_COLUMNS).rows())


def test_a_workbook_with_a_damaged_byte_is_read_or_refused_and_never_breaks(tmp_path: Path) -> None:
    whole = (SAMPLES / "service.xlsx").read_bytes()
    draw = random.Random(8)
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        damaged[draw.randrange(4, len(whole))] ^= 1 << draw.randrange(8)
        (tmp_path / "damaged.xlsx").write_bytes(damaged)
        try:
            list(Sheet(tmp_path / "damaged.xlsx", SERVICE_COLUMNS).rows())
        except SheetUnreadable:
            refused += 1
    assert refused > 10


def test_the_samples_say_the_same_in_every_format() -> None:
    rosters = [
        [[row.cells[name] for name in ("number", "name", "room", "roles")] for row in sheet.rows()]
        for sheet in (
            Sheet(SAMPLES / name, ROSTER_COLUMNS)
            for name in ("roster.csv", "roster-gb18030.csv", "roster.xlsx")
        )
    ]
    assert rosters[0] == rosters[1] == rosters[2]
    assert len(rosters[0]) == 5


def test_refused_rows_can_be_imported_again_as_they_are(tmp_path: Path) -> None:
    sheet = sheet_of(tmp_path, '备注,姓名,电话\n"a,b",测试甲,12\n'.encode())
    (row,) = sheet.rows()
    with RefusedFile(tmp_path / "again.csv", sheet, language="zh") as file:
        file.write(row.raw, number=row.number, column="电话", reason="phone_number: 不是电话号码")
    again = Sheet(tmp_path / "again.csv", COLUMNS)
    assert again.header == ("备注", "姓名", "电话", "行号", "栏", "原因")
    (same,) = again.rows()
    assert same.cells == row.cells
    with RefusedFile(tmp_path / "third.csv", again, language="en") as file:
        file.write(same.raw, number=same.number, column="电话", reason="again")
    with (tmp_path / "third.csv").open(encoding="utf-8-sig", newline="") as third:
        assert list(csv.reader(third)) == [
            ["备注", "姓名", "电话", "row", "column", "reason"],
            ["a,b", "测试甲", "12", "2", "电话", "again"],
        ]


def test_a_file_of_refused_rows_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    sheet = sheet_of(tmp_path, "姓名\n测试甲\n".encode())

    def break_off() -> None:
        with RefusedFile(tmp_path / "again.csv", sheet, language="zh") as file:
            file.write(("测试甲",), number=2, column="", reason="")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        break_off()
    assert [path.name for path in tmp_path.iterdir()] == ["list.csv"]
