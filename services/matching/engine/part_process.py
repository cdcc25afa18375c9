"""A process that solves parts: reads one after another, and tells every better answer, then ``True``.

``False`` where the solver failed: what was told before stands. Ends with its input.
"""

from __future__ import annotations

import os
import sys
from typing import BinaryIO

from services.matching.engine.frames import frame, next_frame
from services.matching.engine.parts import Part
from services.matching.engine.solver import SolverFailed
from services.matching.engine.solving import solve


def serve(asked: BinaryIO, told: BinaryIO) -> None:
    """Solve what is asked until there is no more."""

    def tell(what: object) -> None:
        told.write(frame(what))
        told.flush()

    while (part := next_frame(asked)) is not None:
        assert isinstance(part, Part)
        try:
            tell(solve(part, tell=tell))
        except SolverFailed:
            tell(False)
        else:
            tell(True)


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    serve(sys.stdin.buffer, answers)
