"""Channels of every type with their circuits, and the commands for notifications."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from filas.contract.channel_circuits import ChannelReport
from filas.contract.identity import new_id
from filas.contract.job_factories import notification_job
from filas.contract.jobs import CANCEL_NOTIFICATION
from filas.contract.policies import NOTIFICATIONS
from filas.queue.channel_circuits import ChannelCircuits
from filas.queue.operations.queue_stats import JobInfo
from ingest.api.definitions.channel_fields import SECRET_FIELDS
from tests.ingest.api.serving import Api, fields_of
from tests.notifier.rows import add_notification

CHANNELS: dict[str, dict[str, Any]] = {
    "console": {},
    "http": {"url": "https://example.com/in", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
    "whatsapp": {
        "phoneNumberId": "106540352242922",
        "accessToken": "EAAG-planted",
        "rate": 20,
        "retry": {"maxAttempts": 5, "delayMs": 1000, "rate": 3.0, "forMs": 600_000},
    },
    "telegram": {"botToken": "110201543:planted", "receiverRate": 0.5, "baseUrl": "http://bots.internal:8081"},
    "slack": {"botToken": "xoxb-planted"},
    "twilio": {"accountSid": "AC123", "authToken": "planted", "from": "+15005550006"},
    "email": {
        "host": "mail.example.com",
        "from": "bot@example.com",
        "username": "bot",
        "password": "planted",
        "security": "tls",
        "port": 465,
    },
}


@pytest.mark.parametrize("type_", CHANNELS)
async def test_a_channel_of_every_type_is_stored_and_shown_without_its_secrets(api: Api, type_: str) -> None:
    """A PUT of the answer changes nothing."""
    document = {"type": type_, **CHANNELS[type_]}
    put = await api.put("/channels/mine", document)
    assert put.status == 200, put.text
    shown = (await api.get("/channels/mine")).data
    secrets = SECRET_FIELDS.get(type_, ())
    assert {name: shown[name] for name in document if name not in secrets} == {
        name: value for name, value in document.items() if name not in secrets
    }
    assert all(shown[name] == "***" for name in secrets if name in document)
    assert shown["circuit"] == {"state": "closed", "reason": None, "until": None, "failures": 0}
    before = await api.context.channels.get("mine")
    again = await api.put("/channels/mine", shown)
    assert again.status == 200, again.text
    after = await api.context.channels.get("mine")
    assert before is not None
    assert after is not None
    assert after.config == before.config
    for name in secrets:
        if name in document:
            assert api.context.secret_box.open(after.config[name]) == document[name]


@pytest.mark.parametrize(
    ("type_", "change", "field"),
    [
        ("whatsapp", {"phoneNumberId": "1/../2"}, "phoneNumberId"),
        ("whatsapp", {"accessToken": ""}, "accessToken"),
        ("whatsapp", {"baseUrl": "graph.facebook.com"}, "baseUrl"),
        ("whatsapp", {"rate": -1}, "rate"),
        ("whatsapp", {"retry": {"maxAttempts": 0}}, "retry.maxAttempts"),
        ("whatsapp", {"retry": {"forMs": 86_400_001}}, "retry.forMs"),
        ("whatsapp", {"retry": {"attempts": 2}}, "retry.attempts"),
        ("whatsapp", {"listLabel": "more than twenty characters"}, "listLabel"),
        ("telegram", {"botToken": "a/b"}, "botToken"),
        ("telegram", {"botToken": "1:planted token"}, "botToken"),
        ("slack", {"webhookUrl": "https://hooks.slack.com/services/x"}, "botToken"),
        ("slack", {"botToken": None, "webhookUrl": "not an address"}, "webhookUrl"),
        ("twilio", {"messagingServiceSid": "MG1"}, "from"),
        ("twilio", {"statusCallback": "/here"}, "statusCallback"),
        ("email", {"from": "nobody"}, "from"),
        ("email", {"from": "a@b.example, c@d.example"}, "from"),
        ("email", {"username": None}, "password"),
        ("email", {"security": "maybe"}, "security"),
        ("email", {"port": 0}, "port"),
    ],
)
async def test_a_wrong_field_is_named(api: Api, type_: str, change: dict[str, Any], field: str) -> None:
    """422, and no secret in the answer."""
    reply = await api.put("/channels/x", {"type": type_, **CHANNELS[type_], **change})
    assert fields_of(reply) == [field], reply.text
    assert "planted" not in reply.text


async def test_a_channel_shows_that_it_is_paused(api: Api) -> None:
    """State, reason and end of the pause; afterwards the circuit is closed."""
    await api.put("/channels/mine", {"type": "console"})
    circuits = ChannelCircuits(api.redis)
    await circuits.report(ChannelReport(channel_id="mine", id="1", outcome="busy", pause_s=60.0))
    shown = (await api.get("/channels/mine")).data["circuit"]
    assert (shown["state"], shown["reason"]) == ("open", "busy")
    await api.put("/channels/other", {"type": "console"})
    listed = {one["id"]: one["circuit"] for one in (await api.get("/channels")).data}
    assert (listed["mine"], listed["other"]["state"]) == (shown, "closed")
    until = datetime.fromisoformat(shown["until"])
    assert 15 < (until - datetime.now(UTC)).total_seconds() <= 60


# ---- notifications -----------------------------------------------------------------------------------


async def settle(api: Api, notification_id: UUID, status: str, attempts: int = 2) -> None:
    await api.database.fetch(
        "update notifications set status = $2, attempts = $3 where id = $1", notification_id, status, attempts
    )


async def waiting(api: Api) -> list[JobInfo]:
    jobs: list[JobInfo] = (await api.context.stats.jobs(NOTIFICATIONS, "waiting")).items
    return jobs


async def test_notifications_are_filtered(api: Api) -> None:
    """By status, channel and time together."""
    first = await add_notification(api.database, "a")
    second = await add_notification(api.database, "b")
    await settle(api, second, "failed")
    assert [one["id"] for one in (await api.get("/notifications", params={"channelId": "a"})).data] == [str(first)]
    assert [one["id"] for one in (await api.get("/notifications", params={"status": "failed"})).data] == [str(second)]
    row = (await api.get(f"/notifications/{first}")).data
    later = {"since": row["createdAt"]}
    assert {one["id"] for one in (await api.get("/notifications", params=later)).data} == {str(first), str(second)}
    assert (await api.get("/notifications", params={"until": row["createdAt"]})).data == []
    assert (await api.get("/notifications", params={"conversationId": str(first)})).data == []


@pytest.mark.parametrize("status", ["failed", "cancelled"])
async def test_a_retry_is_a_command_to_the_notifier_and_a_second_one_is_a_duplicate(api: Api, status: str) -> None:
    """The job is in the group of its recipient, which keeps the order. Only the notifier writes the row."""
    notification_id = await add_notification(api.database, "a")
    await settle(api, notification_id, status)
    asked = await api.post(f"/notifications/{notification_id}/retry")
    assert asked.status == 200, asked.text
    assert not asked.data["duplicate"]
    assert (await api.post(f"/notifications/{notification_id}/retry")).data["duplicate"]
    (job,) = await waiting(api)
    assert (job.id, job.group) == (asked.data["jobId"], "a:5511999990000")
    assert job.data["replay"] == 3
    assert (await api.get(f"/notifications/{notification_id}")).data["status"] == status


@pytest.mark.parametrize("status", ["queued", "retrying", "sending"])
async def test_a_cancellation_is_a_command_to_the_notifier(api: Api, status: str) -> None:
    """The job is in no group, because it must not wait for the job that it ends."""
    notification_id = await add_notification(api.database, "a")
    await settle(api, notification_id, status)
    asked = await api.post(f"/notifications/{notification_id}/cancel")
    assert asked.status == 200, asked.text
    (job,) = await waiting(api)
    assert (job.name, job.group, job.id) == (CANCEL_NOTIFICATION, None, asked.data["jobId"])
    assert await api.context.cancels.unapplied_notifications(0.0, 10) == [notification_id]


@pytest.mark.parametrize(
    ("status", "action"),
    [
        ("delivered", "retry"),
        ("read", "retry"),
        ("sent", "retry"),
        ("queued", "retry"),
        ("retrying", "retry"),
        ("sending", "retry"),
        ("sent", "cancel"),
        ("delivered", "cancel"),
        ("read", "cancel"),
        ("failed", "cancel"),
        ("cancelled", "cancel"),
    ],
)
async def test_a_command_that_does_not_fit_the_status_is_rejected(api: Api, status: str, action: str) -> None:
    """409 with the present status."""
    notification_id = await add_notification(api.database, "a")
    await settle(api, notification_id, status)
    refused = await api.post(f"/notifications/{notification_id}/{action}")
    assert refused.status == 409
    assert status in refused.json["detail"]
    assert await waiting(api) == []


@pytest.mark.parametrize("action", ["retry", "cancel"])
@pytest.mark.parametrize("which", [str(UUID(int=7)), "no-id"])
async def test_a_command_for_an_unknown_notification_is_rejected(api: Api, action: str, which: str) -> None:
    """404 with its id."""
    refused = await api.post(f"/notifications/{which}/{action}")
    assert refused.status == 404
    assert which in refused.json["detail"]
    assert await waiting(api) == []


async def test_a_channel_is_resumed_with_the_messages_that_wait_for_it(api: Api) -> None:
    """The circuit is closed, and the delayed messages of this channel are due now; those of others stay delayed."""
    mine, other = new_id(), new_id()
    for channel_id, notification_id in (("mine", mine), ("other", other)):
        await api.put(f"/channels/{channel_id}", {"type": "console"})
        job = notification_job(notification_id, channel_id, "5511", msgspec.UNSET)
        await api.context.producer.enqueue(replace(job, delay_ms=600_000))
    await ChannelCircuits(api.redis).report(ChannelReport(channel_id="mine", id="1", outcome="busy", pause_s=60.0))
    done = (await api.post("/channels/mine/resume")).data
    assert done == {"id": "mine", "changed": True, "promoted": 1, "more": False}
    assert (await api.get("/channels/mine")).data["circuit"]["state"] == "closed"
    waiting, delayed = [(await api.get(f"/queue/notification/jobs?state={one}")).data for one in ("waiting", "delayed")]
    assert [job["data"]["notificationId"] for job in waiting] == [str(mine)]
    assert [job["data"]["notificationId"] for job in delayed] == [str(other)]
    again = (await api.post("/channels/mine/resume")).data
    assert (again["changed"], again["promoted"]) == (False, 0)
    assert (await api.post("/channels/none/resume")).status == 404
    entry = (await api.get("/audit?action=resumeChannel")).data[-1]
    assert (entry["before"]["circuit"]["state"], entry["after"]["circuit"]["state"]) == ("open", "closed")


async def test_a_test_message_is_queued_like_every_other_one(api: Api) -> None:
    """The notification has the recipient and the text, its job is on the queue, and the audit names who sent it."""
    await api.put("/channels/mail", {"type": "console"})
    sent = await api.post("/channels/mail/test", {"to": "a@example.com", "text": "Olá"})
    assert sent.status == 200
    notification = (await api.get(f"/notifications/{sent.data['notificationId']}")).data
    assert (notification["channelId"], notification["recipient"]) == ("mail", "a@example.com")
    assert notification["payload"]["text"] == "Olá"
    [job] = (await api.get("/queue/notification/jobs?state=waiting")).data
    assert job["data"]["notificationId"] == notification["id"]
    entries = (await api.get("/audit?action=testChannel")).data
    assert [entry["after"]["to"] for entry in entries] == ["a@example.com"]


async def test_a_test_message_needs_a_channel_a_recipient_and_a_text(api: Api) -> None:
    """Nothing is stored otherwise."""
    await api.put("/channels/mail", {"type": "console"})
    assert (await api.post("/channels/none/test", {"to": "a", "text": "b"})).status == 404
    for body in ({"to": "", "text": "b"}, {"to": "a\n", "text": "b"}, {"to": "a", "text": ""}, {"to": "a"}):
        assert (await api.post("/channels/mail/test", body)).status == 422
    assert (await api.get("/notifications")).data == []
