"""The public proof as a page, for anybody who can read it."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.params import FromPath

from api.auth import ANYONE
from api.http.public_proofs import read_proofs
from api.web.pages import public_page
from pointsbank.domain.public_proof import Term


@get("/proof/{code:str}", opt=ANYONE, include_in_schema=False)
async def show(request: Request[Any, Any, State], code: FromPath[str]) -> Response[str]:
    """Show a community's newest proof. Raises NotFound, TooManyReaders."""
    community, found = await read_proofs(request, code, before=None, limit=1)
    return public_page(
        request,
        "proof.html",
        community_name=community.name,
        code=code,
        proof=found[0] if found else None,
        terms=list(Term),
    )


ROUTES = [show]
