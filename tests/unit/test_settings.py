"""Settings: the file, the variables over it, and secrets that are never shown."""

import dataclasses
import pickle

import pytest

from vecferry.errors import ConfigError
from vecferry.settings import Settings, load_settings, parse_settings

FILE = """
name = "docs"
[source]
type = "milvus"
url = "http://127.0.0.1:19530"
[target]
type = "qdrant"
url = "http://127.0.0.1:6333"
[[collections]]
source = "docs"
[log]
bootstrap_servers = "127.0.0.1:9092"
[log.kafka]
security.protocol = "SASL_SSL"
"sasl.username" = "me"
"linger.ms" = 5
"""
SECRET = "hunter2-or-worse"


def document(**more):
    return {
        "name": "docs",
        "source": {"type": "milvus"},
        "target": {"type": "qdrant"},
        "collections": [{"source": "docs"}],
        **more,
    }


def parse(environ=None, **more):
    return parse_settings(document(**more), environ or {})


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "vecferry.toml"
    path.write_text(FILE)
    return path


def test_a_short_file_is_enough_and_every_default_is_there(path):
    settings = load_settings(path, {})
    assert settings.name == "docs"
    assert settings.source.url == "http://127.0.0.1:19530"
    assert settings.log.partitions == 6
    assert settings.apply.batch_points == 512
    assert not settings.log.embedded


def test_librdkafka_properties_may_be_written_with_dots_or_as_tables(path):
    assert load_settings(path, {}).log.kafka == {
        "security.protocol": "SASL_SSL",
        "sasl.username": "me",
        "linger.ms": 5,
    }


def test_settings_cannot_be_changed():
    with pytest.raises((ValueError, dataclasses.FrozenInstanceError)):
        parse().source.url = "http://elsewhere"


def test_a_variable_is_over_the_file(path):
    environ = {
        "VECFERRY_NAME": "other",
        "VECFERRY_SOURCE__URL": "http://db:19530",
        "VECFERRY_LOG__PARTITIONS": "12",
        "VECFERRY_LOG__CREATE_TOPICS": "false",
        "VECFERRY_CUTOVER__FREEZE_MAX_S": "2.5",
        "VECFERRY_COLLECTIONS": '[{"source": "a"}, {"source": "b", "target": "c"}]',
        "VECFERRY_LOG__KAFKA__SASL_PASSWORD": SECRET,
    }
    settings = load_settings(path, environ)
    assert settings.name == "other"
    assert settings.source.url == "http://db:19530"
    assert settings.source.type == "milvus"
    assert settings.log.partitions == 12
    assert settings.log.create_topics is False
    assert settings.cutover.freeze_max_s == 2.5
    assert [entry.source for entry in settings.collections] == ["a", "b"]
    assert settings.log.kafka["sasl.password"] == SECRET
    assert settings.log.kafka["sasl.username"] == "me"


def test_the_variables_do_not_change_the_document_they_are_laid_over():
    given = document()
    parse_settings(given, {"VECFERRY_SOURCE__URL": "http://x", "VECFERRY_LOG__PARTITIONS": "2"})
    assert given == document()


def test_variables_that_are_no_settings_are_left_alone():
    environ = {
        "VECFERRY_HOME": "/somewhere",
        "VECFERRY_TEST_KAFKA": "x",
        "VECFERRY_CHAOS_SEED": "1",
        "PATH": "/bin",
    }
    assert parse(environ) == parse()


def test_a_secret_that_looks_like_a_number_or_a_list_stays_a_text():
    for secret in ("12345", "0x10", "true", "[oops", "{oops"):
        settings = parse({"VECFERRY_SOURCE__API_KEY": secret})
        assert settings.source.secret() == secret


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"source": {"type": "milvus", "ulr": "x"}}, "'source.ulr' is not a setting.*'url'"),
        ({"snapshot": {"chunk_point": 1}}, "'snapshot.chunk_point'.*'chunk_points'"),
        ({"collections": [{"source": "a", "traget": "b"}]}, "'collections.0.traget'.*'target'"),
        ({"targets": {}}, "'targets' is not a setting.*'target'"),
        ({"zzzz": 1}, "'zzzz' is not a setting: it may be one of apply, capture"),
        ({"source": {}}, "'source.type' is missing"),
        ({"collections": []}, "'collections'"),
        ({"name": "no spaces please"}, "'name'"),
        ({"log": {"partitions": 0}}, "'log.partitions'.*greater than or equal to 1"),
        ({"log": {"partitions": "many"}}, "'log.partitions'.*integer"),
        ({"parity": {"buckets": 3}}, "'parity.buckets': must be a power of two"),
        ({"target": {"type": "qdrant", "timeout_s": 60}}, "longer than apply.request_max_s"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(more, why):
    with pytest.raises(ConfigError, match=f"(?s){why}"):
        parse(**more)


def test_every_wrong_setting_is_named_at_once():
    with pytest.raises(ConfigError) as caught:
        parse(source={}, parity={"buckets": 3}, zzzz=1)
    assert str(caught.value).count(";") == 2


def test_a_variable_with_a_wrong_name_is_refused_too():
    with pytest.raises(ConfigError, match=r"'source\.api_kye'.*'api_key'"):
        parse({"VECFERRY_SOURCE__API_KYE": SECRET})


@pytest.mark.parametrize(
    ("text", "where"),
    [("name = \nother = 1", "line 1"), ("name = 'x'\nname = 'y'\n", "line 2")],
)
def test_a_file_that_is_not_toml_is_refused_with_its_line(path, text, where):
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"is not TOML.*{where}"):
        load_settings(path, {})


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="is not there"):
        load_settings(tmp_path / "none.toml", {})
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path, {})
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(binary, {})


SECRETS = {
    "VECFERRY_SOURCE__API_KEY": SECRET,
    "VECFERRY_SOURCE__PASSWORD": SECRET,
    "VECFERRY_TARGET__TOKEN": SECRET,
    "VECFERRY_LOG__SCHEMA_REGISTRY_PASSWORD": SECRET,
    "VECFERRY_LOG__KAFKA__SASL_PASSWORD": SECRET,
    "VECFERRY_LOG__KAFKA__SSL_KEY_PASSWORD": SECRET,
}


@pytest.mark.parametrize(
    "show", [repr, str, Settings.model_dump_json, lambda s: str(s.model_dump())]
)
def test_no_way_of_printing_settings_shows_a_secret(show):
    settings = parse(SECRETS)
    assert SECRET not in show(settings)
    assert settings.log.kafka["sasl.password"] == SECRET
    assert settings.log.schema_registry_password.get_secret_value() == SECRET


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_no_refusal_shows_a_secret(name):
    wrong = {**SECRETS, "VECFERRY_PARITY__BUCKETS": "3", "VECFERRY_SOURCE__TIMEOUT_S": "soon"}
    as_table = {name: f'["{SECRET}"]'}
    for environ in (wrong, as_table):
        with pytest.raises(ConfigError) as caught:
            parse(environ)
        assert SECRET not in str(caught.value)
        assert SECRET not in repr(caught.value.__cause__)
        assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("environ", "instead"),
    [
        ({"VECFERRY_SOURCE__URL": f"http://me:{SECRET}@db:1"}, "source.url.*user and password"),
        ({"VECFERRY_SOURCE__URL": f"me:{SECRET}@db:1"}, "source.url.*user and password"),
        ({"VECFERRY_TARGET__GRPC_URL": f"http://{SECRET}@db:1"}, "target.grpc_url"),
        (
            {"VECFERRY_LOG__SCHEMA_REGISTRY_URL": f"http://a:1,http://me:{SECRET}@b:1"},
            "schema_registry_password",
        ),
    ],
)
def test_a_password_in_an_address_is_refused_because_addresses_are_printed(environ, instead):
    with pytest.raises(ConfigError, match=instead) as caught:
        parse(environ)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "http://db:19530", "https://db/path@v2", "./lite@home.db", "memory://a", "db:6334"]
)
def test_an_address_without_a_password_is_taken(url):
    assert parse({"VECFERRY_SOURCE__URL": url}).source.url == url


def test_the_secret_is_taken_from_its_file_before_the_variable(tmp_path):
    path = tmp_path / "key"
    path.write_text(f"{SECRET}\n")
    environ = {"VECFERRY_SOURCE__API_KEY_FILE": str(path), "VECFERRY_SOURCE__API_KEY": "other"}
    assert parse(environ).source.secret() == SECRET
    assert parse({"VECFERRY_SOURCE__TOKEN": SECRET}).source.secret() == SECRET
    assert parse().source.secret() is None


def test_a_secret_file_that_cannot_be_read_is_a_clear_error(tmp_path):
    source = parse({"VECFERRY_SOURCE__API_KEY_FILE": str(tmp_path / "none")}).source
    with pytest.raises(ConfigError, match=r"api_key_file .* cannot be read"):
        source.secret()


def test_settings_can_be_handed_to_another_process():
    settings = parse(SECRETS)
    again = pickle.loads(pickle.dumps(settings))
    assert again == settings
    assert again.log.kafka["sasl.password"] == SECRET
