"""What becomes of the shares of an order that is not, or not wholly, paid in the end."""

from __future__ import annotations

from collections.abc import Sequence

from pointsbank.domain import points
from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.points import MilliPoints
from pointsbank.domain.redemption import portion
from pointsbank.domain.subsidy.payers import Payer, Share, total

ELDER = (Payer.POINTS, Payer.CASH)


def refund_shares(left: Sequence[Share], fen: int, *, price: int) -> tuple[Share, ...]:
    """Return how a refund of ``fen`` is shared by those who paid.

    left: the shares as earlier refunds have left them. price: of one meal. What was bought beside the one
    subsidised meal goes back first, to the elder alone; then the meal's payers get back in proportion to what
    is left of their shares, whole fen by largest remainder, ties to the earlier payer. So refunds sum
    exactly, no payer gets back more than it paid, and refunding all of it leaves nothing.
    Raises InvalidValue naming ``fen``.
    """
    whole = total(left)
    if not 0 < points.whole(fen, field="fen") <= whole:
        raise InvalidValue(field="fen", rule="at_most_paid")
    own = [share for share in left if share.payer in ELDER]
    beside = min(fen, max(0, whole - price), total(own)) if len(own) < len(left) else 0
    back: dict[Payer, int] = {}
    if beside:
        back = _apportion({share.payer: share.fen for share in own}, beside)
    rest = {share.payer: share.fen - back.get(share.payer, 0) for share in left}
    if fen > beside:
        for payer, part in _apportion(rest, fen - beside).items():
            back[payer] = back.get(payer, 0) + part
    return tuple(
        Share(share.payer, back[share.payer], share.place) for share in left if back.get(share.payer, 0) > 0
    )


def points_left(milli_points: int, shares: Sequence[Share], *, quantity: int, kept: int) -> MilliPoints:
    """Return what ``kept`` of ``quantity`` cost their member, when all cost ``milli_points``.

    shares: of the whole order as frozen; none where nobody shares it, and then each portion costs the same.
    Where somebody does, the points follow the elder's share by points, as :func:`refund_shares` leaves it:
    of a subsidised meal and one beside it, the subsidised one is kept. At least 1, nothing for none.
    """
    if kept == 0 or kept == quantity:
        return MilliPoints(milli_points if kept else 0)
    paid = total([share for share in shares if share.payer is Payer.POINTS])
    if not paid:
        return MilliPoints(max(1, portion(milli_points, quantity=quantity, served=kept)))
    fen = total(shares)
    back = refund_shares(shares, fen - portion(fen, quantity=quantity, served=kept), price=fen // quantity)
    gone = total([share for share in back if share.payer is Payer.POINTS])
    return points.points_for_part(milli_points, part=paid - gone, whole=paid)


def _apportion(parts: dict[Payer, int], fen: int) -> dict[Payer, int]:
    whole = sum(parts.values())
    given = {payer: part * fen // whole for payer, part in parts.items()}
    order = {payer: place for place, payer in enumerate(Payer)}
    by_remainder = sorted(parts, key=lambda payer: (-(parts[payer] * fen % whole), order[payer]))
    for payer in by_remainder[: fen - sum(given.values())]:
        given[payer] += 1
    return given
