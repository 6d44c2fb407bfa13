"""Fixtures that every test can use. Engines are started once for the whole run."""
