"""Alembic environment of schema ``bank``."""

import services.care.aftercare.tables
import services.care.door.tables
import services.care.tables
import services.ledger.tables
import services.matching.tables
import services.people.tables
import services.settlement.meals.tables
import services.settlement.subsidies.tables
import services.settlement.tables  # noqa: F401 - importing the tables registers them
from pointsbank.platform.alembic_env import run
from pointsbank.platform.tables import SCHEMA, BankTable

run(BankTable.metadata, SCHEMA)
