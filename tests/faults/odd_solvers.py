"""Processes in a solver's place that do what solvers do on a bad day: ``python -m tests.faults.odd_solvers``.

The oddity is the environment's POINTSBANK_TEST_ODDITY: ``mute`` never answers; ``hung`` tells a first answer
and then no more; ``gone`` tells a first answer and dies; ``failing`` says that the solver failed; ``hard``
never answers a part of POINTSBANK_TEST_HARD columns, and solves the others.
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
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    while (part := next_frame(sys.stdin.buffer)) is not None:
        oddity = os.environ["POINTSBANK_TEST_ODDITY"]
        assert isinstance(part, Part)
        hard = oddity == "hard" and len(part) == int(os.environ["POINTSBANK_TEST_HARD"])
        if oddity == "mute" or hard:
            time.sleep(600)
        if oddity == "hard":
            answers.write(frame(solve(part)) + frame(True))
            answers.flush()
            continue
        answers.write(frame(solve(part, stop_after=1)))
        answers.flush()
        if oddity == "hung":
            time.sleep(600)
        if oddity == "gone":
            os._exit(1)
        answers.write(frame(False))
        answers.flush()
