"""Who stored a version of a flow, and two people who publish the same flow."""

import asyncio
from typing import Any

from tests.ingest.api.serving import FLOW, Api


async def key_of(api: Api, name: str) -> str:
    """Creates a key with the role operator and returns it, when the API accepts it."""
    created = await api.post("/keys", {"name": name, "role": "operator"})
    assert created.status == 200, created.text
    await api.context.access.keys.refresh()
    return str(created.data["key"])


async def publish(api: Api, text: str, token: str, **query: Any) -> Any:
    words = "&".join(f"{name}={value}" for name, value in query.items())
    return await api.put(f"/flows/greeting?{words}", FLOW | {"name": text}, token=token)


async def test_a_version_has_the_name_of_the_key_that_stored_it(api: Api) -> None:
    ana, bia = await key_of(api, "Ana"), await key_of(api, "Bia")
    assert (await publish(api, "One", ana)).data["createdBy"] == "Ana"
    assert (await publish(api, "Two", bia)).data["createdBy"] == "Bia"
    assert (await publish(api, "Two", ana)).data["createdBy"] == "Bia", "no new version is stored"
    listed = await api.get("/flows/greeting/versions")
    assert [(one["version"], one["createdBy"]) for one in listed.data] == [(2, "Bia"), (1, "Ana")]
    assert (await api.get("/flows/greeting")).data["createdBy"] == "Bia"
    assert (await api.get("/flows/greeting?version=1")).data["createdBy"] == "Ana"


async def test_a_version_published_meanwhile_is_named(api: Api) -> None:
    """With its number, its author and its time. Nothing is stored, and no change is audited."""
    ana, bia = await key_of(api, "Ana"), await key_of(api, "Bia")
    assert (await publish(api, "One", ana, ifVersion=0)).status == 200
    assert (await publish(api, "Two", bia, ifVersion=1)).status == 200
    refused = await publish(api, "Three", ana, ifVersion=1)
    assert refused.status == 409, refused.text
    assert (refused.json["version"], refused.json["createdBy"]) == (2, "Bia")
    assert refused.json["createdAt"] == (await api.get("/flows/greeting")).data["createdAt"]
    assert "version 2 was published meanwhile (Bia, " in refused.json["detail"]
    assert (await publish(api, "Three", ana, ifVersion=0)).status == 409
    assert len((await api.get("/flows/greeting/versions")).data) == 2
    assert len((await api.get("/audit?subject=flows/greeting")).data) == 2
    assert (await publish(api, "Three", ana, ifVersion=2)).data["version"] == 3


async def test_a_version_that_is_not_published_is_no_conflict(api: Api) -> None:
    token = await key_of(api, "Ana")
    assert (await publish(api, "One", token, publish="false")).status == 200
    refused = await publish(api, "Two", token, ifVersion=1)
    assert (refused.status, "no version of flow 'greeting' is published" in refused.json["detail"]) == (409, True)
    assert (await publish(api, "Two", token, ifVersion=0)).status == 200


async def test_of_two_people_who_publish_at_the_same_time_one_is_refused(api: Api) -> None:
    tokens = [await key_of(api, name) for name in ("Ana", "Bia", "Caio")]
    assert (await publish(api, "One", tokens[0])).status == 200
    answers = await asyncio.gather(
        *(publish(api, f"Next {number}", token, ifVersion=1) for number, token in enumerate(tokens))
    )
    assert sorted(one.status for one in answers) == [200, 409, 409]
