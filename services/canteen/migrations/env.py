"""Alembic environment of schema ``canteen``."""

from pointsbank.platform.alembic_env import run
from services.canteen.tables import SCHEMA, TABLES

run(TABLES.metadata, SCHEMA)
