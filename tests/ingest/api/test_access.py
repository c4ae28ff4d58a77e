"""Access to the API, and its answers to wrong requests."""

import io
import json
from collections.abc import Sequence
from urllib.parse import quote
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from filas.crypto.api_keys import KeyHasher
from filas.models.access import ActiveKey
from filas.observability.metrics import AUTH_FAILURES
from ingest.access.authentication import ADMIN, Authenticator, Client
from ingest.access.key_cache import KeyCache
from ingest.api.routing.access import bearer_token, require
from ingest.api.routing.problems import ApiProblem
from tests.ingest.api.serving import FLOW, TOKEN, Api
from tests.long_form import examples


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer não"},
    ],
)
async def test_without_the_token_every_path_answers_401(api: Api, headers: dict[str, str]) -> None:
    """Whether the path exists or not."""
    for path in ("/queue/stats", "/openapi.json", "/no-such-thing", "/flows/x"):
        reply = await api.get(path, token=None, headers=headers)
        assert reply.status == 401
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")
        assert reply.headers["Content-Type"] == "application/problem+json"


async def test_a_rejected_token_is_logged_and_counted(api: Api, own_log: io.StringIO) -> None:
    """With the address, the method and the path, and without the token."""
    before = AUTH_FAILURES.labels("api")._value.get()
    await api.get("/flows/x", token="guessed-token")
    assert AUTH_FAILURES.labels("api")._value.get() == before + 1
    [line] = [one for one in own_log.getvalue().splitlines() if "api.unauthenticated" in one]
    entry = json.loads(line)
    assert (entry["address"], entry["method"], entry["path"]) == ("127.0.0.1", "GET", "/api/flows/x")
    assert "guessed-token" not in line


async def test_health_needs_no_token(api: Api) -> None:
    """The guard of the API does not apply to the other routes of the private listener."""
    async with api.session.get(f"{api.url}/livez") as response:
        assert response.status == 200


class NoKeys:
    """A store without keys."""

    async def active(self) -> list[ActiveKey]:
        """There is none."""
        return []

    async def mark_used(self, key_ids: Sequence[UUID]) -> None:
        """No key is used."""
        raise AssertionError(key_ids)


def authenticator(admin_token: str) -> Authenticator:
    """Knows the admin token and no key."""
    keys = KeyCache(NoKeys(), KeyHasher("a key of the tests"))
    keys.is_loaded = True
    return Authenticator(admin_token, keys)


def test_an_empty_admin_token_admits_no_one() -> None:
    """An empty setting must not be matched by an empty header."""
    assert authenticator("").client_of("") is None
    assert authenticator("").client_of("x") is None
    assert authenticator("x").client_of("x") == ADMIN


@given(st.text())
def test_any_header_is_read_without_an_error(header: str) -> None:
    """For any header, the result is a client or None."""
    assert authenticator("secret").client_of(bearer_token(header)) in (None, ADMIN)


def test_a_lower_role_is_rejected() -> None:
    """A role may do everything that lower roles may do, and nothing more."""
    require("viewer", "admin")
    require("operator", "operator")
    with pytest.raises(ApiProblem) as refused:
        require("admin", "operator")
    assert refused.value.status == 403


async def test_an_unknown_route_is_a_problem_document(api: Api) -> None:
    """404 in the form of RFC 9457."""
    reply = await api.get("/nothing/here")
    assert (reply.status, reply.json["status"], reply.json["title"]) == (404, 404, "Not found")
    assert reply.headers["Content-Type"] == "application/problem+json"


async def test_a_wrong_method_is_answered_with_the_allowed_ones(api: Api) -> None:
    """405 with Allow."""
    reply = await api.call("PATCH", "/flows/x")
    assert reply.status == 405
    assert {"GET", "PUT", "DELETE"} <= set(reply.headers["Allow"].split(","))


@pytest.mark.parametrize("raw", [b"{", b"\xff", b'"\xff"', b"[" * 100_000, b'{"a":"\\ud800"}', b"nonsense"])
async def test_malformed_json_is_400(api: Api, raw: bytes) -> None:
    """A body that is not JSON is rejected before its fields are checked."""
    reply = await api.call("PUT", "/flows/x", data=raw)
    assert (reply.status, reply.json["title"]) == (400, "Malformed JSON")


async def test_a_body_beyond_the_limit_is_413(api: Api) -> None:
    """A body of more than 4 MiB is not read to its end."""
    reply = await api.call("PUT", "/flows/x", data=b" " * (4 * 1024 * 1024 + 1))
    assert reply.status == 413


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["flowId", "nodeId", "path", "methods", "auth", "rateLimit", "dedupe", "conversation", "config", "maxBodyBytes",
     "enabled", "type", "url", "secret", "value", "queue", "state", "olderThanMs", "nodes", "edges", "name", "settings",
     "variables", "schemaVersion"]
)  # fmt: skip
PUTS = st.sampled_from(
    [
        ("PUT", "/flows/x"),
        ("PUT", "/webhooks/x"),
        ("PUT", "/channels/x"),
        ("PUT", "/secrets/x"),
        ("POST", "/queue/clean"),
    ]
)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(route=PUTS, document=st.dictionaries(NAMES, JSON, max_size=6) | JSON)
async def test_any_json_body_is_accepted_or_answered_4xx(api: Api, route: tuple[str, str], document: object) -> None:
    """Never 5xx."""
    method, path = route
    reply = await api.call(method, path, json=document)
    assert reply.status < 500, reply.text


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=200), route=PUTS)
async def test_any_bytes_are_accepted_or_answered_4xx(api: Api, raw: bytes, route: tuple[str, str]) -> None:
    """Never 5xx."""
    method, path = route
    reply = await api.call(method, path, data=raw)
    assert reply.status < 500, reply.text


LISTS = st.sampled_from(
    ["/events", "/executions", "/notifications", "/dead-letters", "/flows", "/webhooks", "/channels"]
)
PARAMETERS = st.sampled_from(
    ["limit", "cursor", "status", "since", "until", "webhookId", "flowId", "eventId", "queue", "channelId", "x"]
)
WIRE_TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=LISTS, query=st.dictionaries(PARAMETERS, WIRE_TEXT, max_size=3))
async def test_any_query_is_accepted_or_answered_422(api: Api, path: str, query: dict[str, str]) -> None:
    """The 422 names the parameter."""
    reply = await api.get(path, params=query)
    assert reply.status in (200, 422), reply.text


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(
        ["flows", "webhooks", "channels", "secrets", "events", "executions", "notifications", "dead-letters", "jobs"]
    ),
    name=WIRE_TEXT.filter(lambda text: text not in ("", ".", "..")),
    method=st.sampled_from(["GET", "DELETE"]),
)
async def test_any_id_is_answered_404_or_405(api: Api, kind: str, name: str, method: str) -> None:
    """Any text in place of an id is an object that does not exist."""
    address = URL(f"{api.url}/api/{kind}/{quote(name, safe='')}", encoded=True)
    async with api.session.request(method, address, headers={"Authorization": f"Bearer {TOKEN}"}) as response:
        assert response.status in (404, 405), await response.text()


async def test_only_an_admin_may_allow_real_secrets_in_a_test_run(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trace of such a run can show parts of secrets. Any other test run needs the role operator only."""
    await api.put("/flows/f", FLOW)
    real = {"realSecrets": True, "timeoutMs": 0}
    assert (await api.post("/flows/f/test", real)).status == 202
    monkeypatch.setattr(Authenticator, "client_of", lambda *_: Client("an operator", "operator"))
    assert (await api.post("/flows/f/test", {"timeoutMs": 0})).status == 202
    refused = await api.post("/flows/f/test", real)
    assert refused.status == 403
    assert "admin" in refused.json["detail"]
