-- Alert rules, their firings, and who evaluates them
-- depends: 0005_delivery_statuses.pre

-- migrate: apply

-- `definition` is the rule (filas.models.alerts.AlertRule) without its id.
create table alert_rules (
    id             text primary key,
    definition     json not null,
    silenced_until timestamptz,
    created_at     timestamptz not null default now(),
    updated_at     timestamptz not null default now()
);

-- One row for each time that a rule was met. Of one subject, at most one is not over.
create table alert_firings (
    id                    uuid primary key,
    rule_id               text not null,
    subject               text not null,
    state                 text not null,
    severity              text not null,
    value                 float8 not null,
    peak                  float8 not null,
    detail                json not null,
    pending_since         timestamptz not null,
    fired_at              timestamptz,
    announced_at          timestamptz,
    resolved_at           timestamptz,
    recovery_announced_at timestamptz
);
create unique index alert_firings_open on alert_firings (rule_id, subject) where resolved_at is null;
create index alert_firings_time on alert_firings (pending_since, id);

-- One row. The notifier that holds the lease evaluates the rules; `fence` grows with each change of the holder.
create table alert_lease (
    id     integer primary key check (id = 1),
    owner  text not null,
    fence  bigint not null,
    until  timestamptz not null
);

-- migrate: rollback

drop table alert_rules, alert_firings, alert_lease;
