import time

import pytest

from vecferry.testing.captured import Captured

FEED = {"type": "timestamp", "field": "at", "overlap_s": 30.0, "deletes_every_s": 0.3}


@pytest.mark.parametrize("captured", [FEED], indirect=True)
def test_a_source_with_a_time_field_is_followed(captured: Captured) -> None:
    captured.put(*range(500), at=time.time() - 1_000)
    with captured.capturing(), captured.feeding():
        captured.await_equal()
        captured.put(1, 2, at=time.time(), n=1)
        captured.put("new", at=time.time() - 20)
        captured.delete(5, 6)
        captured.await_equal()
