"""Every word of every page is there in every language, and none is kept that nobody says."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader, nodes

import api
import pointsbank
import services
from api import rules
from api.cli.match import PAIRED as MATCH_PAIRED
from api.cli.match import UNPAIRED as MATCH_UNPAIRED
from api.errors import STATUSES
from api.http.books import StatementOf
from api.web.availability import PARTS_OF_DAY
from api.web.drafts import ENDS, SOON, WHO
from api.web.meals import NAMED_TIERS
from api.web.orders import REASONS
from api.web.pages import DONE, TEMPLATES
from api.web.standing import PROBLEMS
from api.web.waiting_work import TOPICS
from api.web.words import catalogues
from pointsbank.domain.accounts import AccountKind, Commodity
from pointsbank.domain.asked_time import Slot
from pointsbank.domain.circuit import CircuitState
from pointsbank.domain.complaint import AppealState, ComplaintState, ToDo
from pointsbank.domain.decision import DecisionKind, DecisionReason
from pointsbank.domain.errors import DomainError, InvalidValue
from pointsbank.domain.fairness import AgeBand
from pointsbank.domain.feedback import Again, Side
from pointsbank.domain.free_hours import ExceptionKind
from pointsbank.domain.grid import GridDistance
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.journal import EntryKind, InsufficientPoints, SourceKind
from pointsbank.domain.language import LANGUAGES
from pointsbank.domain.meals import SCORE_MAX, SCORE_MIN, Diet, Mode, Tag
from pointsbank.domain.pairing.plan import How, Smallest
from pointsbank.domain.pairing.rules import Blocked
from pointsbank.domain.pairing.value import Term
from pointsbank.domain.policy import DEFAULT_POLICY
from pointsbank.domain.preferences import ExclusionReason, Relation
from pointsbank.domain.public_proof import Term as ProofTerm
from pointsbank.domain.redemption import RedemptionState
from pointsbank.domain.refund import RefundReason
from pointsbank.domain.resident import Gender
from pointsbank.domain.roles import Role
from pointsbank.domain.settlement import BatchState, DifferenceKind, LineKind
from pointsbank.domain.subsidy.payers import Hardship, Meal, Payer
from pointsbank.domain.visit import ConfirmationMethod, VisitState
from pointsbank.domain.visit_rules import BarKind, Ground
from pointsbank.platform.messages import LOCALES, negotiate, rule_key
from services.ledger.exchange.exports import Format
from services.ledger.exchange.sheets import ACCOUNT_COLUMNS, LINE_COLUMNS, NOTES, SHEETS, TRIAL_COLUMNS
from services.ledger.proof.verification import Fault
from services.settlement.batch_sheets import COLUMNS as BATCH_COLUMNS
from services.settlement.subsidies.claim_sheets import COLUMNS, PERSON_COLUMN
from services.settlement.views import ClaimKind

EXPORT_COLUMNS = dict.fromkeys((*LINE_COLUMNS, *ACCOUNT_COLUMNS, *TRIAL_COLUMNS))

FAMILIES: dict[str, list[str]] = {
    "account.": list(AccountKind),
    "again.said.": list(Again),
    "ask.step.": ["kind", "day", "time", "check"],
    "ask.who.": list(WHO),
    "apart.said_by.": list(Side),
    "bar.": list(BarKind),
    "batch.column.": list(BATCH_COLUMNS),
    "batch.kind.": list(LineKind),
    "batch.state.": list(BatchState),
    "batch.": ["statement", "partner", "day", "number", "total", "sign_here", "sign_date", "partner_signs"],
    "refund.reason.": list(RefundReason),
    "complain.appeal.": list(AppealState),
    "complain.next.": list(ComplaintState),
    "ask.soon.": list(SOON),
    "ask.ends.": sorted({unit for unit, _ in ENDS.values()}),
    "ask.wide.": ["daytime", "forenoon", "afternoon", "evening"],
    "claim.column.": [*COLUMNS, PERSON_COLUMN],
    "claim.": ["total"],
    "claim.kind.": list(ClaimKind),
    "complaint.to_do.": list(ToDo),
    "complaint_state.": list(ComplaintState),
    "decision.": list(DecisionKind),
    "decision_reason.": list(DecisionReason),
    "blocked.": list(Blocked),
    "exception.": list(ExceptionKind),
    "exclusion.": list(ExclusionReason),
    "skill.": sorted({kind["skill"] for kind in DEFAULT_POLICY["kinds"].values() if "skill" in kind}),
    "spoken.": list(LANGUAGES),
    "commodity.": [each.lower() for each in Commodity],
    "difference.": list(DifferenceKind),
    "distance.": [each.name.lower() for each in GridDistance],
    "done.": sorted(DONE),
    "entry.": list(EntryKind),
    "export.column.": list(EXPORT_COLUMNS),
    "export.format.": list(Format),
    "export.meaning.": list(EXPORT_COLUMNS),
    "export.note.": list(NOTES),
    "export.sheet.": list(SHEETS),
    "fault.": list(Fault),
    "fairness.age.": list(AgeBand),
    "fairness.by_": ["grid", "band", "kind"],
    "fairness.group_": ["grid", "band", "kind"],
    "pairing.away.": list(Blocked),
    "pairing.change.": ["earlier", "later", *(each for each in Smallest if each is not Smallest.OTHER_TIME)],
    "pairing.gender.": [Gender.FEMALE, Gender.MALE],
    "pairing.how.": list(How),
    "pairing.near.": [each.name.lower() for each in GridDistance],
    "pairing.term.": list(Term),
    "ground.": list(Ground),
    "hardship.": list(Hardship),
    "hours.": list(PARTS_OF_DAY),
    "item.": [item for sold in DEFAULT_POLICY["items"].values() for item in sold],
    "kind.": list(DEFAULT_POLICY["kinds"]),
    "language.": list(LOCALES),
    "match.blocked.": list(Blocked),
    "match.change.": ["earlier", "later", *(each for each in Smallest if each is not Smallest.OTHER_TIME)],
    "match.column.": [*MATCH_PAIRED, *MATCH_UNPAIRED, "agent", "jobs", "used", "cost"],
    "match.how.": list(How),
    "match.term.": list(Term),
    "meal.": list(Meal),
    "method.": list(ConfirmationMethod),
    "nav.": ["elder", "volunteer", "board", "people", "books", "audit", "settlement", "confirm", "family"],
    "outbox.circuit.": list(CircuitState),
    "outbox.circuit_means.": list(CircuitState),
    "outbox.topic.": list(TOPICS.values()),
    "payer.": list(Payer),
    "partner.": list(DEFAULT_POLICY["items"]),
    "proof.term.": list(ProofTerm),
    "reason.": sorted(REASONS),
    "request.next.": list(RequestState),
    "request_state.": list(RequestState),
    "statement_of.": list(StatementOf),
    "redemption_state.": list(RedemptionState),
    "role.": list(Role),
    "relation.": list(Relation),
    "slot.": list(Slot),
    "source.": list(SourceKind),
    "visit_state.": list(VisitState),
    "voucher.next.": list(RedemptionState),
    "diet.": list(Diet),
    "mode.": list(Mode),
    "score.": [str(score) for score in range(SCORE_MIN, SCORE_MAX + 1)],
    "tag.": list(Tag),
    "tier.": sorted(NAMED_TIERS),
    "standing.problem.": sorted({*PROBLEMS, "other"}),
    "standing.weekday.": [str(day) for day in range(7)],
}
"""Keys that a template puts together from a word: prefix → every word that can follow."""

SPOKEN = re.compile(r"[a-z_]+(\.[a-z_]+)+")
NOT_OURS = ("services.canteen", "services.station", "services.partnerkit", "services.migrations")


def modules() -> Iterator[Path]:
    """Yield the source of every module whose refusals a page may have to tell."""
    for package in (pointsbank, services, api):
        for path in Path(package.__path__[0]).rglob("*.py"):
            name = ".".join(path.relative_to(Path(package.__path__[0]).parent).with_suffix("").parts)
            if not name.startswith(NOT_OURS) and ".cli" not in name:
                yield path


def strings(text: ast.AST) -> Iterator[str]:
    """Yield every string in a piece of code, with 0 where an f-string puts a value."""
    if isinstance(text, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "0" for part in text.values)
    elif isinstance(text, ast.Constant) and isinstance(text.value, str):
        yield text.value
    else:
        for part in ast.iter_child_nodes(text):
            yield from strings(part)


def said_by_templates() -> set[str]:
    """Return the keys in all templates, those put together from a family spelt out."""
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)
    keys: set[str] = set()
    for name in environment.list_templates():
        source, _, _ = environment.loader.get_source(environment, name)  # type: ignore[union-attr]
        tree = environment.parse(source)
        for call in tree.find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name == "t":
                keys |= said_by(call.args[0], name)
            if isinstance(call.node, nodes.Getattr) and call.node.attr == "seal":
                family = call.args[0].as_const() + "."
                keys |= {family + word for word in FAMILIES[family]}
    return keys


def said_by(key: nodes.Expr, template: str) -> set[str]:
    """Return the keys an argument of ``t`` may be."""
    if isinstance(key, nodes.Const):
        return {key.value}
    first = key.nodes[0] if isinstance(key, nodes.Concat) else None
    if isinstance(first, nodes.Const) and first.value in FAMILIES:
        return {first.value + word for word in FAMILIES[first.value]}
    if template == "parts.html" and isinstance(first, nodes.Name) and first.name == "family":
        return set()  # the macro's callers name the family
    pytest.fail(f"{template}: a key that no family explains: {key}")


def refusals() -> dict[str, type[DomainError]]:
    """Return every refusal there is by its code."""
    for package in (pointsbank, services, api):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith(NOT_OURS) and ".cli" not in module.name:
                importlib.import_module(module.name)
    found: dict[str, type[DomainError]] = {}
    waiting: list[type[DomainError]] = [DomainError]
    while waiting:
        kind = waiting.pop()
        if not kind.__module__.startswith((*NOT_OURS, "tests")):
            found[kind.code] = kind
        waiting += kind.__subclasses__()
    return found


def said_by_refusals() -> set[str]:
    """Return the keys refusals are told by: their codes, fields, rules, things and states."""
    keys = {f"error.{code}" for code in refusals()}
    keys |= {f"status.{status}" for status in {*STATUSES.values(), 422}}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            for keyword in node.keywords:
                if keyword.arg in ("field", "rule", "what"):
                    for word in strings(keyword.value):
                        said = rule_key(word) if keyword.arg == "rule" else word
                        keys.add(f"{keyword.arg}.{said}")
    words = {*rules.PYDANTIC_RULES.values(), *(rule for _, rule in rules.PARAMETER_RULES)}
    keys |= {f"rule.{rule_key(word.replace('{0}', '1'))}" for word in words}
    for path in modules():
        if path.parts[-2] != "http":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "broken":
                keys |= {f"rule.{rule_key(word)}" for word in strings(node.args[0]) if word != "0"}
    return keys


def said_by_code() -> set[str]:
    """Return every string of the pages' and the refusals' own code that looks like a key."""
    keys: set[str] = set()
    for path in (
        *Path(api.__path__[0], "web").glob("*.py"),
        *Path(api.__path__[0], "cli").glob("match*.py"),
        Path(pointsbank.__path__[0], "platform/messages.py"),
    ):
        for word in strings(ast.parse(path.read_text())):
            if SPOKEN.fullmatch(word):
                keys.add(word)
    return keys


@pytest.mark.parametrize("locale", LOCALES)
def test_every_word_of_a_template_is_there_in_every_language(locale: str) -> None:
    missing = said_by_templates() - catalogues.keys(locale)
    assert missing == set()


@pytest.mark.parametrize("locale", LOCALES)
def test_every_refusal_has_a_sentence_in_every_language(locale: str) -> None:
    known = catalogues.keys(locale)
    # A field that has no words of its own is called by its name: it may be the caller's own misspelling.
    needed = {key for key in said_by_refusals() if not key.startswith("field.")}
    assert needed - known == set()


@pytest.mark.parametrize("locale", LOCALES)
def test_every_family_has_all_its_words_in_every_language(locale: str) -> None:
    every = {prefix + word for prefix, words in FAMILIES.items() for word in words}
    assert every - catalogues.keys(locale) == set()


def test_all_languages_have_the_same_messages_with_the_same_facts() -> None:
    first = LOCALES[0]
    for locale in LOCALES[1:]:
        assert catalogues.keys(locale) == catalogues.keys(first)
    for key in catalogues.keys(first):
        facts = [set(re.findall(r"{(\w+)}", " ".join(catalogues.forms(locale, key)))) for locale in LOCALES]
        # A plural's "one" may say the number in words.
        assert facts[0] - {"count"} == facts[1] - {"count"} == facts[2] - {"count"}, key


def test_no_message_is_kept_that_nobody_says() -> None:
    families = {prefix + word for prefix, words in FAMILIES.items() for word in words}
    said = said_by_templates() | said_by_code() | said_by_refusals() | families
    said |= {f"rule.{word}" for word in strings(ast.parse(Path(rules.__file__).read_text()))}
    words = {word for path in modules() for word in strings(ast.parse(path.read_text()))}
    said |= {f"{family}.{word}" for family in ("state", "field") for word in words} | {"export.total"}
    assert catalogues.keys("en") - said == set()


def test_the_languages_are_not_copies_of_one_another() -> None:
    same = {
        key for key in catalogues.keys("en") if catalogues.forms("en", key) == catalogues.forms("zh_CN", key)
    }
    assert {key for key in same if not key.startswith("language.")} == {"volunteer.visit_to"}


@pytest.mark.parametrize("locale", LOCALES)
def test_a_refused_field_is_told_in_words_without_leftovers(locale: str) -> None:
    told = catalogues.explain(locale, InvalidValue(field="minutes", rule="between_10_and_720"))
    assert "10" in told
    assert "720" in told
    assert not re.search(r"[{}_]", told)


def test_missing_points_are_told_in_points_not_thousandths() -> None:
    told = catalogues.explain(
        "zh_CN", InsufficientPoints("member_available", available=1_500, requested=10_000)
    )
    assert told == "积分不够：有 1.5，要 10。"


def test_one_hour_is_singular_in_english() -> None:
    assert catalogues.translate("en", "length.hours", count=1) == "1 hour"
    assert catalogues.translate("en", "length.hours", count=2) == "2 hours"
    assert catalogues.translate("zh_CN", "length.hours", count=2) == "2 小时"


@pytest.mark.parametrize(
    ("header", "chosen", "locale"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", None, "zh_CN"),
        ("zh-HK,zh;q=0.9", None, "zh_Hant_HK"),
        ("zh-Hant-TW", None, "zh_Hant_HK"),
        ("en-GB,en;q=0.9,zh;q=0.1", None, "en"),
        ("fr,en;q=0.5,zh-CN;q=0.7", None, "zh_CN"),
        ("en;q=0", None, "zh_CN"),
        ("fr", None, "zh_CN"),
        (None, None, "zh_CN"),
        ("en;q=wrong", None, "zh_CN"),
        ("en", "zh_Hant_HK", "zh_Hant_HK"),
        ("en", "../etc", "en"),
    ],
)
def test_the_language_is_the_chosen_one_else_the_browsers(
    header: str | None, chosen: str | None, locale: str
) -> None:
    assert negotiate(header, chosen=chosen) == locale
