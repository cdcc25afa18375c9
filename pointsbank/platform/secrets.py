"""The data directory's own passwords and keys: made once, kept in one file that only its owner may read."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

SECRETS_FILE = "secrets.json"
PASSWORD_BYTES = 24
PIN_DIGITS = 6


class SecretsUnreadable(Exception):
    """The secrets file is damaged or not ours to read; the message is one line for the user."""


def _password() -> str:
    return secrets.token_urlsafe(PASSWORD_BYTES)


def _pin() -> str:
    return f"{secrets.randbelow(10**PIN_DIGITS):0{PIN_DIGITS}d}"


class Secrets(BaseModel):
    """Every secret of one data directory. Each has a random default, so a new one joins an old file."""

    model_config = ConfigDict(extra="allow")

    superuser_password: str = Field(default_factory=_password, min_length=1, repr=False)
    owner_password: str = Field(default_factory=_password, min_length=1, repr=False)
    app_password: str = Field(default_factory=_password, min_length=1, repr=False)
    canteen_password: str = Field(default_factory=_password, min_length=1, repr=False)
    station_password: str = Field(default_factory=_password, min_length=1, repr=False)
    valkey_password: str = Field(default_factory=_password, min_length=1, repr=False)
    canteen_secret: str = Field(default_factory=_password, min_length=1, repr=False)
    station_secret: str = Field(default_factory=_password, min_length=1, repr=False)
    canteen_pin: str = Field(default_factory=_pin, min_length=1, repr=False)
    station_pin: str = Field(default_factory=_pin, min_length=1, repr=False)


def write_private(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` at once or not at all, readable by its owner only (mode 0600)."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def load_secrets(directory: Path) -> Secrets:
    """Return the secrets of ``directory``, making and keeping those that are not there yet.

    Raises SecretsUnreadable when the file is there and cannot be understood: making new ones would lock
    the owner out of the database.
    """
    path = directory / SECRETS_FILE
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        found = Secrets.model_validate(known)
    except FileNotFoundError:
        known, found = None, Secrets()
    except (OSError, ValueError, ValidationError) as error:
        raise SecretsUnreadable(
            f"{path} cannot be read ({type(error).__name__}): put it back from a copy; "
            "without it the database cannot be opened"
        ) from None
    if known != found.model_dump():
        write_private(path, json.dumps(found.model_dump(), indent=1) + "\n")
    return found
