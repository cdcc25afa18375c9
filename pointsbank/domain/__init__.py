"""Pure meaning: no I/O, no framework, standard library only."""
