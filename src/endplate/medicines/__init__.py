"""Medicines and genes: what is taken, how it is broken down, and what follows for its dose."""
