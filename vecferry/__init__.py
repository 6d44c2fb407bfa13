"""Moves live vector collections between databases without stopping their application."""

__version__ = "0.1.0"
