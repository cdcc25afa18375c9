"""Settings from the environment. They hold values and build nothing.

A variable that is set but empty counts as not set. A refusal never quotes what was given: it may hold a
password.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit

import platformdirs
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PORT_DEFAULT = 8000


DATABASE_SCHEMES = ("postgresql", "postgres")
DATABASE_EXAMPLE = "postgresql://role:password@host:5432/database"
QUEUE_SCHEMES = ("redis", "rediss", "unix")
QUEUE_EXAMPLE = "redis://:password@host:6379/0"


def check_address(text: str, schemes: tuple[str, ...], example: str) -> None:
    """Raise ValueError, without any part of ``text`` in it, unless it is an address of one of ``schemes``."""
    try:
        parts: SplitResult | None = urlsplit(text)
        assert parts is not None
        _ = parts.port  # only asking tells
    except ValueError:
        parts = None
    # An @ behind the host, or a fragment, is the rest of a password that was not percent-encoded.
    if parts is None or parts.scheme not in schemes or parts.fragment or "@" in parts.path + parts.query:
        raise ValueError(
            f"is no address such as {example}; in a password the signs / ? # @ : [ ] % are percent-encoded"
        )


def default_data_directory() -> Path:
    """Return the user's data folder for pointsbank."""
    return Path(platformdirs.user_data_path("pointsbank", appauthor=False))


class Settings(BaseSettings):
    """Settings of the platform (api, worker, command line). Every name is read as ``POINTSBANK_<NAME>``."""

    model_config = SettingsConfigDict(
        env_prefix="POINTSBANK_", extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    data: Path = Field(default_factory=default_data_directory, description="data directory")
    host: str = Field(default="127.0.0.1", description="address the processes listen on")
    port: int = Field(default=PORT_DEFAULT, ge=1, le=65_533, description="api; canteen is +1, station +2")
    database_url: SecretStr | None = Field(
        default=None, description="outside PostgreSQL, as a role that may create roles; none: embedded"
    )
    redis_url: SecretStr | None = Field(default=None, description="outside Valkey or Redis; none: embedded")
    app_database_url: SecretStr | None = Field(
        default=None, description="as the application's role; set by `up`"
    )
    canteen_url: str | None = Field(default=None, description="where the canteen answers; set by `up`")
    station_url: str | None = Field(default=None, description="where the station answers; set by `up`")
    canteen_secret: SecretStr | None = Field(default=None, description="shared with the canteen; set by `up`")
    station_secret: SecretStr | None = Field(default=None, description="shared with the station; set by `up`")
    sweep_seconds: int = Field(default=5, ge=1, le=300, description="how often the outbox is swept")
    batch_seconds: int = Field(
        default=3600, ge=1, le=86_400, description="how often ended days are settled and reconciled"
    )
    pairing_seconds: int = Field(
        default=600,
        ge=0,
        le=86_400,
        description="how often open requests are paired; 0: by a coordinator only",
    )
    seal_seconds: int = Field(
        default=3600, ge=1, le=86_400, description="how often a grown journal's head is sealed"
    )
    seal_webhook: SecretStr | None = Field(
        default=None, description="http(s) address that each new seal is posted to; none: nowhere"
    )
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")

    @field_validator("data", mode="before")
    @classmethod
    def _named(cls, given: object) -> object:
        # Path("") is the current directory, which nobody meant.
        if isinstance(given, str) and not given.strip():
            raise ValueError("names no directory")
        return given

    @field_validator("database_url", "app_database_url")
    @classmethod
    def _database_address(cls, given: SecretStr | None) -> SecretStr | None:
        if given is not None:
            check_address(given.get_secret_value(), DATABASE_SCHEMES, DATABASE_EXAMPLE)
        return given

    @field_validator("seal_webhook")
    @classmethod
    def _webhook_address(cls, given: SecretStr | None) -> SecretStr | None:
        if given is not None:
            parts = urlsplit(given.get_secret_value())
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("is no address such as https://seals.example.org/pointsbank")
        return given

    @field_validator("redis_url")
    @classmethod
    def _queue_address(cls, given: SecretStr | None) -> SecretStr | None:
        if given is not None:
            check_address(given.get_secret_value(), QUEUE_SCHEMES, QUEUE_EXAMPLE)
        return given


class PartnerSettings(BaseSettings):
    """Settings of one partner process (canteen or station), read as ``POINTSBANK_PARTNER_<NAME>``."""

    model_config = SettingsConfigDict(
        env_prefix="POINTSBANK_PARTNER_", extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    database_url: SecretStr = Field(description="PostgreSQL, as the partner's own role")
    platform_url: str = Field(description="where the platform takes events")
    secret: SecretStr = Field(description="shared with the platform")
    counter_pin: SecretStr | None = Field(
        default=None, min_length=4, max_length=32, description="opens the staff's page; none: it stays closed"
    )
    event_seconds: float = Field(default=1.0, gt=0, description="how often undelivered events are sent")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO")

    @field_validator("database_url")
    @classmethod
    def _database_address(cls, given: SecretStr) -> SecretStr:
        check_address(given.get_secret_value(), DATABASE_SCHEMES, DATABASE_EXAMPLE)
        return given
