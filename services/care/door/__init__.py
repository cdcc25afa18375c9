"""The proof at the door: codes that change, printed cards."""
