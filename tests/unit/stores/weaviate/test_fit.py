"""What `fit` says is what the packing does; no server is asked."""

from uuid import UUID

import numpy as np
import pytest

from vecferry.errors import RecordError
from vecferry.model import Collection, Dense, Image, Key, VectorSpec
from vecferry.payload import encode_payload
from vecferry.stores.weaviate.fit import fit_object
from vecferry.stores.weaviate.layout import Layout
from vecferry.stores.weaviate.objects import encode_object
from vecferry.testing.subjects import dense, vector_of

BODY = VectorSpec("default", dim=8, metric="l2")
ROWS = VectorSpec("rows", "multi", dim=8, metric="dot")
PROPERTIES = [{"name": "n", "dataType": ["int"]}, {"name": "text", "dataType": ["text"]}]
PLAIN = Layout.of(Collection("Docs", (BODY, ROWS), options={"properties": PROPERTIES}))
TENANTS = Layout.of(Collection("Docs", (BODY,), options={"multiTenancyConfig": {"enabled": True}}))
ID = UUID(int=5)
VECTORS = {"default": dense(8, 1)}
NAN = Dense("float32", 8, np.full(8, np.nan, "<f4").tobytes())


@pytest.mark.parametrize(
    ("layout", "key", "image", "told"),
    [
        (PLAIN, Key("docs", "", ID), Image(VECTORS, b'{"n":1,"text":"x"}'), {}),
        (PLAIN, Key("docs", "", ID), Image(VECTORS | {"rows": vector_of(ROWS, 4)}), {}),
        (PLAIN, Key("docs", "", 5), Image(VECTORS), {"id": "carried"}),
        (PLAIN, Key("docs", "red", ID), Image(VECTORS), {"id": "carried"}),
        (TENANTS, Key("docs", "red", ID), Image(VECTORS), {}),
        (TENANTS, Key("docs", "", ID), Image(VECTORS), {"id": "dropped"}),
        (TENANTS, Key("docs", "Grün", ID), Image(VECTORS), {"id": "dropped"}),
        (
            PLAIN,
            Key("docs", "", ID),
            Image(VECTORS, b'{"_vf_mine":1,"n":1.0,"other":1}'),
            {"payload._vf_mine": "carried", "payload.n": "carried", "payload.other": "carried"},
        ),
        (PLAIN, Key("docs", "", ID), Image({"x": dense(8, 1)}), {"vectors.x": "dropped"}),
        (
            PLAIN,
            Key("docs", "", ID),
            Image({"default": dense(9, 1)}),
            {"vectors.default": "dropped"},
        ),
        (PLAIN, Key("docs", "", ID), Image({"default": NAN}), {"vectors.default": "dropped"}),
        (
            PLAIN,
            Key("docs", "", ID),
            Image({"default": vector_of(ROWS, 1)}),
            {"vectors.default": "dropped"},
        ),
        (
            PLAIN,
            Key("docs", "", ID),
            Image({"default": dense(8, 1, "int8")}),
            {"vectors.default": "widened"},
        ),
    ],
)
def test_it_is_told_what_becomes_of_a_point(
    layout: Layout, key: Key, image: Image, told: dict[str, str]
) -> None:
    assert {fit.field: fit.rating for fit in fit_object(key, image, layout)} == told
    if "dropped" in told.values():
        with pytest.raises(RecordError):
            encode_object("Docs", key, image, layout)
    else:
        encode_object("Docs", key, image, layout)


def test_a_point_takes_its_whole_payload_with_it_where_nothing_is_declared() -> None:
    payload = encode_payload({"a": [1, None], "b": 2**70})
    layout = Layout.of(Collection("Docs", (BODY,)))
    message = encode_object("Docs", Key("docs", "", ID), Image(VECTORS, payload), layout)
    assert message.properties.non_ref_properties["_vf_x"] == payload.decode()
