"""A plan told to people: sentences a coordinator can read out, from the message catalogues."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime, timedelta

from api.web.words import catalogues
from pointsbank.domain.pairing.instance import Instance
from pointsbank.domain.pairing.moments import NO_ORIGIN
from pointsbank.domain.pairing.plan import Change, Plan, PlannedVisit, Unpaired
from pointsbank.domain.pairing.value import Term
from pointsbank.platform.messages import negotiate

TERMS_TOLD = 3
OF_THE_REQUEST = frozenset({Term.SERVE, Term.WAITING})
"""Terms that say nothing for one volunteer rather than another."""


def locale_of_environment() -> str:
    """Return the terminal's locale among the catalogues'; English where it is neither Chinese nor known."""
    named = next((os.environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(name)), "")
    return negotiate(f"{named.partition('.')[0].replace('_', '-')}, en;q=0.1")


class Telling:
    """One plan in one language."""

    def __init__(self, locale: str, instance: Instance, plan: Plan) -> None:
        self.locale = locale
        self.instance = instance
        self.plan = plan
        self._midnight = datetime.fromisoformat(instance.origin)

    def t(self, key: str, **facts: object) -> str:
        """Return the words for a key."""
        return catalogues.translate(self.locale, key, **facts)

    def when(self, minute: int) -> str:
        """Return a moment by the origin's clock; without a day where the document names none."""
        at = self._midnight + timedelta(minutes=minute)
        if self.instance.origin != NO_ORIGIN:
            return f"{at:%Y-%m-%d %H:%M}"
        days = (at.replace(tzinfo=None) - datetime(1970, 1, 1)).days  # noqa: DTZ001 - no place, no zone
        return f"{at:%H:%M}" if not days else f"{days:+d}d {at:%H:%M}"

    def summary(self) -> list[str]:
        """Return how many are served, what it is worth, how near the best that is, and how it came about."""
        plan = self.plan
        asked = len(self.instance.requests)
        ways = dict.fromkeys(part.how for part in plan.parts)
        lines = [
            self.t("match.served", served=asked - len(plan.unpaired), asked=asked),
            self.t("match.worth", worth=f"{plan.worth:,}", bound=f"{plan.bound:,}", gap=f"{plan.gap:.3%}"),
        ]
        lines += [
            self.t(
                "match.parts",
                parts=sum(part.how is how for part in plan.parts),
                how=self.t(f"match.how.{how}"),
            )
            for how in ways
        ]
        if plan.kept or plan.moved:
            lines.append(self.t("match.promises", kept=plan.kept, moved=plan.moved))
        return lines

    def why(self, visit: PlannedVisit) -> str:
        """Return why a volunteer goes to a request: what counted for and against, and who else there was."""
        told = sorted(
            ((term, points) for term, points in visit.terms.items() if term not in OF_THE_REQUEST),
            key=lambda each: (-abs(each[1]), each[0]),
        )[:TERMS_TOLD]
        said = [f"{self.t(f'match.term.{term}')} ({points:+d})" for term, points in told]
        if len(self.instance.grids.small_grids) > 1 and Term.GRID not in visit.terms:
            said.insert(0, self.t("match.same_grid"))
        reasons = self._listed(said) if said else self.t("match.nothing_special")
        return self.t("match.sentence", reasons=reasons, other=self._other(visit))

    def _other(self, visit: PlannedVisit) -> str:
        other = visit.alternative
        if other is None:
            return self.t("match.nobody_else")
        facts = {"volunteer": other.volunteer, "less": visit.value - other.value, "request": other.busy_with}
        if other.busy_with is not None:
            return self.t("match.other_busy", **facts)
        return self.t("match.other_more" if other.value > visit.value else "match.other", **facts)

    def blocked(self, unpaired: Unpaired) -> str:
        """Return what kept everybody from a request, counted."""
        said = [
            self.t("match.counted", people=people, reason=self.t(f"match.blocked.{reason}"))
            for reason, people in sorted(unpaired.blocked.items(), key=lambda each: (-each[1], each[0]))
        ]
        if unpaired.needed_elsewhere:
            said.append(self.t("match.needed_elsewhere", people=unpaired.needed_elsewhere))
        return self._listed(said) if said else self.t("match.nobody_at_all")

    def change(self, change: Change) -> str:
        """Return the smallest change that would pair a request."""
        key = f"match.change.{change.kind}"
        if change.kind == "other_time":
            key = "match.change.later" if change.minutes > 0 else "match.change.earlier"
        return self.t(key, minutes=abs(change.minutes), volunteers=change.volunteers)

    def _listed(self, said: Iterable[str]) -> str:
        return (", " if self.locale == "en" else "，").join(said)
