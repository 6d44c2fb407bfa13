import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from vecferry.settings import parse_settings
from vecferry.testing.captured import Captured
from vecferry.testing.logs import fresh_log


@pytest.fixture
def captured(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Captured]:
    """A source and its log; the parameter is the ``[feed]`` section."""
    log = fresh_log("embedded")
    section = {"every_s": 0.1, "state": str(tmp_path), **getattr(request, "param", {})}
    document = {
        "name": log.topics.migration,
        "source": {"type": "memory", "url": f"memory://{uuid.uuid4().hex}"},
        "target": {"type": "memory", "url": "memory://never"},
        "collections": [{"source": "docs"}],
        "log": {"partitions": log.settings.partitions},
        "capture": {"request_max_s": 2.0, "intent_max_s": 2.0},
        "feed": section,
    }
    made = Captured(log, parse_settings(cast("Any", document), {}))
    yield made
    made.control.close()
