"""Finds the conversation of each execution that an event starts, and records which addresses belong together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from filas.contacts.canonical_address import medium_of
from filas.errors import PermanentError
from filas.models.contacts import FoundConversation, ReportedContact
from filas.models.executions import NewExecution
from ingest.event.conversation import ExecutionStart, ReceiptPlace, Starts
from ingest.process.channel_directory import ChannelDirectory


class ContactStore(Protocol):
    """The table of contacts (`ContactRepository`)."""

    async def find_many(self, reports: Sequence[ReportedContact]) -> Sequence[FoundConversation | BaseException | None]:
        """The conversation of each contact that begins or continues one. Raises StoreUnavailable."""


@dataclass(slots=True)
class _Place:
    """Where an execution belongs: its channel, and the number of the report of its contact."""

    channel: str | None
    report: int | None


@dataclass(slots=True)
class _Batch:
    reports: list[ReportedContact] = field(default_factory=list)

    def add(self, report: ReportedContact) -> int:
        self.reports.append(report)
        return len(self.reports) - 1


class Conversations:
    """The conversations of contacts, over the channels of `channels`."""

    def __init__(self, contacts: ContactStore, channels: ChannelDirectory) -> None:
        self._contacts = contacts
        self._channels = channels

    async def refresh(self) -> None:
        """Reads the channels, if that was too long ago. Raises StoreUnavailable."""
        await self._channels.refresh()

    def channel_of(self, place: ReceiptPlace) -> str:
        """The channel that sent the message of a receipt."""
        return self._channels.answering(place.channel, place.provider_channel, place.receipt.account).channel

    async def settle(
        self, events: Sequence[tuple[Starts, list[NewExecution]]]
    ) -> list[list[NewExecution] | BaseException]:
        """The executions of each event, with their channel and conversation: one result for each event, in order.

        A result is an exception if a contact could not be found or stored. Raises StoreUnavailable for all.
        """
        batch = _Batch()
        places = [[self._place(start, batch) for start in found.starts] for found, _ in events]
        others = [[self._report(one, batch, begins=False) for one in found.others] for found, _ in events]
        answers = await self._contacts.find_many(batch.reports) if batch.reports else []
        results: list[list[NewExecution] | BaseException] = []
        for (_, executions), placed, reported in zip(events, places, others, strict=True):
            numbers = [*(one.report for one in placed), *reported]
            errors = [answers[one] for one in numbers if one is not None and isinstance(answers[one], BaseException)]
            error = errors[0] if errors else None
            if isinstance(error, BaseException):
                results.append(error)
            else:
                pairs = zip(executions, placed, strict=True)
                results.append([_settled(execution, place, answers) for execution, place in pairs])
        return results

    def _place(self, start: ExecutionStart, batch: _Batch) -> _Place:
        if start.channel is None or start.contact is None:
            return _Place(start.channel, None)
        report = self._report(start, batch, begins=True)
        return _Place(batch.reports[report].channel, report)

    def _report(self, start: ExecutionStart, batch: _Batch, *, begins: bool) -> int:
        message, contact = start.message, start.contact
        if message is None or contact is None or start.channel is None:
            raise PermanentError("a message without a contact reports none")
        answering = self._channels.answering(start.channel, start.provider_channel, message.account)
        report = ReportedContact(
            channel=answering.channel,
            address=contact,
            aliases=message.aliases,
            medium=medium_of(answering.channel, answering.channel_type, start.provider_channel),
            account=answering.account,
            begins=begins,
            sends_to=message.moved_to or (contact if begins else None),
        )
        return batch.add(report)


def _settled(
    execution: NewExecution, place: _Place, answers: Sequence[FoundConversation | BaseException | None]
) -> NewExecution:
    found = None if place.report is None else answers[place.report]
    if not isinstance(found, FoundConversation):
        return execution
    return msgspec.structs.replace(execution, channel=place.channel, contact=found.contact, conversation_id=found.id)
