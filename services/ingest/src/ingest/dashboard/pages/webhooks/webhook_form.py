"""The form for the definition of a webhook. Its fields for the authentication depend on `auth.type`."""

from collections.abc import Mapping
from typing import Any, Final, get_args

from filas.flows.expressions.rules import OPERATORS
from filas.models.configuration import BodyMode, SignedBody
from filas.models.event_kinds import OtherKind
from ingest.api.definitions.webhook_routes import MIB, Verb
from ingest.dashboard.definition_forms.definition_form import DefinitionForm, Group
from ingest.dashboard.definition_forms.form_fields import (
    Checkbox,
    Duration,
    Field,
    Json,
    Number,
    Secret,
    Template,
    Text,
)
from ingest.dashboard.definition_forms.list_fields import Choice, Choices, Rows, Secrets
from ingest.providers.known_providers import PROVIDERS
from ingest.verify.auth_types import CONFIGURATIONS
from ingest.verify.signature import Algorithm, Encoding

TEXTS: Final = "webhook-fields"
PLACES: Final = ("header", "query", "form")

_VALUE_PLACE: Final = (
    Choice("auth.in", PLACES, default="header", words="webhook-places"),
    Text("auth.name", hint="Authorization"),
)

AUTH_FIELDS: Final[Mapping[str, tuple[Field, ...]]] = {
    "none": (),
    "api-key": (Text("auth.header", default="X-Api-Key"), *_VALUE_PLACE),
    "bearer": _VALUE_PLACE,
    "meta": (Secret("auth.verifyToken", may_be_removed=True),),
    "twilio": (Text("auth.url", hint="https://example.com/webhooks/sms"),),
    "hubspot": (Text("auth.url", hint="https://example.com/webhooks/crm"),),
    "hmac": (
        Text("auth.header", hint="X-Signature"),
        Text("auth.prefix", hint="sha256="),
        Choice("auth.signature.in", PLACES, default="header", words="webhook-places"),
        Text("auth.signature.name", hint="X-Signature"),
        Text("auth.signature.pattern", default="{signature}", mono=True),
        Choice("auth.algorithm", get_args(Algorithm), default="sha256"),
        Choice("auth.encoding", get_args(Encoding), default="hex"),
        Text("auth.template", default="{body}", mono=True),
        Text("auth.timestampHeader", hint="X-Timestamp"),
        Duration("auth.toleranceSeconds", stored_in="s"),
        Checkbox("auth.coversBody", default=True),
    ),
}
"""The fields of the types that have further ones than `secrets`, which all but `none` have."""


def webhook_form(
    auth_type: str, *, flows: Mapping[str, str], channels: tuple[str, ...] = (), is_new: bool = False
) -> DefinitionForm:
    """Returns the form. `flows` are the names of the flows by their ids."""
    secrets = () if auth_type == "none" else (Secrets("auth.secrets"),)
    choice = Choice("auth.type", tuple(CONFIGURATIONS), default="none", words="webhook-auth", renews=True)
    return DefinitionForm(
        TEXTS,
        (
            Group(
                "webhook",
                (
                    *((Text("id", hint="orders"),) if is_new else ()),
                    Choice("flowId", tuple(flows), names=flows, may_be_blank=True, blank="webhooks.choose-flow"),
                    Checkbox("enabled", default=True),
                ),
            ),
            Group("auth", (_with_type(choice), *secrets, *AUTH_FIELDS.get(auth_type, ())), path="auth"),
            Group(
                "conversation",
                _conversation_fields(channels),
                path="conversation",
                advanced=auth_type in PROVIDERS,
            ),
            Group("filter", _FILTER, path="filter", advanced=True),
            Group("dedupe", _DEDUPE, path="dedupe", advanced=True),
            Group("request", _REQUEST, advanced=True),
            Group("response", _RESPONSE, path="response", advanced=True),
        ),
    )


class _TypeChoice(Choice):
    """The type is always in the body, also if it is the default."""

    def without_default(self, value: Any) -> Any:
        return value


def _with_type(choice: Choice) -> Choice:
    return _TypeChoice(choice.path, choice.options, default=choice.default, words=choice.words, renews=choice.renews)


def _conversation_fields(channels: tuple[str, ...]) -> tuple[Field, ...]:
    return (
        Text("conversation.channel", hint="whatsapp", suggestions=channels),
        Template("conversation.contact", hint="{{ body.from }}"),
        Template("conversation.text", hint="{{ body.text }}"),
        Choice("conversation.role", ("message", "event"), words="webhook-roles", may_be_blank=True,
               blank="webhooks.usual"),
        Choices("conversation.accept", get_args(OtherKind), words="webhook-kinds"),
    )  # fmt: skip


_FILTER: Final[tuple[Field, ...]] = (
    Template("filter.expression", hint='body.type == "order.paid"', lines=2),
    Choice("filter.logic", ("and", "or"), default="and", words="webhook-logic"),
    Rows(
        "filter.rules",
        (
            Template("variable", hint="{{ body.type }}"),
            Choice("operator", tuple(OPERATORS)),
            Json("value", lines=1, may_be_text=True),
            Checkbox("exact", default=False),
            Text("locale", hint="pt-BR"),
        ),
    ),
)

_DEDUPE: Final[tuple[Field, ...]] = (
    Text("dedupe.header", hint="X-Request-Id"),
    Text("dedupe.path", hint="order.id", mono=True),
    Checkbox("dedupe.body", default=False),
)

_REQUEST: Final[tuple[Field, ...]] = (
    Text("path", hint="orders"),
    Text("nodeId", hint="start"),
    Choices("methods", get_args(Verb), default=("POST",)),
    Number("rateLimit.max", default=100),
    Duration("rateLimit.windowMs", default=60_000),
    Number("maxBodyBytes", default=MIB, unit="webhooks.bytes"),
    Choice("body", get_args(BodyMode), default="auto", words="webhook-bodies"),
    Choice("signedBody", get_args(SignedBody), default="sent", words="webhook-signed-bodies"),
    Text("handshake.query", hint="validationToken"),
    Rows("cors", (Text("value", hint="https://shop.example"),), shape="values"),
    Json("config", is_object=True),
)

_RESPONSE: Final[tuple[Field, ...]] = (
    Number("response.status", default=200),
    Text("response.contentType", default="application/json"),
    Text("response.body", lines=3, mono=True),
    Rows("response.headers", (Text("name", hint="X-Answer"), Text("value")), shape="map"),
)
