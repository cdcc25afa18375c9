"""Where the refused rows of a roster wait until they are written out: a file without a name."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from types import TracebackType

from pointsbank.domain.refusal import Refusal
from pointsbank.platform.sheets import RefusedRow


class RefusedSpool:
    """Keeps refused rows in the order they are added, on disk and readable by this process only."""

    def __enter__(self) -> RefusedSpool:
        self._file = tempfile.TemporaryFile("w+", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def clear(self) -> None:
        """Forget everything."""
        self._file.seek(0)
        self._file.truncate()

    def add(self, rows: Sequence[RefusedRow]) -> None:
        """Keep rows."""
        for row in rows:
            refusal = row.refusal
            record = [row.number, row.raw, refusal.field, refusal.code, dict(refusal.facts)]
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def rows(self) -> Iterator[RefusedRow]:
        """Give them back."""
        self._file.seek(0)
        for line in self._file:
            number, raw, column, code, facts = json.loads(line)
            yield RefusedRow(number, tuple(raw), Refusal(column, code, facts))
