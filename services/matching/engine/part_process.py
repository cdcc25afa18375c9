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
from services.matching.engine.solving import GAP, solve


def serve(asked: BinaryIO, told: BinaryIO, *, gap: float = GAP) -> None:
    """Solve what is asked, each within ``gap``, until there is no more."""

    def tell(what: object) -> None:
        told.write(frame(what))
        told.flush()

    while (part := next_frame(asked)) is not None:
        assert isinstance(part, Part)
        try:
            tell(solve(part, tell=tell, gap=gap))
        except SolverFailed:
            tell(False)
        else:
            tell(True)


def main(*, gap: float = GAP) -> None:
    """Serve whoever started this process."""
    answers = os.fdopen(os.dup(1), "wb")
    # What a library prints (HiGHS its banner, each time) is neither an answer nor anybody's to read.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    serve(sys.stdin.buffer, answers, gap=gap)


if __name__ == "__main__":
    main()
