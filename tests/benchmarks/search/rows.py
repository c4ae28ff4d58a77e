"""Millions of rows that look like those of a busy installation, written by COPY.

The events are spread over 30 days, the newest last. Each is a message of one of CONTACTS contacts. The newest of them
have executions, and those messages.

| word or state | how many events have it |
|---|---|
| `whatsapp`, `messages` | all |
| `pix`, `boleto` | each second one; no event has both |
| `pedido` and a number of its own (`pedido-1234567`) | all; the number is unique |
| `zebra` | five, spread over all 30 days |
| a contact | as many as there are events for each contact |
| status `failed` | one of 5,000 |
| status `ignored` | one of 50 |
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg

CONTACTS: Final = 200_000
WEBHOOKS: Final = 20
FLOWS: Final = 20
ERRORS: Final = 40
VOCABULARY: Final = 30_000
SPREAD: Final = timedelta(days=30)
LINES: Final = 2000
RARE: Final = 5
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NULL: Final = r"\N"

Line = Callable[[int], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How many rows of each kind."""

    events: int
    executions: int
    dead_letters: int


class Rows:
    """The lines of COPY, by the number of the row from 0."""

    def __init__(self, sizes: Sizes, now: datetime) -> None:
        self._sizes = sizes
        self._begin_us = (now - SPREAD - _EPOCH) // timedelta(microseconds=1)
        self._step_us = max(1, SPREAD // timedelta(microseconds=1) // sizes.events)
        chance = random.Random(18)
        letters = "abcdefghijklmnopqrstuvwxyz"
        self._words = ["".join(chance.choices(letters, k=chance.randrange(3, 10))) for _ in range(VOCABULARY)]
        self._chance = chance

    def event(self, number: int) -> str:
        """A message of a contact."""
        received, processed = self._time(number), self._time(number, 200_000)
        status, reason = "processed", _NULL
        if number % 5000 == 7:
            status = "failed"
        elif number % 50 == 3:
            status, reason = "ignored", "kind:reaction" if number % 100 == 3 else "kind:status"
        return "\t".join(
            (
                _id(1, number, received),
                f"shop-{_skewed(number, WEBHOOKS)}",
                "support",
                "start",
                status,
                "POST",
                '{"content-type":["application/json"],"user-agent":["facebookexternalua"]}',
                "{}",
                self._body(number, received),
                "application/json",
                "203.0.113.7",
                f"whatsapp:{_phone(number % CONTACTS)}",
                "{}",
                reason,
                _timestamp(received),
                _timestamp(processed),
            )
        )

    def execution(self, number: int) -> str:
        """The execution of one of the newest events."""
        event = self._sizes.events - self._sizes.executions + number
        queued, ended = self._time(event, 100_000), self._time(event, 400_000)
        status, fingerprint, error, wake = "succeeded", _NULL, _NULL, _NULL
        if number % 200 == 11:
            status = "timed-out" if number % 400 == 11 else "failed"
            kind = ("timeout", "http-status", "template", "communication")[number // 200 % 4]
            fingerprint = f"{kind}:node-{number // 200 % 10}:{number // 200 % ERRORS:08x}"
            error = f'{{"kind":"{kind}","message":"it failed"}}'
        elif number % 250 == 13:
            status, wake = "waiting-input", _timestamp(self._time(self._sizes.events + number))
        elif number % 1000 == 17:
            status = "cancelled"
        return "\t".join(
            (
                _id(2, number, queued),
                status,
                f"flow-{_skewed(number, FLOWS)}",
                "1",
                "start",
                _id(1, event, self._time(event)),
                _contact_id(3, event % CONTACTS),
                "whatsapp",
                _phone(event % CONTACTS),
                '{"message":{"kind":"text","text":"oi"}}',
                error,
                fingerprint,
                _timestamp(queued),
                _timestamp(queued),
                _NULL if wake != _NULL else _timestamp(ended),
                wake,
                "t",
            )
        )

    def notification(self, number: int) -> str:
        """The message of an execution."""
        event = self._sizes.events - self._sizes.executions + number
        created = self._time(event, 300_000)
        status = "delivered"
        if number % 1000 == 19:
            status = "failed"
        elif number % 2000 == 21:
            status = "retrying"
        return "\t".join(
            (
                _id(4, number, created),
                _id(2, number, self._time(event, 100_000)),
                _contact_id(3, event % CONTACTS),
                "1",
                f"channel-{_skewed(number, 5)}",
                _phone(event % CONTACTS),
                '{"type":"text","text":"Recebemos o seu pedido"}',
                str(number),
                status,
                "1",
                _timestamp(created),
                _timestamp(created),
                _timestamp(created),
                _NULL if status == "retrying" else _timestamp(created + 200_000),
            )
        )

    def dead_letter(self, number: int) -> str:
        """A dead letter of one of the queues."""
        failed = self._time(number * (self._sizes.events // self._sizes.dead_letters))
        queue = ("webhook-processing", "flow-processing", "notifications")[number % 3]
        return "\t".join(
            (
                _id(5, number, failed),
                queue,
                f"{{{queue}}}:{number}",
                "run",
                "{}",
                '{"kind":"timeout","message":"it took too long"}',
                f"timeout:node-{number % 7}:{number % ERRORS:08x}",
                "3",
                "[]",
                _timestamp(failed),
                _timestamp(failed) if number % 4 else _NULL,
            )
        )

    def contact(self, number: int) -> str:
        """A contact."""
        return f"{_contact_id(6, number)}\twhatsapp\t{_phone(number)}"

    def alias(self, number: int) -> str:
        """The address of a contact."""
        return f"whatsapp\t{_phone(number)}\t{_contact_id(6, number)}"

    def conversation(self, number: int) -> str:
        """The conversation of a contact."""
        return f"{_contact_id(3, number)}\twhatsapp\t{_phone(number)}\t{_contact_id(6, number)}"

    def _body(self, number: int, received: int) -> str:
        text = " ".join(self._chance.choices(self._words, k=6))
        paid = "pix" if number % 2 else "boleto"
        rare = " zebra" if number % (self._sizes.events // RARE) == self._sizes.events // RARE // 2 else ""
        return (
            '{"object":"whatsapp_business_account","entry":[{"id":"102938475","changes":[{"value":{"messaging_product":'
            '"whatsapp","metadata":{"display_phone_number":"551140001000","phone_number_id":"10987"},"contacts":'
            f'[{{"profile":{{"name":"João {number % 977}"}},"wa_id":"{_phone(number % CONTACTS)}"}}],"messages":'
            f'[{{"from":"{_phone(number % CONTACTS)}","id":"wamid.HBgM{number:020X}","timestamp":'
            f'"{received // 1_000_000}","type":"text","text":{{"body":"{text}, pedido-{number:07d} {paid}{rare}"'
            '}}]},"field":"messages"}]}]}'
        )

    def _time(self, number: int, later_us: int = 0) -> int:
        return self._begin_us + number * self._step_us + later_us


COLUMNS: Final = {
    "events": "id webhook_id flow_id node_id status method headers query_params body content_type remote_address"
    " group_key config reason received_at processed_at",
    "executions": "id status flow_id version node_id event_id conversation_id channel contact trigger error fingerprint"
    " queued_at started_at ended_at wake_at carries_message",
    "notifications": "id execution_id conversation_id seq channel_id recipient payload idempotency_key status attempts"
    " due_at created_at updated_at ended_at",
    "dead_letters": "id queue job_id function payload error fingerprint attempts history failed_at replayed_at",
    "contacts": "id channel address",
    "contact_aliases": "channel alias contact_id",
    "conversations": "id channel contact contact_id",
}


async def fill(dsn: str, sizes: Sizes, now: datetime) -> None:
    """Writes all rows into an empty database with the schema."""
    rows = Rows(sizes, now)
    tables: dict[str, tuple[Line, int]] = {
        "events": (rows.event, sizes.events),
        "executions": (rows.execution, sizes.executions),
        "notifications": (rows.notification, sizes.executions),
        "dead_letters": (rows.dead_letter, sizes.dead_letters),
        "contacts": (rows.contact, CONTACTS),
        "contact_aliases": (rows.alias, CONTACTS),
        "conversations": (rows.conversation, CONTACTS),
    }
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("set synchronous_commit = off")
        for table, (line, count) in tables.items():
            source = _lines(line, count)
            await connection.copy_to_table(table, source=source, columns=COLUMNS[table].split(), format="text")
        for table in tables:
            await connection.execute(f"vacuum (analyze) {table}")
    finally:
        await connection.close()


async def _lines(line: Line, count: int) -> AsyncIterator[bytes]:
    for begin in range(0, count, LINES):
        yield "".join(_part(line, begin, min(begin + LINES, count))).encode()
        await asyncio.sleep(0)


def _part(line: Line, begin: int, end: int) -> Iterator[str]:
    for number in range(begin, end):
        yield line(number)
        yield "\n"


def _id(kind: int, number: int, time_us: int) -> str:
    """An id that is ordered by time, as those of version 7 are."""
    milliseconds = time_us // 1000
    return f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7{number & 0xFFF:03x}-8{kind:03x}-{number:012x}"


def _contact_id(kind: int, number: int) -> str:
    return f"00000000-0000-4000-8{kind:03x}-{number:012x}"


def _phone(contact: int) -> str:
    return f"55119{contact * 211 % 90_000_000 + 10_000_000:08d}"


def _skewed(number: int, count: int) -> int:
    """Half of the rows have 0, a quarter have 1, and so on; the last one has very few."""
    mixed = number * 2654435761 % 2**32
    return min(count - 1, 32 - mixed.bit_length())


def _timestamp(time_us: int) -> str:
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat()
