"""What a schedule refers to: its flow, the version, and the channel of its conversation."""

from filas.models.configuration import Channel, FlowVersion
from filas.models.schedules import Schedule
from ingest.api.definitions.flow_uses import ChannelStore, FlowStore
from ingest.api.definitions.similar_names import suggestion
from ingest.api.routing.problems import FieldError


async def schedule_errors(schedule: Schedule, flows: FlowStore, channels: ChannelStore) -> list[FieldError]:
    """Returns the errors of a flow, a version or a channel that does not exist. Raises StoreUnavailable."""
    errors: list[FieldError] = []
    flow: FlowVersion | None = await flows.get(schedule.flow_id)
    if flow is None:
        message = f"no flow {schedule.flow_id!r} is stored{await suggestion(schedule.flow_id, flows)}"
        errors.append(FieldError(field="flowId", message=message))
    elif schedule.version is not None:
        if await flows.get(schedule.flow_id, schedule.version) is None:
            message = f"flow {schedule.flow_id!r} has no version {schedule.version}"
            errors.append(FieldError(field="version", message=message))
    elif not flow.published:
        message = f"no version of flow {schedule.flow_id!r} is published: publish it first"
        errors.append(FieldError(field="flowId", message=message))
    talk = schedule.conversation
    channel: Channel | None = None if talk is None else await channels.get(talk.channel)
    if talk is not None and channel is None:
        message = f"no channel {talk.channel[:200]!r} is stored{await suggestion(talk.channel, channels)}"
        errors.append(FieldError(field="conversation.channel", message=message))
    return errors
