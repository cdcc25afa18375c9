"""What accounts and commodities are called in plain-text accounting (Beancount and hledger alike).

The books are kept from the holder's side, debits positive, which is how both programs count: a positive
amount is a debit. So what members and partners own are Assets (debit balances); where points, minutes and
money come from is Equity, as far below zero as everything issued; and what has been used up, settled into a
meal or expired, is Expenses. A member's account carries their pseudonym: ``X`` and the 32 hexadecimal digits,
because a part of a Beancount account's name begins with a capital or a digit.
"""

from __future__ import annotations

from pointsbank.domain.accounts import COMMUNITY_OWNER, AccountCode, AccountKind, Commodity

COMMODITY_NAMES: dict[Commodity, str] = {
    Commodity.POINT: "POINT",
    Commodity.MINUTE: "MINUTE",
    Commodity.FEN: "CNY",
}
"""POINT in points with 3 places, MINUTE in minutes, CNY in yuan with 2 places."""

ACCOUNT_NAMES: dict[AccountKind, str] = {
    AccountKind.MEMBER_AVAILABLE: "Assets:Member:Available",
    AccountKind.MEMBER_HELD: "Assets:Member:Held",
    AccountKind.MEMBER_SERVICE: "Assets:Member:Service",
    AccountKind.ISSUANCE: "Equity:Issuance",
    AccountKind.PARTNER_EARNED: "Assets:Partner:Earned",
    AccountKind.PARTNER_SETTLED: "Expenses:Partner:Settled",
    AccountKind.PARTNER_RECEIVABLE: "Assets:Partner:Receivable",
    AccountKind.SUBSIDY_FUND: "Equity:SubsidyFund",
    AccountKind.POOL: "Assets:Pool",
    AccountKind.EXPIRED: "Expenses:Expired",
}


def account_name(code: AccountCode) -> str:
    """Return the one name of an account, such as ``Assets:Member:Available:X01920000…``."""
    name = ACCOUNT_NAMES[code.kind]
    if code.kind is AccountKind.ISSUANCE:
        name = f"{name}:{code.commodity.capitalize()}"
    return name if code.owner == COMMUNITY_OWNER else f"{name}:X{code.owner.hex}"
