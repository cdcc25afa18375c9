"""Alembic environment of schema ``station``."""

from pointsbank.platform.alembic_env import run
from services.station.tables import SCHEMA, TABLES

run(TABLES.metadata, SCHEMA)
