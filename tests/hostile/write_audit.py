"""Records in the database which process wrote what, so that a late write of a worker that lost its fence is found.

Each process connects as a user of its own. Triggers record every claim, and every write that only the claim allows,
with that user and with the fence of the execution or the attempt of the notification. What others may write at any time
(a reply or a cancel for an execution that waits, a receipt for a message) is not recorded, or not compared.

The record is written in the transaction of what it records. Its table survives a crash of Postgres, which an unlogged
one does not, and has no index.
"""

from collections.abc import Sequence

from filas.repository import roles
from filas_local.servers import PostgresServer

SET_UP = (
    """create table audit (
        place bigint not null generated always as identity, at timestamptz not null default clock_timestamp(),
        subject uuid not null, fence bigint not null, is_claim boolean not null, kind text not null,
        writer text not null default session_user)""",
    """create function audit_execution() returns trigger language plpgsql security definer as $$ begin
        insert into audit (kind, subject, fence, is_claim)
            values ('execution', new.id, new.fence, new.fence <> old.fence);
        return null; end $$""",
    """create function audit_child() returns trigger language plpgsql security definer as $$ begin
        insert into audit (kind, subject, fence, is_claim)
            select tg_table_name, e.id, e.fence, false from executions e where e.id = new.execution_id;
        return null; end $$""",
    """create function audit_notification() returns trigger language plpgsql security definer as $$ begin
        insert into audit (kind, subject, fence, is_claim)
            values ('notification', new.id, new.attempts, new.attempts <> old.attempts);
        return null; end $$""",
    # A claim, the end of a claim, or the content that a claim allows to write.
    """create trigger audit after update on executions for each row
        when (new.fence <> old.fence or (old.status = 'running' and new.status <> 'running')
            or new.state::text is distinct from old.state::text or new.output::text is distinct from old.output::text)
        execute function audit_execution()""",
    "create trigger audit after insert or update on steps for each row execute function audit_child()",
    "create trigger audit after insert on notifications for each row execute function audit_child()",
    # A notifier that finds a stored cancel ends the notification without an attempt of its own.
    """create trigger audit_update after update on notifications for each row
        when (new.attempts <> old.attempts
            or (old.status = 'sending' and new.status not in ('sending', 'cancelled')))
        execute function audit_notification()""",
)

# Steps and new notifications are written under the claim of their execution. A process that claims nothing of a kind
# has no fence to lose: an operator's cancel and a provider's receipt end the attempt of another process.
FAULTS = """
with written as (
    select *, case kind when 'notification' then 'notification' else 'execution' end as claimed from audit
), claim as (
    select claimed, subject, fence, writer from written where is_claim
)
select w.kind || ' ' || w.subject || ' fence ' || w.fence || ': written by ' || w.writer || ', claimed by '
        || coalesce(c.writer, 'no worker')
from written w left join claim c on c.subject = w.subject and c.fence = w.fence and c.claimed = w.claimed
where not w.is_claim and w.writer is distinct from c.writer
    and (w.claimed, w.writer) in (select claimed, writer from claim)
union all
select 'two claims of ' || subject || ' fence ' || fence from claim group by claimed, subject, fence having count(*) > 1
union all
select 'fence of ' || subject || ' went back' from (
    select subject, fence, lag(fence) over (partition by kind, subject order by place) as before
    from audit where kind in ('execution', 'notification')) f
where fence < before"""


class WriteAudit:
    """The record of one run, in a migrated `database` of `server`. Each of `processes` gets a user."""

    def __init__(self, server: PostgresServer, processes: Sequence[str], database: str = "filas") -> None:
        self._server = server
        self._database = database
        for name in processes:
            server.execute(f"create role {self.user(name)} login in role {roles.WRITE}")
        server.execute(*SET_UP, database=database)

    @staticmethod
    def user(process: str) -> str:
        """The user of Postgres as which this process connects."""
        return process.replace("-", "_")

    def claims_after_a_lost_lease(self) -> int:
        """How many claims took over an execution or a notification from another worker."""
        claims = "select count(*) from audit where is_claim and fence > 1"
        return int(self._server.execute(claims, database=self._database))

    def faults(self) -> list[str]:
        """Every write that a worker made under a fence of another one, and every fence that was given twice."""
        return self._server.execute(FAULTS, database=self._database).splitlines()
