"""Records in the database which worker wrote what, so that a late write of a worker that lost its fence is found.

Each worker connects as a user of its own. Triggers record every claim and every write of executions, steps and
notifications with that user, and with the fence of the execution or the attempt of the notification.
"""

from collections.abc import Sequence

from filas.repository import roles
from filas_local.servers import PostgresServer

SET_UP = (
    """create table audit (
        place bigserial primary key, kind text not null, subject text not null, fence bigint not null,
        is_claim boolean not null, writer text not null default session_user,
        at timestamptz not null default clock_timestamp())""",
    """create function audit_execution() returns trigger language plpgsql security definer as $$ begin
        if new.fence <> old.fence or (new.state, new.output, new.error)::text is distinct from
            (old.state, old.output, old.error)::text or (new.status, new.turn) is distinct from (old.status, old.turn)
        then
            insert into audit (kind, subject, fence, is_claim)
                values ('execution', new.id::text, new.fence, new.fence <> old.fence);
        end if;
        return null; end $$""",
    """create function audit_child() returns trigger language plpgsql security definer as $$ begin
        insert into audit (kind, subject, fence, is_claim)
            select tg_table_name, e.id::text, e.fence, false from executions e where e.id = new.execution_id;
        return null; end $$""",
    """create function audit_notification() returns trigger language plpgsql security definer as $$ begin
        if new.attempts <> old.attempts or new.status <> old.status then
            insert into audit (kind, subject, fence, is_claim)
                values ('notification', new.id::text, new.attempts, new.attempts <> old.attempts);
        end if;
        return null; end $$""",
    "create trigger audit after update on executions for each row execute function audit_execution()",
    "create trigger audit after insert on steps for each row execute function audit_child()",
    "create trigger audit after insert on notifications for each row execute function audit_child()",
    "create trigger audit_update after update on notifications for each row execute function audit_notification()",
)

# Claims of an execution are recorded with the kind `execution`; steps and new notifications are written under them.
FAULTS = """
with claim as (
    select case kind when 'notification' then 'notification' else 'execution' end as claimed, subject, fence, writer
    from audit where is_claim
)
select w.kind || ' ' || w.subject || ' fence ' || w.fence || ': written by ' || w.writer || ', claimed by '
        || coalesce(c.writer, 'no worker')
from audit w left join claim c on c.subject = w.subject and c.fence = w.fence
    and c.claimed = case w.kind when 'notification' then 'notification' else 'execution' end
where not w.is_claim and w.writer is distinct from c.writer
union all
select 'two claims of ' || subject || ' fence ' || fence from claim group by claimed, subject, fence having count(*) > 1
union all
select 'fence of ' || subject || ' went back' from (
    select subject, kind, fence, lag(fence) over (partition by kind, subject order by place) as before
    from audit where kind in ('execution', 'notification')) f
where fence < before"""


class WriteAudit:
    """The record of one test, in the database `filas` of `server`. Every worker of `workers` gets a user."""

    def __init__(self, server: PostgresServer, workers: Sequence[str]) -> None:
        self._server = server
        for name in workers:
            server.execute(f"create role {self.user(name)} login in role {roles.WRITE}")
        server.execute(*SET_UP, database="filas")

    @staticmethod
    def user(worker: str) -> str:
        """The user of Postgres as which this worker connects."""
        return worker.replace("-", "_")

    def claims_after_a_lost_lease(self) -> int:
        """How many claims took over an execution or a notification from another worker."""
        return int(self._server.execute("select count(*) from audit where is_claim and fence > 1", database="filas"))

    def faults(self) -> list[str]:
        """Every write that a worker made under a fence of another one, and every fence that was given twice."""
        return self._server.execute(FAULTS, database="filas").splitlines()
