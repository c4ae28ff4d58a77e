"""Contacts: found by any of their addresses, and merged when two turn out to be one."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from filas.contract.identity import conversation_id, new_id, old_conversation_id
from filas.errors import RetryLater
from filas.models.contacts import FoundConversation, ReportedContact
from filas.repository.contacts.contact_repository import FIRST, ContactRepository
from filas.repository.executions.execution_repository import ExecutionRepository
from filas.repository.postgres.database import Database
from filas.repository.retention import Ages, Retention
from tests.shared.repository.builders import checkpoint, execution

NUMBER = "5511987650001"


@pytest.fixture
def contacts(database: Database) -> ContactRepository:
    return ContactRepository(database)


def report(address: str, *aliases: str, **changes: Any) -> ReportedContact:
    fields: dict[str, Any] = {"channel": "whatsapp", "medium": "whatsapp", "sends_to": address} | changes
    return ReportedContact(address=address, aliases=aliases, **fields)


async def find(contacts: ContactRepository, *reports: ReportedContact) -> list[FoundConversation]:
    answers = await contacts.find_many(reports)
    found = [one for one in answers if isinstance(one, FoundConversation)]
    assert len(found) == len(answers), answers
    return found


async def address_of(contacts: ContactRepository, found: FoundConversation) -> str:
    contact = await contacts.get(found.contact_id)
    assert contact is not None
    return contact.address


async def begin(database: Database, found: FoundConversation, status: str = "queued", **columns: Any) -> UUID:
    """An execution of the conversation, which is then set to `status`."""
    one = execution(contact=found.contact, conversation_id=found.id)
    await ExecutionRepository(database).start_many([(one.event_id, [one])])
    sets = "".join(f", {name} = {value}" for name, value in columns.items())
    await database.fetch(f"update executions set status = $2{sets} where id = $1", one.id, status)
    return one.id


async def conversation_of(database: Database, execution_id: UUID) -> UUID:
    found: UUID = await database.fetchval("select conversation_id from executions where id = $1", execution_id)
    return found


@pytest.mark.parametrize(
    "address", ["+55 (11) 98765-0001", "whatsapp:+5511987650001", "551187650001", "5511987650001@s.whatsapp.net"]
)
async def test_a_number_is_one_contact_however_it_is_written(contacts: ContactRepository, address: str) -> None:
    """Messages are sent to the address that was used last."""
    [first] = await find(contacts, report(NUMBER))
    assert first.id == conversation_id("whatsapp", NUMBER)
    [second] = await find(contacts, report(address))
    assert second == first
    assert await address_of(contacts, first) == address
    [third] = await find(contacts, report(NUMBER, sends_to=None))
    assert third == first
    assert await address_of(contacts, first) == address, "a schedule does not change the address"


async def test_the_contacts_of_a_batch_are_created_together(contacts: ContactRepository) -> None:
    """Several reports of one contact, in any form, have one conversation."""
    found = await find(contacts, report(NUMBER), report("5521987650001"), report("+55 11 8765-0001"))
    assert found[0] == found[2] != found[1]
    assert await find(contacts, report("5521987650001"), report(NUMBER)) == [found[1], found[0]]


async def test_of_a_batch_the_last_report_decides_where_messages_go(contacts: ContactRepository) -> None:
    [first, second] = await find(contacts, report(NUMBER), report("+55 11 8765-0001"))
    assert first == second
    assert await address_of(contacts, first) == "+55 11 8765-0001"


async def test_an_address_that_two_reports_of_a_batch_name_is_one_contact(
    contacts: ContactRepository, database: Database
) -> None:
    """Each names it for another new contact. The second one is looked up again, so it leaves no contact behind."""
    [first, second, third] = await find(
        contacts, report(NUMBER, "BR.1"), report("BR.1"), report("5521987650001", "BR.1")
    )
    assert first == second == third
    contact = await contacts.get(first.contact_id)
    assert contact is not None
    assert contact.aliases == sorted([NUMBER, "BR.1", "5521987650001"])
    assert await database.fetchval("select count(*) from contacts") == 1
    assert await database.fetchval("select count(*) from conversations") == 1


@pytest.mark.parametrize(("reports", "statements"), [("new", 2), ("known", 1), ("new alias", 2)])
async def test_few_statements_find_a_batch(
    contacts: ContactRepository, database: Database, monkeypatch: pytest.MonkeyPatch, reports: str, statements: int
) -> None:
    """New contacts take a second statement, and no third one reads what it has written."""
    batch = [report(f"55119876500{number}") for number in range(10, 30)]
    if reports != "new":
        await find(contacts, *batch)
    if reports == "new alias":
        batch = [report(one.address, f"BR.{one.address}") for one in batch]
    fetch, calls = database.fetch, list[str]()

    async def counted(sql: str, *arguments: object) -> list[Any]:
        calls.append(sql)
        return await fetch(sql, *arguments)

    monkeypatch.setattr(database, "fetch", counted)
    found = await find(contacts, *batch)
    assert len(calls) == statements
    monkeypatch.undo()
    assert await find(contacts, *batch) == found


async def test_many_workers_create_one_contact(contacts: ContactRepository) -> None:
    answers = await asyncio.gather(*(find(contacts, report(NUMBER, "BR.1")) for _ in range(8)))
    assert len({one[0].id for one in answers}) == 1


async def test_addresses_that_are_seen_together_are_one_contact(contacts: ContactRepository) -> None:
    """A person with a user name is found by either address afterwards."""
    [both] = await find(contacts, report(NUMBER, "BR.1"))
    [by_user] = await find(contacts, report("BR.1"))
    assert by_user == both
    assert await address_of(contacts, both) == "BR.1"
    contact = await contacts.get(both.contact_id)
    assert contact is not None
    assert contact.aliases == sorted([NUMBER, "BR.1"])
    assert [one.id for one in contact.conversations] == [both.id]


async def test_what_begins_nothing_creates_nothing(contacts: ContactRepository, database: Database) -> None:
    """It adds aliases to a contact that is known."""
    event = report("5511900000001", "5511900000002", begins=False, sends_to="5511900000002")
    assert await contacts.find_many([event]) == [None]
    assert await database.fetchval("select count(*) from contacts") == 0
    [before] = await find(contacts, report("5511900000001"))
    assert await contacts.find_many([event]) == [None]
    assert await address_of(contacts, before) == "5511900000002"
    assert await find(contacts, report("5511900000002")) == [before]


async def test_ids_of_digits_stay_different(contacts: ContactRepository) -> None:
    """A chat of Telegram may have the digits of a number."""
    chats = [report(one, channel="telegram", medium="telegram") for one in ("551187650001", NUMBER)]
    first, second = await find(contacts, *chats)
    assert first.id != second.id


async def test_two_of_our_numbers_have_two_conversations(contacts: ContactRepository) -> None:
    """Over one channel without a number. The conversation from before belongs to the number that is seen first."""
    [old] = await find(contacts, report(NUMBER))
    [first] = await find(contacts, report(NUMBER, account="111"))
    [second] = await find(contacts, report("+55 11 8765-0001", account="222"))
    assert (first.id, first.contact_id) == (old.id, second.contact_id)
    assert second.id != first.id
    assert await find(contacts, report(NUMBER, account="222"), report(NUMBER, account="111")) == [second, first]
    assert first.contact != second.contact, "older versions keep (channel, contact) unique"


async def test_a_merge_while_an_execution_waits(
    contacts: ContactRepository, database: Database, published: str
) -> None:
    """The open question belongs to the conversation that remains; newer variables win; old ids stay valid."""
    [number] = await find(contacts, report(NUMBER))
    [user] = await find(contacts, report("BR.1"))
    waiting = await begin(database, user, "waiting-input", awaits_reply_since="now()", turn="2")
    ended = await begin(database, user, "succeeded", ended_at="now()")
    await database.fetch("""update conversations set vars = '{"name":"Ana","city":"SP"}' where id = $1""", number.id)
    await database.fetch(
        """update conversations set vars = '{"name":"Bia"}', updated_at = now() + interval '1 s' where id = $1""",
        user.id,
    )
    [found] = await find(contacts, report(NUMBER, "BR.1"))
    assert found == number
    assert await conversation_of(database, waiting) == number.id
    assert await conversation_of(database, ended) == user.id
    rows = {row["id"]: row for row in await database.fetch("select * from conversations")}
    assert rows[number.id]["vars"] == '{"name":"Bia","city":"SP"}'
    assert rows[user.id]["merged_into"] == number.id
    assert await find(contacts, report("BR.1")) == [number]
    old, kept = await contacts.get(user.contact_id), await contacts.get(number.contact_id)
    assert old == kept is not None
    message = await begin(database, found)
    answer = await ExecutionRepository(database).claim(message, 1, "w", 10)
    assert answer is not None
    assert (answer.id, answer.contact) == (waiting, "BR.1")


@pytest.mark.parametrize("newer_is_kept", [True, False])
async def test_a_merge_supersedes_the_older_question(
    contacts: ContactRepository, database: Database, published: str, newer_is_kept: bool
) -> None:
    """The question that was asked last gets the next message. The older one is over at its `idleAt`, also if its own
    time is longer."""
    [number], [user] = await find(contacts, report(NUMBER)), await find(contacts, report("BR.1"))
    first, second = (user, number) if newer_is_kept else (number, user)
    times = {"idle_at": "now() + interval '1 hour'", "wake_at": "now() + interval '9 hours'", "turn": "2", "fence": "1"}
    asked_before = "now() - interval '1 minute'"
    older = await begin(database, first, "waiting-input", awaits_reply_since=asked_before, **times)
    newer = await begin(database, second, "waiting-input", awaits_reply_since="now()", **times)
    [found] = await find(contacts, report(NUMBER, "BR.1"))
    rows = {row["id"]: row for row in await database.fetch("select * from executions")}
    assert [rows[one]["superseded"] for one in (older, newer)] == [True, False]
    assert [rows[one]["wake_at"] == rows[one]["idle_at"] for one in (older, newer)] == [True, False]
    answer = await ExecutionRepository(database).claim(await begin(database, found), 1, "w", 10)
    assert answer is not None
    assert answer.id == newer


async def test_a_merge_waits_for_an_execution_that_runs(
    contacts: ContactRepository, database: Database, published: str
) -> None:
    """Its checkpoint writes all variables of the conversation that it has read."""
    [number], [user] = await find(contacts, report(NUMBER)), await find(contacts, report("BR.1"))
    one = execution(contact=user.contact, conversation_id=user.id)
    executions = ExecutionRepository(database)
    await executions.start_many([(one.event_id, [one])])
    held = await executions.claim(one.id, 1, "w", 10)
    assert held is not None
    both, other = report(NUMBER, "BR.1"), report("5521987650001")
    busy, found = await contacts.find_many([both, other])
    assert isinstance(busy, RetryLater)
    assert not busy.uses_attempt
    assert isinstance(found, FoundConversation), "the other contacts of the batch are not affected"
    await executions.checkpoint_many([checkpoint(held, "succeeded", conversation_vars='{"name":"Ana"}')])
    assert await find(contacts, both) == [number]
    assert await database.fetchval("select vars from conversations where id = $1", number.id) == '{"name":"Ana"}'


async def test_a_message_that_was_found_before_a_merge_belongs_to_the_conversation_that_remains(
    contacts: ContactRepository, database: Database, published: str
) -> None:
    [number], [user] = await find(contacts, report(NUMBER)), await find(contacts, report("BR.1"))
    await find(contacts, report(NUMBER, "BR.1"))
    assert await conversation_of(database, await begin(database, user)) == number.id


async def test_merges_that_run_at_the_same_time_end(contacts: ContactRepository) -> None:
    """Three contacts, merged in every order at once."""
    names = (NUMBER, "BR.1", "BR.2")
    await find(contacts, *(report(name) for name in names))

    async def merge(first: str, second: str) -> None:
        for _ in range(20):
            [answer] = await contacts.find_many([report(first, second)])
            if isinstance(answer, FoundConversation):
                return
        raise AssertionError(answer)

    await asyncio.gather(*(merge(one, two) for one in names for two in names if one != two))
    assert len({one.id for one in await find(contacts, *(report(name) for name in names))}) == 1


async def _old(database: Database, contact: str, variables: str = "{}", channel: str = "whatsapp") -> UUID:
    """A conversation as version 0.2 writes it."""
    identity = old_conversation_id(channel, contact)
    await database.fetch(
        "insert into conversations (id, channel, contact, vars) values ($1, $2, $3, $4::json)",
        identity,
        channel,
        contact,
        variables,
    )
    return identity


async def test_a_conversation_of_an_older_version_is_kept(contacts: ContactRepository, database: Database) -> None:
    """Also one whose id is not derived from the canonical address."""
    old = await _old(database, "551187650001", '{"name":"Ana"}')
    [found] = await find(contacts, report("551187650001"))
    assert found.id == old != conversation_id("whatsapp", "551187650001")
    assert await find(contacts, report(NUMBER)) == [found]


async def test_conversations_of_older_versions_are_linked_and_merged(
    contacts: ContactRepository, database: Database, published: str
) -> None:
    """In pages. An execution that an older process begins in a merged conversation moves too."""
    ids = [
        await _old(database, one, f'{{"{n}":1}}') for n, one in enumerate((NUMBER, "551187650001", "+5511987650001"))
    ]
    other = await _old(database, NUMBER, channel="telegram")
    linked, after = 0, FIRST
    for _ in range(9):
        count, next_after = await contacts.link_old(after, 2)
        linked, after = linked + count, next_after or FIRST
        if next_after is None:
            break
    assert linked == 4
    assert await contacts.link_old(FIRST, 9) == (0, None)
    [found] = await find(contacts, report(NUMBER))
    assert found.id in ids
    assert await database.fetchval("select vars::jsonb from conversations where id = $1", found.id) == (
        '{"0": 1, "1": 1, "2": 1}'
    )
    assert await find(contacts, report(NUMBER, channel="telegram", medium="telegram")) != [found]
    assert other not in ids
    loser = next(one for one in ids if one != found.id)
    late = new_id()
    await database.fetch(
        "insert into executions (id, flow_id, version, node_id, conversation_id, channel, contact, trigger, queued_at)"
        " values ($1, 'welcome', 1, '', $2, 'whatsapp', $3, '{}', now())",
        late,
        loser,
        "+5511987650001",
    )
    assert await contacts.move_executions(FIRST, 9) is None
    assert await conversation_of(database, late) == found.id


async def test_a_taken_name_does_not_stop_a_new_conversation(contacts: ContactRepository, database: Database) -> None:
    """The channel was of the type `http` before, so the number was another contact."""
    [before] = await find(contacts, report("551187650001", channel="crm", medium="http"))
    [after] = await find(contacts, report("551187650001", channel="crm"))
    assert after.id != before.id
    assert await find(contacts, report(NUMBER, channel="crm")) == [after]


async def test_contacts_are_deleted_with_their_last_conversation(
    contacts: ContactRepository, database: Database
) -> None:
    """With their aliases and the contacts that were merged into them."""
    await find(contacts, report(NUMBER), report("BR.1"))
    await find(contacts, report(NUMBER, "BR.1"))
    [kept, _] = await find(contacts, report("5521987650001"), report("5521987650001", account="2"))
    long_ago = datetime.now(UTC) - timedelta(days=400)
    await database.fetch("update conversations set updated_at = $1 where id <> $2", long_ago, kept.id)
    assert (await Retention(database).purge(datetime.now(UTC), Ages()))["conversations"] >= 2
    left = await database.fetch("select c.id, a.alias from contacts c join contact_aliases a on a.contact_id = c.id")
    assert [(row["id"], row["alias"]) for row in left] == [(kept.contact_id, "5521987650001")]
    assert await database.fetchval("select count(*) from contacts") == 1
    [again] = await find(contacts, report(NUMBER))
    assert again.id == conversation_id("whatsapp", NUMBER)
