"""Checks the promises after a run: what the senders recorded, what the stores hold and what the outside world received
must agree."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tests.chaos.checks import (
    acceptance,
    alerts,
    cancellations,
    conversations,
    dashboards,
    definitions,
    effects,
    executions,
    fences,
    figures,
    operations,
    processes,
    replays,
    stuck,
)
from tests.chaos.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Breach:
    """A promise that was not kept, with the shortest account of it."""

    promise: str
    account: str


def breaches(evidence: Evidence) -> list[Breach]:
    """Every promise that the run broke, in the order of the checks."""
    return [Breach(check.__name__, account) for check in CHECKS for account in check(evidence)]


CHECKS: Final[Sequence[Callable[[Evidence], Iterator[str]]]] = (
    processes.no_process_ends_by_itself,
    acceptance.every_webhook_is_accepted,
    acceptance.answers_are_no_worse_than_promised,
    acceptance.no_accepted_event_is_missing,
    executions.every_event_runs_once,
    executions.flows_end_as_they_should,
    executions.no_step_runs_twice,
    conversations.answers_reach_their_questions,
    conversations.no_question_ends_early,
    conversations.the_order_of_a_conversation_is_kept,
    effects.no_message_is_missing,
    effects.each_effect_has_one_key,
    cancellations.a_cancellation_stays_in_effect,
    cancellations.a_cancelled_execution_does_nothing,
    replays.a_replay_makes_one_execution,
    replays.a_replay_ends_as_it_should,
    replays.the_original_of_a_replay_stays,
    replays.the_replay_of_an_event_makes_one_execution,
    definitions.an_execution_has_the_published_version,
    definitions.a_message_has_the_text_of_its_version,
    definitions.the_newest_edit_is_stored,
    definitions.messages_go_to_the_address_of_their_channel,
    definitions.a_disabled_webhook_accepts_nothing,
    definitions.a_disabled_schedule_starts_nothing,
    operations.no_action_is_refused_without_reason,
    operations.a_pause_holds,
    operations.the_audit_has_each_change_once,
    fences.nothing_is_written_after_a_lost_fence,
    processes.nothing_is_left_in_the_queues,
    figures.figures_equal_the_rows,
    figures.counters_are_exact_since_redis_was_lost,
    figures.metrics_equal_the_statistics,
    dashboards.streams_come_back,
    dashboards.figures_are_not_out_of_date_for_long,
    dashboards.pages_answer,
    dashboards.figures_are_possible,
    alerts.alerts_fired_for_what_happened,
    alerts.alerts_fired_for_nothing_else,
    alerts.alerts_are_announced_once,
    stuck.why_is_right,
)
