"""Settings: the variables that a process reads, and the one-line error for a wrong value."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filas.errors import SettingsError
from filas.settings.process_settings import (
    PROCESSES,
    FlowRunnerSettings,
    IngestAdminSettings,
    IngestServeSettings,
    IngestWorkSettings,
    NotifierSettings,
    ProcessSettings,
)
from filas.settings.setting_groups import RedisSettings
from filas.settings.settings_reader import load, variables
from filas.settings.value_types import Secret

NEEDED = {
    "DATABASE_URL": "postgresql://user:pa55word@db.example:5432/filas",
    "FILAS_SECRET_KEY": "long-and-random-key-of-the-tests",
    "FILAS_ADMIN_TOKEN": "long-and-random-token-of-the-tests",
}


def test_an_unset_variable_has_its_default() -> None:
    settings = load(IngestServeSettings, NEEDED)
    assert (settings.ingest_host, settings.ingest_port, settings.ingest_serve_admin_port) == ("127.0.0.1", 8080, 8085)
    assert (settings.redis.redis_host, settings.redis.redis_port) == ("127.0.0.1", 6379)
    assert (settings.rate_limit_per_ip, settings.auth_failures_per_ip) == (0, 60)
    admin = load(IngestAdminSettings, NEEDED)
    assert (admin.ingest_admin_port, admin.ingest_admin_pool_size) == (8081, 4)
    assert load(FlowRunnerSettings, NEEDED).flow_runner_admin_port == 8082
    assert load(NotifierSettings, NEEDED).notifier_admin_port == 8083
    assert load(IngestWorkSettings, NEEDED).ingest_worker_admin_port == 8084


def test_every_kind_of_value_is_read() -> None:
    settings = load(
        NotifierSettings,
        NEEDED
        | {
            "REDIS_SENTINELS": "a.example:26379, [::1]:26380",
            "REDIS_SENTINEL_MASTER": "main",
            "REDIS_TLS": "True",
            "REDIS_PASSWORD": "pw",
            "LOG_LEVEL": "DEBUG",
            "OUTBOUND_ALLOW": "127.0.0.0/8, ::1",
            "OUTBOUND_PORTS": "443,8443",
            "ADMIN_HOSTS": "localhost, Filas.Internal",
            "NOTIFIER_CONCURRENCY": " 7 ",
        },
    )
    assert settings.redis.redis_sentinels == (("a.example", 26379), ("::1", 26380))
    assert settings.redis.redis_tls is True
    assert settings.redis.redis_password == Secret("pw")
    assert settings.logs.log_level == "debug"
    assert str(settings.outbound.outbound_allow) == "127.0.0.0/8,::1/128"
    assert settings.outbound.outbound_ports == (443, 8443)
    assert settings.admin.admin_hosts == ("localhost", "filas.internal")
    assert settings.notifier_concurrency == 7


def test_the_private_listeners_accept_the_name_in_their_address() -> None:
    """ADMIN_HOST may be a name. Requests to it, such as the probes of `filas up`, need no entry in ADMIN_HOSTS."""
    settings = load(NotifierSettings, NEEDED | {"ADMIN_HOST": "Filas.Internal"})
    assert settings.admin.accepted_names == {"localhost", "filas.internal"}


def test_an_empty_variable_counts_as_not_set() -> None:
    """Docker Compose passes a variable that is not set on as an empty one."""
    assert load(RedisSettings, {"REDIS_PORT": "", "REDIS_PASSWORD": "  "}) == RedisSettings()


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"REDIS_PORT": "abc"}, "REDIS_PORT='abc' is not a whole number from 0 to 65535"),
        ({"REDIS_PORT": "65536"}, "REDIS_PORT='65536' is not a whole number from 0 to 65535"),
        ({"REDIS_DB": "-1"}, "REDIS_DB='-1' is not a whole number of at least 0"),
        ({"NOTIFIER_CONCURRENCY": "0"}, "NOTIFIER_CONCURRENCY='0' is not a whole number of at least 1"),
        ({"REDIS_TLS": "perhaps"}, "REDIS_TLS='perhaps' is not true or false"),
        ({"LOG_FORMAT": "xml"}, "LOG_FORMAT='xml' is not one of json, console"),
        ({"LOG_FORMAT": "a\nb"}, "LOG_FORMAT='a\\nb' is not one of json, console"),
        (
            {"OUTBOUND_ALLOW": "10.0.0.0/8,home"},
            "OUTBOUND_ALLOW='10.0.0.0/8,home' is not a list of networks such as 10.0.0.0/8,::1/128",
        ),
        ({"ADMIN_HOSTS": "http://x"}, "ADMIN_HOSTS='http://x' is not a list of names such as localhost,filas.internal"),
        ({"OUTBOUND_PORTS": "0"}, "OUTBOUND_PORTS='0' is not a list of ports such as 443,8443"),
        (
            {"REDIS_SENTINELS": "nowhere"},
            "REDIS_SENTINELS='nowhere' is not a list of addresses such as host-a:26379,host-b:26379",
        ),
        ({"REDIS_SENTINELS": "a:1"}, "REDIS_SENTINEL_MASTER is not set, but REDIS_SENTINELS is"),
        ({"REDIS_CLUSTER": "true", "REDIS_DB": "1"}, "REDIS_DB must be 0 on a Cluster, which has one database only"),
        (
            {"FILAS_SECRET_KEY": ""},
            (
                "FILAS_SECRET_KEY is not set: Encrypts stored secrets; the same in every process, "
                "at least 32 random characters"
            ),
        ),
    ],
)
def test_a_wrong_value_is_one_line_that_names_its_variable(wrong: dict[str, str], line: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(NotifierSettings, NEEDED | wrong)
    assert str(refused.value) == line


@pytest.mark.parametrize("url", ["mysql://u:hunter2@h/d", "hunter2", "postgresql://u:hunter2@[h/d", "postgres://h:x/d"])
def test_a_wrong_database_address_is_not_repeated(url: str) -> None:
    """It may hold a password."""
    with pytest.raises(SettingsError, match=r"^DATABASE_URL is not a URL") as refused:
        load(NotifierSettings, NEEDED | {"DATABASE_URL": url})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("name", ["FILAS_ADMIN_TOKEN", "FILAS_SECRET_KEY"])
def test_a_short_key_is_refused_except_in_a_local_run(name: str) -> None:
    """31 characters are too few, 32 are enough. The message does not repeat the key."""
    for length in (1, 21, 31):
        short = NEEDED | {name: "~" * length}
        with pytest.raises(SettingsError, match=rf"^{name} has {length} characters") as refused:
            load(IngestAdminSettings, short)
        assert "~" not in str(refused.value)
        assert load(IngestAdminSettings, short | {"FILAS_LOCAL_RUN": "true"}).weak_keys == [name]
    assert load(IngestAdminSettings, NEEDED | {name: "~" * 32}).weak_keys == []


def test_the_keys_of_the_example_are_accepted_and_reported() -> None:
    lines = (Path(__file__).parents[2] / ".env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if line.startswith("FILAS_"))
    assert load(IngestAdminSettings, NEEDED | example).weak_keys == ["FILAS_SECRET_KEY", "FILAS_ADMIN_TOKEN"]
    assert load(NotifierSettings, NEEDED | example).weak_keys == ["FILAS_SECRET_KEY"]
    assert load(IngestWorkSettings, NEEDED | example).weak_keys == []
    assert [load(process, NEEDED).weak_keys for process in PROCESSES] == [[]] * len(PROCESSES)


def test_secrets_are_not_shown() -> None:
    for process in PROCESSES:
        shown = repr(load(process, NEEDED | {"REDIS_PASSWORD": "pa55word"}))
        for secret in ("pa55word", "long-and-random-key-of-the-tests", "long-and-random-token-of-the-tests"):
            assert secret not in shown
    assert f"{Secret('x')} {Secret('x')!s}" == "*** ***"


@pytest.mark.parametrize("process", PROCESSES)
def test_each_variable_has_a_meaning_and_its_default_loads_unchanged(process: type[ProcessSettings]) -> None:
    found = variables(process)
    assert all(variable.description for variable in found)
    written = {variable.name: variable.default for variable in found if variable.default is not None}
    assert load(process, NEEDED | written) == load(process, NEEDED)


@pytest.mark.parametrize("process", PROCESSES)
@given(data=st.data())
def test_every_text_loads_or_is_a_settings_error(process: type[ProcessSettings], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([variable.name for variable in variables(process)]))
    line = name
    try:
        load(process, NEEDED | {name: data.draw(st.text())})
    except SettingsError as refused:
        line = str(refused)
    assert "\n" not in line
    assert "_" in line
