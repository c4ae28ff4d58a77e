"""The domain's records, one module a family.

Names are snake_case here and camelCase on the wire. Times are aware datetimes in UTC.
"""

from filas.models.configuration import Channel, ConversationRule, Dedupe, FlowSummary, FlowVersion, RateLimit, Webhook
from filas.models.dead_letters import DeadLetter, JobState, NewDeadLetter
from filas.models.events import Event, EventReceipt, EventStatus, NewEvent
from filas.models.executions import (
    FINAL_EXECUTION_STATUSES,
    Checkpoint,
    ClaimedExecution,
    DueExecution,
    Execution,
    ExecutionStatus,
    ExecutionWithSteps,
    FollowingExecution,
    NewExecution,
    NewNotification,
    StepRecord,
    StepStatus,
)
from filas.models.flow_tests import FlowTestCall, FlowTestResult, FlowTestStatus
from filas.models.notifications import (
    BegunNotification,
    DeliveryUpdate,
    DueNotification,
    NewDeliveryStatus,
    Notification,
    NotificationAttempt,
    NotificationOutcome,
    NotificationStatus,
    NotificationWithAttempts,
)
from filas.models.record import ErrorDetail, Page, Record
from filas.models.schedules import DueTicks, Misfire, Schedule, ScheduleConversation, ScheduleWithRuns

__all__ = [
    "FINAL_EXECUTION_STATUSES",
    "BegunNotification",
    "Channel",
    "Checkpoint",
    "ClaimedExecution",
    "ConversationRule",
    "DeadLetter",
    "Dedupe",
    "DeliveryUpdate",
    "DueExecution",
    "DueNotification",
    "DueTicks",
    "ErrorDetail",
    "Event",
    "EventReceipt",
    "EventStatus",
    "Execution",
    "ExecutionStatus",
    "ExecutionWithSteps",
    "FlowSummary",
    "FlowTestCall",
    "FlowTestResult",
    "FlowTestStatus",
    "FlowVersion",
    "FollowingExecution",
    "JobState",
    "Misfire",
    "NewDeadLetter",
    "NewDeliveryStatus",
    "NewEvent",
    "NewExecution",
    "NewNotification",
    "Notification",
    "NotificationAttempt",
    "NotificationOutcome",
    "NotificationStatus",
    "NotificationWithAttempts",
    "Page",
    "RateLimit",
    "Record",
    "Schedule",
    "ScheduleConversation",
    "ScheduleWithRuns",
    "StepRecord",
    "StepStatus",
    "Webhook",
]
