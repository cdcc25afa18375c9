"""The door of the matching room: what volunteers say of themselves, pairing runs, offers and taking.

Locks are taken in one order: offer, then what the care room locks, the volunteer's person row last.
"""

from __future__ import annotations

from pointsbank.domain.free_hours import FreeHour
from services.matching.availability import (
    add_free_hours_many,
    add_skills_many,
    availability_of,
    exceptions_of,
    free_hours_of,
    prove_skill,
    set_exceptions,
    set_free_hours,
    set_grids,
    set_limits,
    set_skills,
    skills_of,
    skills_to_verify,
    verify_skill,
)
from services.matching.candidates import Candidate, candidates_for
from services.matching.offers import (
    accept_offer,
    decline_offer,
    lapse_offers,
    offer_if_urgent,
    offer_now,
    offers_of,
    part_offers,
    standing_offers,
    withdraw,
)
from services.matching.parting import exclude, give_feedback
from services.matching.planning import planning_input
from services.matching.runs import (
    Thought,
    forget_inputs,
    pair,
    pairing_runs,
    run_detail,
    run_pairing,
    run_reasons,
    thought,
)
from services.matching.taking import take, takeable
from services.matching.views import (
    AvailabilityInfo,
    OfferInfo,
    PairingRunInfo,
    RunDetail,
    RunReasons,
    Takeable,
)

__all__ = [
    "AvailabilityInfo",
    "Candidate",
    "FreeHour",
    "OfferInfo",
    "PairingRunInfo",
    "RunDetail",
    "RunReasons",
    "Takeable",
    "Thought",
    "accept_offer",
    "add_free_hours_many",
    "add_skills_many",
    "availability_of",
    "candidates_for",
    "decline_offer",
    "exceptions_of",
    "exclude",
    "forget_inputs",
    "free_hours_of",
    "give_feedback",
    "lapse_offers",
    "offer_if_urgent",
    "offer_now",
    "offers_of",
    "pair",
    "pairing_runs",
    "part_offers",
    "planning_input",
    "prove_skill",
    "run_detail",
    "run_pairing",
    "run_reasons",
    "set_exceptions",
    "set_free_hours",
    "set_grids",
    "set_limits",
    "set_skills",
    "skills_of",
    "skills_to_verify",
    "standing_offers",
    "take",
    "takeable",
    "thought",
    "verify_skill",
    "withdraw",
]
