"""When a failed batch is tried again."""

import random


class Backoff:
    """Exponential, with jitter, so that workers that failed together do not return together.

    Half of each pause is random: between a half and the whole of
    ``0.1 s * 2**tries``, at most ``pause_s_max``.
    """

    def __init__(self, pause_s_max: float, seed: int | None = None) -> None:
        self._pause_s_max = pause_s_max
        self._dice = random.Random(seed)  # noqa: S311 - spreads load, guards nothing

    def pause_s(self, tries: int, retry_after_s: float | None = None) -> float:
        """Return how long to leave the other side alone after ``tries`` failures in a row.

        What it asked for is honoured, however long, and never shortened.
        """
        whole = min(self._pause_s_max, 0.1 * 2.0 ** min(tries, 30))
        pause_s = whole * (0.5 + self._dice.random() / 2)
        return pause_s if retry_after_s is None else max(pause_s, retry_after_s)
