"""Questionnaires: a key for each instrument, one scorer for all, and what a score means."""
