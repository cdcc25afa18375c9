"""Pairing: which volunteer for which help request. What a run is given, its rules and worth, its plan."""
