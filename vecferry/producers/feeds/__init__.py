"""Feeds: whatever knows that keys may have changed writes hints, and nothing else."""

from vecferry.producers.feeds.feed import Feed, register
from vecferry.producers.feeds.session import LogUnavailable
from vecferry.producers.feeds.writes import OpenWrite

__all__ = ["Feed", "LogUnavailable", "OpenWrite", "register"]
