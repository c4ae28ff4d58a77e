-- Several executions in one conversation: which question a message answers, and what a new execution ends
-- depends: 0070_refusals.pre

-- migrate: apply

-- `said`: the text of the message that started it, in the form in which texts are compared
-- (`filas.contract.comparable_text`); null for any other start and for a long text.
-- `idle_at`: when its question is over if another question has been asked in the conversation since then, which
-- `superseded` states.
alter table executions
    add column said text,
    add column idle_at timestamptz,
    add column superseded boolean not null default false;

-- The definition's settings.conversation: `onNewStart`, and the texts of `restartOn` in the form of `said`.
alter table flow_versions add column on_new_start text, add column restart_on text[];

-- migrate: rollback

alter table flow_versions drop column on_new_start, drop column restart_on;
alter table executions drop column said, drop column idle_at, drop column superseded;
