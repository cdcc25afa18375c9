"""Processes in a solver's place that do what solvers do on a bad day: ``python -m tests.faults.odd_solvers``.

The oddity is the environment's POINTSBANK_TEST_ODDITY: ``mute`` never answers; ``hung`` tells a first answer
and then no more; ``gone`` tells a first answer and dies; ``failing`` says that the solver failed.
"""

from __future__ import annotations

import os
import sys
import time

from services.matching.engine.frames import frame, next_frame
from services.matching.engine.parts import Part
from services.matching.engine.solving import solve

if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "wb")
    while (part := next_frame(sys.stdin.buffer)) is not None:
        oddity = os.environ["POINTSBANK_TEST_ODDITY"]
        assert isinstance(part, Part)
        if oddity == "mute":
            time.sleep(600)
        answers.write(frame(solve(part, stop_after=1)))
        answers.flush()
        if oddity == "hung":
            time.sleep(600)
        if oddity == "gone":
            os._exit(1)
        answers.write(frame(False))
        answers.flush()
