"""A process that solves parts to their very best, without a gap: where values hold a large constant, a gap of
the whole would hide what matters (:mod:`services.matching.assignment`)."""

from services.matching.engine.part_process import main

if __name__ == "__main__":
    main(gap=0.0)
