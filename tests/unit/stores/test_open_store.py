import sys
import types

import pytest

from vecferry.errors import ConfigError
from vecferry.settings import StoreSettings
from vecferry.stores import TYPES, open_store


def test_an_unknown_type_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'qdrant'"):
        open_store(StoreSettings(type="qdrent"))


def test_a_type_like_none_lists_what_there_is():
    with pytest.raises(ConfigError, match=", ".join(TYPES)):
        open_store(StoreSettings(type="xyzzy"))


def test_a_missing_client_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "vecferry.stores.qdrant", raising=False)
    for name in [name for name in sys.modules if name.startswith("vecferry.stores.qdrant")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "httpx", None)  # import of it fails from now on
    with pytest.raises(ConfigError, match=r"pip install 'vecferry\[qdrant\]'"):
        open_store(StoreSettings(type="qdrant", url="http://127.0.0.1:6333"))


def test_a_dotted_type_is_an_adapter_from_elsewhere(monkeypatch):
    module = types.ModuleType("elsewhere_for_test.adapter")
    module.connect = lambda settings: ("store", settings.url)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "elsewhere_for_test", types.ModuleType("elsewhere_for_test"))
    monkeypatch.setitem(sys.modules, "elsewhere_for_test.adapter", module)
    settings = StoreSettings(type="elsewhere_for_test.adapter", url="here")
    assert open_store(settings) == ("store", "here")


def test_a_dotted_type_that_is_not_there_is_said_so():
    with pytest.raises(ConfigError, match="no module 'nowhere_for_test'"):
        open_store(StoreSettings(type="nowhere_for_test.adapter"))
