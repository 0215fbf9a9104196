"""Endplate: from what is known about one spine to findings and a plan that can be checked."""

__version__ = "0.1.0"
