"""Every page of the dashboard. A new page needs one line here to be tested and photographed in every look."""

from typing import NamedTuple

from tests.browser.clinic import Clinic


class DashboardPage(NamedTuple):
    """`path` is below `/dashboard`. Its `{}` becomes the value of the query `subject`, which finds something that the
    clinic has. Viewers are refused an `acting` page: it is a form for an action. Only admins see an `admin` page."""

    name: str
    path: str
    subject: str | None = None
    acting: bool = False
    admin: bool = False

    async def address(self, clinic: Clinic) -> str:
        """The path with the id of its subject."""
        if self.subject is None:
            return self.path
        return self.path.replace("{}", str(await clinic.until(self.subject)))


BOOKED = "select id from executions where flow_id = 'marcar-consulta' and status = 'succeeded' limit 1"
FAILED = "select id from executions where status = 'failed' limit 1"
ASKING = "select id from executions where status = 'waiting-input' limit 1"
REPLAYED = "select id from executions where replay_of is not null and ended_at is not null limit 1"
CONVERSATION = """
select e.conversation_id from executions e where e.conversation_id is not null
group by e.conversation_id order by count(*) desc, e.conversation_id limit 1"""
WAITING_CONVERSATION = """
select conversation_id from executions where status = 'waiting-input' order by queued_at, id limit 1"""
REFUSAL = "select id from refusals where reason = 'signature' and length(body) > 0 order by received_at, id limit 1"
LETTER = "select id from dead_letters order by failed_at, id limit 1"

WEBHOOK = "select id from webhooks where auth->>'type' = 'meta' and not deleted order by id limit 1"

PAGES: tuple[DashboardPage, ...] = (
    DashboardPage("overview", "/"),
    DashboardPage("queues", "/queues"),
    DashboardPage("queue", "/queues/notification?state=delayed"),
    DashboardPage("queue-failed", "/queues/notification?state=failed"),
    DashboardPage(
        "job", "/jobs/%7Bnotifications%7D:{}", "select id from notifications where channel_id = 'sms' limit 1"
    ),
    DashboardPage("doctor", "/doctor"),
    DashboardPage("doctor-why", "/doctor?channel=sms"),
    DashboardPage("events", "/events"),
    DashboardPage("events-replay", "/events/replay?status=processed", acting=True),
    DashboardPage("event", "/events/{}", "select id from events where processed_at is not null limit 1"),
    DashboardPage("dead-letters", "/dead-letters"),
    DashboardPage(
        "dead-letter-group", "/dead-letters/groups/{}", "select fingerprint from dead_letters where replayed_at is null"
    ),
    DashboardPage("dead-letter", "/dead-letters/{}", LETTER),
    DashboardPage("replays", "/replays"),
    DashboardPage("replay", "/replays/{}", "select id from replay_runs where ended_at is not null limit 1"),
    DashboardPage("gallery", "/flows/new"),
    DashboardPage("flow-import", "/flows/import"),
    DashboardPage("search", "/search?q=Aparecida"),
    DashboardPage("event-edit", "/events/{}/edit", "select id from events order by received_at limit 1"),
    DashboardPage("executions", "/executions"),
    DashboardPage("executions-without-match", "/executions?status=cancelled"),
    DashboardPage("executions-replay", "/executions/replay?flowId=pagamento", acting=True),
    DashboardPage("execution", "/executions/{}", BOOKED),
    DashboardPage("execution-failed", "/executions/{}?show=timeline", FAILED),
    DashboardPage("execution-waiting", "/executions/{}?show=messages", ASKING),
    DashboardPage("execution-replay", "/executions/{}/replay", FAILED),
    DashboardPage("execution-compare", "/executions/{}/compare", REPLAYED),
    DashboardPage("waiting", "/waiting"),
    DashboardPage("refusals", "/refusals"),
    DashboardPage("refusals-none", "/refusals?reason=too-slow&status=401"),
    DashboardPage("refusal", "/refusals/{}", REFUSAL),
    DashboardPage("conversations", "/conversations"),
    DashboardPage("conversations-none", "/conversations?q=99999-1234"),
    DashboardPage("conversation", "/conversations/{}", CONVERSATION),
    DashboardPage("conversation-waiting", "/conversations/{}", WAITING_CONVERSATION),
    DashboardPage("analytics", "/analytics?period=7d"),
    DashboardPage("analytics-nodes", "/analytics?period=7d&by=node&order=failures"),
    DashboardPage("analytics-flow", "/analytics?period=1h&by=flow&id=pagamento"),
    DashboardPage("flow-editor", "/flows/marcar-consulta/edit"),
    DashboardPage("audit", "/audit", admin=True),
    DashboardPage(
        "audit-entry", "/audit/{}", "select id from audit_entries where action = 'putSchedule' limit 1", admin=True
    ),
    DashboardPage("access", "/access", admin=True),
    DashboardPage("webhooks", "/webhooks"),
    DashboardPage("webhooks-senders", "/webhooks/new"),
    DashboardPage("webhooks-new", "/webhooks/new?provider=whatsapp"),
    DashboardPage("webhook", "/webhooks/{}", WEBHOOK),
    DashboardPage("webhook-definition", "/webhooks/{}?show=definition", WEBHOOK),
    DashboardPage("webhook-secrets", "/webhooks/{}?show=secrets", WEBHOOK),
    DashboardPage("schedules", "/schedules"),
    DashboardPage("schedule", "/schedules/abertura"),
    DashboardPage("schedule-new", "/schedules/new", admin=True),
    DashboardPage("alerts", "/alerts"),
    DashboardPage("alert", "/alerts/failing-flow"),
    DashboardPage("alert-new", "/alerts/new", admin=True),
    DashboardPage("channels", "/channels"),
    DashboardPage("channels-providers", "/channels/new"),
    DashboardPage("channels-new", "/channels/new?type=whatsapp"),
    DashboardPage("channel", "/channels/sms"),
    DashboardPage("channel-definition", "/channels/sms?show=definition"),
    DashboardPage("channel-credentials", "/channels/sms?show=credentials"),
    DashboardPage("flows", "/flows"),
    DashboardPage("flow", "/flows/marcar-consulta?node=menu"),
    DashboardPage("flow-versions", "/flows/lembrete?tab=versions"),
    DashboardPage("flow-uses", "/flows/marcar-consulta?tab=uses"),
    DashboardPage("flow-comparison", "/flows/lembrete/versions/1..2"),
    DashboardPage("flow-roll-back", "/flows/lembrete/versions/1/roll-back"),
    DashboardPage("flow-delete", "/flows/pagamento/delete"),
    DashboardPage("components", "/_components"),
)
