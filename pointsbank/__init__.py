"""pointsbank: a points bank for mutual-aid elder care.

``domain`` says what the words mean (pure, standard library only); ``platform`` is what every process
stands on (settings, database, embedded servers, outbox, queue, clock, signatures).
"""

__version__ = "0.1.0"
