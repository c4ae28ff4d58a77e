"""The form for the definition of a channel. Its fields depend on the type."""

from collections.abc import Mapping
from typing import Final

from filas.contract.channel_retry import ChannelRetry
from ingest.api.definitions.channel_fields import SECRET_FIELDS
from ingest.dashboard.definition_forms.definition_form import DefinitionForm, Group
from ingest.dashboard.definition_forms.form_fields import Duration, Field, Number, Secret, Text
from ingest.dashboard.definition_forms.list_fields import Choice

TEXTS: Final = "channel-fields"

_RETRY: Final = ChannelRetry()

FIELDS: Final[Mapping[str, tuple[Field, ...]]] = {
    "console": (),
    "http": (Text("url", hint="https://crm.example/messages"), Secret("secret")),
    "whatsapp": (Text("phoneNumberId", hint="106540352242922"), Secret("accessToken")),
    "telegram": (Secret("botToken"),),
    "slack": (Secret("botToken", may_be_removed=True), Secret("webhookUrl", may_be_removed=True)),
    "twilio": (
        Text("accountSid", hint="AC0123456789"),
        Secret("authToken"),
        Text("from", hint="+15005550006"),
        Text("messagingServiceSid", hint="MG0123456789"),
        Text("statusCallback", hint="https://example.com/webhooks/twilio"),
    ),
    "email": (
        Text("host", hint="mail.example.com"),
        Text("from", hint="shop@example.com"),
        Text("senderName", hint="The shop"),
        Text("username"),
        Secret("password", may_be_removed=True),
        Choice("security", ("tls", "starttls", "none"), words="channel-security", may_be_blank=True,
               blank="channels.usual"),
        Number("port"),
        Text("subject"),
    ),
}  # fmt: skip
"""The fields of each type that most channels need."""

FURTHER: Final[Mapping[str, tuple[Field, ...]]] = {
    "whatsapp": (
        Text("listLabel"),
        Text("apiVersion", hint="v23.0"),
        Text("baseUrl", hint="https://graph.facebook.com"),
    ),
    "telegram": (Text("baseUrl", hint="https://api.telegram.org"),),
    "slack": (Text("baseUrl", hint="https://slack.com"),),
    "twilio": (Text("baseUrl", hint="https://api.twilio.com"),),
    "email": (Text("caCertificate", lines=6, mono=True),),
}
"""The fields of each type that few channels need."""

LIMITS: Final[tuple[Field, ...]] = (Number("rate", whole=False), Number("receiverRate", whole=False))
RETRY: Final[tuple[Field, ...]] = (
    Number("retry.maxAttempts", default=_RETRY.max_attempts),
    Duration("retry.delayMs", default=_RETRY.delay_ms),
    Number("retry.rate", whole=False, default=_RETRY.rate),
    Duration("retry.forMs", default=_RETRY.for_ms),
)


def channel_form(kind: str, *, is_new: bool = False) -> DefinitionForm:
    """Returns the form of a type."""
    name = (Text("id", hint=kind),) if is_new else ()
    fields = (*name, *FIELDS[kind])
    further = (*FURTHER.get(kind, ()), *LIMITS)
    return DefinitionForm(
        TEXTS,
        (
            *((Group("channel", fields),) if fields else ()),
            Group("further", further, advanced=True),
            Group("retry", RETRY, path="retry", advanced=True),
        ),
    )


def credentials_form(kind: str) -> DefinitionForm | None:
    """Returns the form of the secrets of a type alone. None if it has none."""
    names = SECRET_FIELDS.get(kind, ())
    secrets = tuple(one for one in FIELDS.get(kind, ()) if one.path in names)
    return DefinitionForm(TEXTS, (Group("credentials", secrets),)) if secrets else None


TEST: Final = DefinitionForm("channel-test-fields", (Group("test", (Text("to"), Text("text", lines=3))),))
