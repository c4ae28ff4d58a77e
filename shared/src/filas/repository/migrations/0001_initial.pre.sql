-- The first schema. Names are the field's, the same as in code and API.
--
-- Retention: rows are deleted by age in small chunks (`filas.repository.retention`), each chunk found
-- through the time index of its table. Partitions by time would make the deletion free, but then no
-- unique key could span them, and "an effect happens once" rests on unique keys that are derived from
-- content (an event's from its webhook and duplicate key) and so carry no time.
--
-- Text that comes from outside stands in `bytea` or `json` (never `jsonb`): a NUL or an unpaired
-- surrogate in one request must not fail the statement of its whole batch.

create table flows (
    id                text primary key,
    name              text not null,
    published_version integer,
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now()
);

create table flow_versions (
    flow_id    text not null references flows (id) on delete cascade,
    version    integer not null,
    name       text not null,
    definition json not null,
    created_at timestamptz not null default now(),
    primary key (flow_id, version)
);

-- One number for every change of a webhook, channel or flow: caches ask for what is newer than they know.
create sequence configuration_revision;

create table webhooks (
    id             text primary key,
    path           text not null unique,
    flow_id        text not null,
    node_id        text not null,
    methods        text[] not null,
    auth           json not null,
    rate_limit     json not null,
    dedupe         json,
    conversation   json,
    config         json not null,
    max_body_bytes integer not null,
    enabled        boolean not null default true,
    deleted        boolean not null default false,
    revision       bigint not null default nextval('configuration_revision'),
    created_at     timestamptz not null default now(),
    updated_at     timestamptz not null default now()
);
create index webhooks_revision on webhooks (revision);

create table channels (
    id         text primary key,
    type       text not null,
    config     json not null,
    deleted    boolean not null default false,
    revision   bigint not null default nextval('configuration_revision'),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index channels_revision on channels (revision);

-- What flows name as `secrets.<name>`; `value` is encrypted.
create table secrets (
    name       text primary key,
    value      text not null,
    updated_at timestamptz not null default now()
);

create table events (
    id             uuid primary key,
    webhook_id     text not null,
    flow_id        text not null,
    node_id        text not null,
    status         text not null default 'received',
    method         text not null,
    headers        json not null,
    query_params   json not null,
    body           bytea not null,
    content_type   text not null,
    remote_address text not null,
    duplicate_key  text,
    group_key      text,
    config         json not null,
    error          json,
    received_at    timestamptz not null,
    processed_at   timestamptz
);
create index events_time on events (received_at, id);
create index events_unfinished on events (received_at) where status = 'received';
create index events_webhook on events (webhook_id, received_at);

create table conversations (
    id         uuid primary key,
    channel    text not null,
    contact    text not null,
    vars       json not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (channel, contact)
);

create table executions (
    id              uuid primary key,
    status          text not null default 'queued',
    flow_id         text not null,
    version         integer not null,
    node_id         text not null,
    event_id        uuid,
    conversation_id uuid,
    channel         text,
    contact         text,
    trigger         json not null,
    state           json,
    error           json,
    output          json,
    turn            integer not null default 1,
    fence           bigint not null default 0,
    lease_owner     text,
    lease_until     timestamptz,
    wake_at         timestamptz,
    deadline_at     timestamptz,
    queued_at       timestamptz not null default now(),
    started_at      timestamptz,
    ended_at        timestamptz
);
create index executions_time on executions (queued_at, id);
create index executions_event on executions (event_id);
create index executions_flow on executions (flow_id, queued_at);
create index executions_conversation on executions (conversation_id) where conversation_id is not null;
create index executions_wake on executions (wake_at) where wake_at is not null;
create index executions_queued on executions (queued_at) where status in ('queued', 'running');

create table steps (
    execution_id uuid not null references executions (id) on delete cascade,
    seq          integer not null,
    node_id      text not null,
    type         text not null,
    status       text not null,
    attempt      integer not null,
    handle       text,
    input        json,
    output       json,
    error        json,
    started_at   timestamptz not null,
    ended_at     timestamptz,
    primary key (execution_id, seq)
);

create table notifications (
    id              uuid primary key,
    execution_id    uuid,
    conversation_id uuid,
    seq             integer not null,
    channel_id      text not null,
    recipient       text not null,
    payload         json not null,
    idempotency_key text not null unique,
    status          text not null default 'queued',
    attempts        integer not null default 0,
    uncertain       boolean not null default false,
    provider_id     text,
    error           json,
    due_at          timestamptz not null default now(),
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now()
);
create index notifications_time on notifications (created_at, id);
create index notifications_execution on notifications (execution_id);
create index notifications_unfinished on notifications (due_at) where status in ('queued', 'sending', 'retrying');
create index notifications_provider on notifications (channel_id, provider_id) where provider_id is not null;

create table notification_attempts (
    notification_id uuid not null references notifications (id) on delete cascade,
    attempt         integer not null,
    outcome         text not null,
    status_code     integer,
    error           json,
    started_at      timestamptz not null,
    ended_at        timestamptz,
    primary key (notification_id, attempt)
);

create table dead_letters (
    id              uuid primary key,
    queue           text not null,
    job_id          text not null,
    function        text not null,
    payload         bytea not null,
    group_key       text,
    error           json not null,
    attempts        integer not null,
    history         json not null,
    enqueued_at     timestamptz,
    failed_at       timestamptz not null,
    replayed_at     timestamptz,
    replayed_job_id text,
    unique (queue, job_id, failed_at)
);
create index dead_letters_time on dead_letters (failed_at, id);
create index dead_letters_queue on dead_letters (queue, failed_at);

create table queue_pauses (
    queue     text primary key,
    paused_at timestamptz not null default now()
);
