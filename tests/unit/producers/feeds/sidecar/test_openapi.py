import json
import re

from vecferry.producers.feeds.sidecar.openapi import OPERATIONS, document, page


def test_every_reference_leads_somewhere() -> None:
    found = document()
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(found)))
    assert names <= found["components"]["schemas"].keys()
    assert {"Begin", "End", "Opened", "Refusal", "UuidId"} <= names


def test_the_page_shows_every_path_and_needs_nothing_from_elsewhere() -> None:
    shown = page()
    assert all(one.path in shown for one in OPERATIONS)
    assert not re.search(r"<script|<link|src=|https?://", shown)
