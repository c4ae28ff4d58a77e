"""The keys of the API: what each role may do, and when a key is valid."""

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from filas.contract.identity import new_id
from filas.crypto import api_keys
from filas.errors import StoreUnavailable
from filas.models.access import RANK, NewApiKey, Role
from filas.repository.access import api_keys as repository
from filas.repository.access.api_keys import ApiKeyRepository
from ingest.access.key_cache import KeyCache
from ingest.access.sign_in_failures import MAX_ADDRESSES, OTHER, FailedSignIns
from ingest.api.routes import ROUTES
from tests.ingest.api.serving import SECRET_KEY, TOKEN, Api, fields_of, serving
from tests.waiting import eventually

ROLES: tuple[Role, ...] = ("viewer", "operator", "admin")


async def create(api: Api, role: Role, name: str = "a key", **fields: Any) -> Any:
    """A new key as the API returns it."""
    reply = await api.post("/keys", {"name": name, "role": role, **fields})
    assert reply.status == 200, reply.text
    return reply.data


@dataclass
class Tokens:
    """A token of each kind, with the rank of its role; 0: it is not valid."""

    ranks: dict[str | None, int]


async def every_token(api: Api) -> Tokens:
    """A key of each role, no token, a wrong one, and keys that are no longer valid."""
    ranks: dict[str | None, int] = {TOKEN: RANK["admin"], None: 0, "wrong": 0, api_keys.new_key(): 0}
    for role in ROLES:
        ranks[(await create(api, role))["key"]] = RANK[role]
    revoked, expired = await create(api, "admin"), await create(api, "admin")
    assert (await api.delete(f"/keys/{revoked['id']}")).status == 200
    await api.database.fetch("update api_keys set expires_at = now() where id = $1", UUID(expired["id"]))
    await api.context.access.keys.refresh()
    return Tokens(ranks | {revoked["key"]: 0, expired["key"]: 0})


async def test_every_route_with_every_role(api: Api) -> None:
    """Without a valid key, every route answers 401. With a role that is too low, it answers 403 and does nothing."""
    tokens = await every_token(api)
    assert len(tokens.ranks) == 9
    for route in ROUTES:
        path = re.sub(r"{\w+}", "x", route.path)
        for token, rank in tokens.ranks.items():
            body: dict[str, Any] = {} if route.body is None else {"json": {}}
            reply = await api.call(route.method, path, token=token, **body)
            expected = 401 if rank == 0 else 403 if rank < RANK[route.role] else None
            got = reply.status if reply.status in (401, 403) else None
            assert got == expected, (route.method, path, token, reply.text)


async def test_the_description_of_the_api_needs_any_role(api: Api) -> None:
    tokens = await every_token(api)
    for token, rank in tokens.ranks.items():
        assert (await api.get("/openapi.json", token=token)).status == (200 if rank else 401)


def test_who_may_only_read_cannot_change_anything() -> None:
    """Every route that is no GET needs more than the role viewer, and only an admin sees keys and the audit."""
    for route in ROUTES:
        # A comparison and a preview store nothing. They are POSTs because the definition is a body.
        reads = route.method == "GET" or route.path in ("/flows/{id}/differences", "/schedules/preview")
        assert reads or RANK[route.role] > RANK["viewer"], route.path
        assert route.role == "admin" or not re.match(r"/keys(?!/current)|/audit", route.path), route.path


async def test_the_value_of_a_key_is_shown_once(api: Api) -> None:
    """No list, no table and no entry of the audit has it. Its first characters are shown."""
    created = await create(api, "viewer", "Grafana", expiresAt="2999-01-01T00:00:00Z")
    value = created.pop("key")
    assert re.fullmatch(r"filas_[\w-]{43}", value)
    [listed] = (await api.get("/keys")).data
    assert listed == created
    assert (listed["name"], listed["role"], listed["createdBy"]) == ("Grafana", "viewer", "admin token")
    assert (listed["prefix"], listed["expiresAt"][:10], listed["revokedAt"]) == (value[:12], "2999-01-01", None)
    tables = ("select * from api_keys", "select * from audit_entries")
    stored = repr([dict(row) for table in tables for row in await api.database.fetch(table)])
    assert value not in stored
    assert value.removeprefix(value[:12]) not in stored
    hasher = api_keys.KeyHasher(SECRET_KEY)
    assert [row["hash"] for row in await api.database.fetch("select hash from api_keys")] == [hasher.hash(value)]


async def test_a_key_acts_in_its_own_name(api: Api) -> None:
    """Also when it creates and revokes other keys."""
    admin = await create(api, "admin", "Ana")
    reply = await api.post("/keys", {"name": "by Ana", "role": "viewer"}, token=admin["key"])
    assert reply.data["createdBy"] == "Ana"
    gone = await api.call("DELETE", f"/keys/{reply.data['id']}", token=admin["key"])
    assert (gone.data["revokedBy"], gone.data["revokedAt"] is None) == ("Ana", False)
    current = (await api.get("/keys/current", token=admin["key"])).data
    assert current == {"name": "Ana", "role": "admin", "keyId": admin["id"], "expiresAt": None}
    first = (await api.get("/keys/current")).data
    assert first == {"name": "admin token", "role": "admin", "keyId": None, "expiresAt": None}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "viewer"}, "name"),
        ({"name": "x"}, "role"),
        ({"name": "x", "role": "root"}, "role"),
        ({"name": "", "role": "viewer"}, "name"),
        ({"name": " x", "role": "viewer"}, "name"),
        ({"name": "x\n", "role": "viewer"}, "name"),
        ({"name": "a\u0000b", "role": "viewer"}, "name"),
        ({"name": "x" * 101, "role": "viewer"}, "name"),
        ({"name": "admin token", "role": "viewer"}, "name"),
        ({"name": "command line", "role": "viewer"}, "name"),
        ({"name": "x", "role": "viewer", "expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
        ({"name": "x", "role": "viewer", "expiresAt": "2999-01-01T00:00:00"}, "expiresAt"),
        ({"name": "x", "role": "viewer", "expiresAt": "9999-12-31T23:59:59-12:00"}, "expiresAt"),
        ({"name": "x", "role": "viewer", "expiresAt": 4102444800}, "expiresAt"),
        ({"name": "x", "role": "viewer", "hash": "x"}, "hash"),
    ],
)
async def test_a_wrong_key_is_refused_with_its_field(api: Api, body: dict[str, Any], field: str) -> None:
    assert fields_of(await api.post("/keys", body)) == [field]
    assert (await api.get("/keys")).data == []


async def test_a_key_is_revoked_once(api: Api) -> None:
    """An unknown one is not found. The keys of the list are those of all states, with pages."""
    ids = [(await create(api, "viewer", str(number)))["id"] for number in range(3)]
    assert (await api.delete(f"/keys/{ids[0]}")).status == 200
    assert (await api.delete(f"/keys/{ids[0]}")).status == 409
    assert (await api.delete(f"/keys/{new_id()}")).status == 404
    assert (await api.delete("/keys/x")).status == 404
    page = await api.get("/keys?limit=2")
    rest = await api.get("/keys", params={"limit": 2, "cursor": page.json["nextCursor"]})
    assert [key["id"] for key in page.data + rest.data] == ids[::-1]
    assert rest.json["nextCursor"] is None


async def test_the_number_of_valid_keys_is_bounded(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process holds them in memory. Revoked ones do not count."""
    monkeypatch.setattr(repository, "MAX_ACTIVE", 2)
    [first, _] = [await create(api, "viewer") for _ in range(2)]
    assert (await api.post("/keys", {"name": "x", "role": "viewer"})).status == 409
    await api.delete(f"/keys/{first['id']}")
    assert (await api.post("/keys", {"name": "x", "role": "viewer"})).status == 200


async def test_another_process_learns_of_keys_and_their_end_within_two_seconds(
    redis_url: str, postgres_dsn: str
) -> None:
    """It reads them every second."""
    async with serving(redis_url, postgres_dsn) as one, serving(redis_url, postgres_dsn) as other:
        created = await create(one, "viewer")

        async def status() -> int:
            return (await other.get("/queue/stats", token=created["key"])).status

        await eventually(lambda: _is(status, 200))
        await one.delete(f"/keys/{created['id']}")
        assert (await one.get("/queue/stats", token=created["key"])).status == 401
        await eventually(lambda: _is(status, 401))


async def _is(status: Any, expected: int) -> bool:
    return bool(await status() == expected)


async def test_the_last_use_is_written_once_a_minute(api: Api) -> None:
    """By one process, and by several together."""
    created = await create(api, "viewer")
    used = "select last_used_at from api_keys where id = $1"
    key_id = UUID(created["id"])
    assert (await api.get("/queue/stats", token=created["key"])).status == 200

    async def is_written() -> bool:
        return await api.database.fetchval(used, key_id) is not None

    await eventually(is_written)
    first = await api.database.fetchval(used, key_id)
    await ApiKeyRepository(api.database).mark_used([key_id])
    assert await api.database.fetchval(used, key_id) == first
    await api.database.fetch("update api_keys set last_used_at = now() - interval '61 seconds'")
    await ApiKeyRepository(api.database).mark_used([key_id])
    assert await api.database.fetchval(used, key_id) > first - timedelta(seconds=1)


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_key_in_memory_ends_when_it_expires(api: Api) -> None:
    """Also while Postgres is unavailable, and whatever the wall clock shows."""
    clock, hasher = Clock(), api_keys.KeyHasher(SECRET_KEY)
    value, store = api_keys.new_key(), ApiKeyRepository(api.database)
    cache = KeyCache(store, hasher, clock=clock)
    await store.create(
        NewApiKey(
            id=new_id(), name="short", role="viewer", prefix="filas_", hash=hasher.hash(value), created_by="a test",
            expires_at=datetime.now(UTC) + timedelta(seconds=100),
        )
    )  # fmt: skip
    await cache.refresh()
    assert cache.find(value) is not None
    clock.now += 90
    assert cache.find(value) is not None
    clock.now += 11
    assert cache.find(value) is None


async def test_keys_are_accepted_while_postgres_is_unavailable(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Operators need the API most then. Before the keys were read, the answer is 503: 401 would be wrong."""
    created = await create(api, "viewer")

    async def fail(*_: object) -> None:
        raise StoreUnavailable("postgres", "gone")

    monkeypatch.setattr(ApiKeyRepository, "active", fail)
    with pytest.raises(StoreUnavailable):
        await api.context.access.keys.refresh()
    assert (await api.get("/queue/stats", token=created["key"])).status == 200
    api.context.access.keys.is_loaded = False
    assert (await api.get("/queue/stats", token=created["key"])).status == 503
    assert (await api.get("/queue/stats", token="wrong")).status == 401
    assert (await api.get("/queue/stats")).status == 200


async def test_another_secret_key_makes_all_keys_invalid(api: Api) -> None:
    """The hash depends on FILAS_SECRET_KEY, so a copy of the table alone confirms no key."""
    created = await create(api, "viewer")
    cache = KeyCache(ApiKeyRepository(api.database), api_keys.KeyHasher("another key of the tests"))
    await cache.refresh()
    assert cache.find(created["key"]) is None


def test_failures_beyond_the_limit_are_refused_until_the_minute_is_over() -> None:
    """By address, an IPv6 client by its /64 network. Loopback is counted and never refused."""
    clock = Clock()
    clock.now = 600.0
    failures = FailedSignIns(2, clock=clock)
    assert [failures.record("203.0.113.7") for _ in range(3)] == [0, 0, 61]
    assert [failures.record(f"2001:db8::{number}") for number in range(3)] == [0, 0, 61]
    assert failures.record("203.0.113.8") == 0
    assert [failures.record("127.0.0.1") for _ in range(5)] == [0] * 5
    clock.now += 60
    assert failures.record("203.0.113.7") == 0
    found = {(one.at.minute, one.address): one.count for one in failures.unwritten()}
    assert found == {
        (10, "203.0.113.7"): 3, (10, "2001:db8::/64"): 3, (10, "203.0.113.8"): 1, (10, "127.0.0.1"): 5,
        (11, "203.0.113.7"): 1,
    }  # fmt: skip
    assert failures.unwritten() == []


def test_many_addresses_are_counted_together() -> None:
    """A flood from many addresses needs bounded memory and few rows."""
    failures = FailedSignIns(0, clock=Clock())
    for number in range(MAX_ADDRESSES + 500):
        failures.record(f"10.0.{number // 256}.{number % 256}")
    found = {one.address: one.count for one in failures.unwritten()}
    assert len(found) == MAX_ADDRESSES + 1
    assert found[OTHER] == 500


async def test_an_address_beyond_the_limit_gets_429_and_a_valid_key_is_still_accepted(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A valid key cannot be guessed, and all clients may share the address of a proxy."""
    monkeypatch.setattr("ingest.access.sign_in_failures.is_loopback", lambda _: False)
    monkeypatch.setattr(api.context.access.failed_sign_ins, "_limit", 3)
    statuses = [(await api.get("/flows", token=f"guess-{number}")).status for number in range(8)]
    assert sorted(statuses)[:3] == [401, 401, 401]
    assert 429 in statuses
    refused = await api.get("/flows", token="guess")
    assert (refused.status, 1 <= int(refused.headers["Retry-After"]) <= 61) == (429, True)
    assert (await api.get("/flows")).status == 200


async def test_many_requests_with_a_key_at_the_same_time(api: Api) -> None:
    created = await create(api, "viewer")
    replies = await asyncio.gather(*(api.get("/keys/current", token=created["key"]) for _ in range(20)))
    assert {reply.status for reply in replies} == {200}
