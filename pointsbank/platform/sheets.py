"""Tables that people keep: CSV and XLSX, read row by row, and the refused rows given back to be mended.

A CSV may be UTF-8 (with or without a byte order mark) or GB18030, with commas, semicolons or tabs. Nothing
but the row at hand is held in memory.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import struct
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import openpyxl

from pointsbank.domain.refusal import Refusal

BLOCK_BYTES = 1 << 20
ROWS_MAX = 2_000_000
COLUMNS_MAX = 200
CELL_CHARACTERS_MAX = 2_000
HEADER_ROWS_MAX = 10
"""The header stands in one of the first rows; titles may stand above it."""

DELIMITERS = ",;\t"
XLSX_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    AttributeError,
    EOFError,
    LookupError,
    OverflowError,
    RuntimeError,  # encrypted; NotImplementedError: an unknown compression
    SyntaxError,  # of its XML
    TypeError,
    ValueError,
)
"""What openpyxl raises on a workbook that is cut short or is none."""

EXTRA_COLUMNS = {"zh": ("行号", "栏", "原因"), "en": ("row", "column", "reason")}
"""What a file of refused rows has beside the original columns; ignored when it is imported again."""


class SheetUnreadable(Exception):
    """The file cannot be read as a table; the message is one line for the user."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column an import knows: its name and the headers it goes by, compared without case and spaces."""

    name: str
    headers: tuple[str, ...]
    required: bool = False


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One row. number: as a spreadsheet counts, the first row of the file being 1. cells: by column name,
    stripped, empty when missing. raw: every cell under the header's columns. excess: cells beyond them.
    """

    number: int
    cells: dict[str, str]
    raw: tuple[str, ...]
    excess: bool


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that cannot be taken, and why."""

    number: int
    raw: tuple[str, ...]
    refusal: Refusal


@dataclass(slots=True)
class ImportCounts:
    """What became of a file's rows; in a dry run, what would."""

    imported: int = 0
    already: int = 0
    refused: int = 0


Progress = Callable[[str, float], None]
"""Takes the name of a step and the share of it that is done, 0 to 1."""


class Sheet:
    """A file whose header was found. ``header``: its cells; ``rows()`` may be called again."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        """Open ``path`` and find its header. Raises SheetUnreadable."""
        self.path = path
        self.share_done = 0.0
        try:
            self._size = max(1, path.stat().st_size)
            with path.open("rb") as file:
                start = file.read(4)
        except OSError as error:
            raise SheetUnreadable(f"{path} cannot be read: {error.strerror}") from None
        self._is_xlsx = start.startswith(b"PK")
        if start.startswith(b"\xd0\xcf\x11\xe0"):
            raise SheetUnreadable(f"{path} is an old .xls (or a protected) workbook: save it as .xlsx or CSV")
        self.encoding = "" if self._is_xlsx else encoding_of(path)
        self._find_header(columns)

    def _find_header(self, columns: Sequence[Column]) -> None:
        by_header = {_folded(word): column for column in columns for word in column.headers}
        best: dict[str, int] = {}
        for number, cells in self._records(limit=HEADER_ROWS_MAX):
            found: dict[str, int] = {}
            for place, cell in enumerate(cells):
                column = by_header.get(_folded(cell))
                if column is None:
                    continue
                if column.name in found:
                    raise SheetUnreadable(
                        f"{self.path}: two columns are both {column.name}: "
                        f"{cells[found[column.name]]} and {cell}"
                    )
                found[column.name] = place
            best = max(best, found, key=len)
            if all(column.name in found for column in columns if column.required):
                self.header = tuple(_trimmed(cells))
                self._header_row, self._places = number, found
                return
        missing = [column for column in columns if column.required and column.name not in best]
        as_read = f" (read as {self.encoding})" if self.encoding else ""
        if not missing:
            raise SheetUnreadable(f"{self.path} is empty")
        named = ", ".join("/".join(column.headers[:2]) for column in missing)
        raise SheetUnreadable(
            f"{self.path} has no header row with the column{'s' if len(missing) > 1 else ''} {named}{as_read}"
        )

    def rows(self) -> Iterator[SheetRow]:
        """Give the rows below the header, blank ones left out. Raises SheetUnreadable."""
        width = len(self.header)
        for number, cells in self._records(limit=ROWS_MAX):
            if number <= self._header_row or not any(cells):
                continue
            raw = tuple(cells[:width]) + ("",) * (width - len(cells))
            known = {name: raw[place] for name, place in self._places.items()}
            yield SheetRow(number, known, raw, excess=any(cells[width:]))

    def has(self, column: str) -> bool:
        """Tell whether the file has that column."""
        return column in self._places

    def header_of(self, column: str) -> str:
        """Return what the file calls a column; the column's own name when it has none."""
        return self.header[self._places[column]] if column in self._places else column

    def _records(self, *, limit: int) -> Iterator[tuple[int, list[str]]]:
        """Give (number, cells) from the top, at most ``limit`` rows; more is refused in a whole reading."""
        records = self._xlsx_records() if self._is_xlsx else self._csv_records()
        with closing(records):
            for number, cells in enumerate(records, start=1):
                if number > limit:
                    if limit == ROWS_MAX:
                        raise SheetUnreadable(f"{self.path} has over {ROWS_MAX} rows: cut it up")
                    return
                if len(cells) > COLUMNS_MAX and any(cells[COLUMNS_MAX:]):
                    raise SheetUnreadable(f"{self.path}, row {number}: over {COLUMNS_MAX} columns")
                texts = [_text(cell) for cell in cells[:COLUMNS_MAX]]
                if any(len(text) > CELL_CHARACTERS_MAX for text in texts):
                    raise SheetUnreadable(
                        f"{self.path}, row {number}: a cell has over {CELL_CHARACTERS_MAX} characters "
                        "(an open quotation mark?)"
                    )
                yield number, texts

    def _csv_records(self) -> Generator[list[Any], None, None]:
        reader = None
        try:
            with self.path.open("rb") as file:
                text = io.TextIOWrapper(file, encoding=self.encoding, newline="")
                first = "".join(islice(text, HEADER_ROWS_MAX))
                delimiter = max(DELIMITERS, key=first.count)
                text.seek(0)
                reader = csv.reader(text, delimiter=delimiter, strict=True)
                for cells in reader:
                    self.share_done = min(1.0, file.tell() / self._size)
                    yield cells
        except csv.Error as error:
            line = reader.line_num if reader is not None else 1
            raise SheetUnreadable(f"{self.path}, line {line}: not a well-formed CSV: {error}") from None
        except OSError as error:
            raise SheetUnreadable(f"{self.path} cannot be read: {error.strerror}") from None

    def _xlsx_records(self) -> Generator[list[Any], None, None]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # styles and validations that openpyxl does not know
                book = openpyxl.load_workbook(self.path, read_only=True, data_only=True)
            with closing(book):
                sheet = book.worksheets[0]
                total = sheet.max_row or 0
                sheet.reset_dimensions()  # some programs write a wrong one, and rows would be lost
                for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
                    self.share_done = min(1.0, number / total) if total else 0.0
                    yield list(cells)
        except XLSX_FAULTS:
            raise SheetUnreadable(f"{self.path} is not a whole .xlsx workbook") from None
        except OSError as error:
            raise SheetUnreadable(f"{self.path} cannot be read: {error.strerror or error}") from None


def encoding_of(path: Path) -> str:
    """Return the encoding of a text file: ``utf-8-sig`` (reads it without the mark too) or ``gb18030``.

    Raises SheetUnreadable naming where each of them fails.
    """
    failures: list[str] = []
    for encoding, name in (("utf-8-sig", "UTF-8"), ("gb18030", "GB18030")):
        failure = _decode_failure(path, encoding)
        if failure is None:
            return encoding
        offset, line = failure
        failures.append(f"{name} at byte {offset} (line {line})")
    raise SheetUnreadable(f"{path} is neither UTF-8 nor GB18030: not {', not '.join(failures)}")


def _decode_failure(path: Path, encoding: str) -> tuple[int, int] | None:
    """Return the byte offset and the line at which decoding fails, or None when all of it decodes."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    read, lines = 0, 1
    try:
        with path.open("rb") as file:
            while True:
                block = file.read(BLOCK_BYTES)
                pending = decoder.getstate()[0]
                try:
                    decoder.decode(block, final=not block)
                except UnicodeDecodeError as error:
                    good = error.object[: error.start]
                    return read - len(pending) + error.start, lines + good.count(b"\n")
                read += len(block)
                lines += block.count(b"\n")
                if not block:
                    return None
    except OSError as error:
        raise SheetUnreadable(f"{path} cannot be read: {error.strerror}") from None


def _folded(header: str) -> str:
    return "".join(header.split()).casefold().replace("_", "").strip("*：:")


def _trimmed(cells: list[str]) -> list[str]:
    """Drop the empty cells at the end."""
    width = max((place for place, cell in enumerate(cells, start=1) if cell), default=0)
    return cells[:width]


def _text(cell: Any) -> str:
    """Return a cell as the text that a person sees in it; times lose their seconds when they are zero."""
    match cell:
        case None:
            return ""
        case str():
            return cell.strip().strip("\ufeff\u200b")
        case bool():
            return "TRUE" if cell else "FALSE"
        case float() if cell.is_integer():
            return str(int(cell))
        case datetime():
            minute = cell.replace(microsecond=0)
            if minute.time() == time():
                return minute.date().isoformat()
            return minute.isoformat(" ").removesuffix(":00") if not minute.second else minute.isoformat(" ")
        case time():
            return cell.strftime("%H:%M:%S" if cell.second else "%H:%M")
        case date():
            return cell.isoformat()
        case _:
            return str(cell).strip()


class RefusedFile:
    """Writes refused rows to a file that can be mended and imported again. UTF-8 with a byte order mark.

    A context manager; the file appears under its name whole, when the block ends well and a row was written.
    """

    def __init__(self, path: Path, sheet: Sheet, *, language: str) -> None:
        """path: the file to write. language: ``zh`` or ``en``, for the added columns' headers."""
        self.path = path
        self.count = 0
        extras = {_folded(word) for words in EXTRA_COLUMNS.values() for word in words}
        self._kept = [place for place, cell in enumerate(sheet.header) if _folded(cell) not in extras]
        self._header = [sheet.header[place] for place in self._kept] + list(EXTRA_COLUMNS[language])
        self._file: IO[str] | None = None

    def __enter__(self) -> RefusedFile:
        return self

    def write(self, raw: Sequence[str], *, number: int, column: str, reason: str) -> None:
        """Write one row. raw: its cells; column: what the file calls the column at fault. Raises OSError."""
        if self._file is None:
            handle, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
            self._temporary = Path(name)
            self._file = os.fdopen(handle, "w", encoding="utf-8-sig", newline="")
            self._writer = csv.writer(self._file)
            self._writer.writerow(self._header)
        self._writer.writerow([*(raw[place] for place in self._kept), number, column, reason])
        self.count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        self._file.close()
        if kind is None:
            self._temporary.replace(self.path)
        else:
            self._temporary.unlink(missing_ok=True)
