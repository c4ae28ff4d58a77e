"""The input of a test run of a flow, as the API receives it."""

from typing import Annotated, Any, Final

import msgspec

from filas.contract.jobs import GivenAnswer
from filas.models.event_kinds import ContentKind
from filas.models.flow_tests import ANY_CHANNEL
from ingest.api.routing.route_types import Body

MAX_REPLIES: Final = 1000

Text = Annotated[str, msgspec.Meta(max_length=65_536)]


class TestTrigger(Body, frozen=True, kw_only=True):
    """The event that starts the flow."""

    body: Any = msgspec.field(default_factory=dict)
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    query_params: dict[str, str | list[str]] = msgspec.field(default_factory=dict)


class TestConversation(Body, frozen=True, kw_only=True):
    """The contact, the channel and the first message."""

    contact: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] = "test"
    channel: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] = ANY_CHANNEL
    text: Text | None = None


class TestMessage(Body, frozen=True, kw_only=True, omit_defaults=True):
    """A message that is not only a text: a medium, a place, a form, or a pressed button."""

    kind: ContentKind
    text: Text | None = None
    data: dict[str, Any] | None = None
    media: dict[str, Any] | None = None


class TestInput(Body, frozen=True, kw_only=True):
    """What a test run is given: the event, the contact, the replies, and the responses to calls."""

    node_id: Annotated[str | None, msgspec.Meta(description="The first node, instead of the trigger.")] = None
    webhook: TestTrigger = TestTrigger()
    webhook_id: Annotated[
        str | None, msgspec.Meta(description="Find the conversation in `webhook` as this stored webhook does.")
    ] = None
    conversation: Annotated[
        TestConversation | None, msgspec.Meta(description="null: the flow runs without a conversation.")
    ] = TestConversation()
    vars: dict[str, Any] = msgspec.field(default_factory=dict)
    outputs: Annotated[dict[str, Any], msgspec.Meta(description="Outputs of nodes before `nodeId`.")] = msgspec.field(
        default_factory=dict
    )
    replies: Annotated[
        Annotated[list[Text | TestMessage | list[Text | TestMessage] | None], msgspec.Meta(max_length=MAX_REPLIES)]
        | None,
        msgspec.Meta(
            description="Replies of the contact: texts, messages, or lists of both, which arrive as a burst; "
            "null: no reply until the wait times out. Null instead of the list: the contact never replies.",
        ),
    ] = msgspec.field(default_factory=list)
    answers: Annotated[
        dict[str, GivenAnswer | list[GivenAnswer]],
        msgspec.Meta(description="By node, the responses to its calls or messages. The last one is repeated."),
    ] = msgspec.field(default_factory=dict)


class FlowTestBody(TestInput, frozen=True, kw_only=True):
    """The input of a test run. `{}` runs the published version with an empty event."""

    version: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None
    definition: Annotated[
        dict[str, Any] | None, msgspec.Meta(description="A definition that is not stored, instead of a version.")
    ] = None
    real_secrets: Annotated[
        bool,
        msgspec.Meta(description="Use the real secrets instead of `secret:NAME`. Needs the role admin."),
    ] = False
    timeout_ms: Annotated[
        int, msgspec.Meta(ge=0, le=60_000, description="How long to wait for the result before the answer 202.")
    ] = 5_000
