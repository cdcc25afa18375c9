"""What a command says of an error that nobody foresaw, and what it keeps of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from pointsbank.platform import telemetry


def failure_line(data: Path, error: Exception) -> str:
    """Return one line for the user.

    A file that could not be used is named. Anything else is kept in ``logs/up.log`` by its kind and the lines
    it passed, never by its message, which may quote a row; where the log cannot be written, the line is all.
    """
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    line = f"this should not happen: {type(error).__name__}"
    log = data / "logs" / "up.log"
    event = telemetry.tell_exception(None, "", {"event": "up failed", "exc_info": error})
    event["timestamp"] = datetime.now(UTC).isoformat()
    try:
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event, ensure_ascii=False) + "\n")
    except OSError:
        return line
    return f"{line} (see {log})"
