"""Twilio: incoming messages of SMS, MMS and WhatsApp, statuses, and other forms.

Source: twilio.com/docs/messaging/guides/webhook-request and /track-outbound-message-status.
"""

from ingest.providers.message import Media
from tests.ingest.provider_cases.case import Case


def incoming(**fields: str) -> dict[str, str]:
    """The form of an incoming message."""
    return {
        "MessageSid": "SM1",
        "SmsSid": "SM1",
        "SmsStatus": "received",
        "AccountSid": "AC1",
        "From": "whatsapp:+5511987650001",
        "To": "whatsapp:+14155238886",
        "Body": "",
        "NumMedia": "0",
        **fields,
    }


def medium(content_type: str, **fields: str) -> dict[str, str]:
    """The form of a message with one medium."""
    return incoming(NumMedia="1", MediaUrl0="https://api.example/m", MediaContentType0=content_type, **fields)


def media(content_type: str, caption: str | None = None) -> Media:
    """The medium of that form."""
    return Media(url="https://api.example/m", mime_type=content_type, caption=caption)


PLACE = {"latitude": -23.5, "longitude": -46.6, "name": "MASP", "address": "Av. Paulista"}

CASES = [
    Case("text", incoming(Body="oi"), "text", "oi", None, contact="whatsapp:+5511987650001"),
    Case("image", medium("image/jpeg", Body="look"), "image", "look", None, media("image/jpeg", "look")),
    Case("voice message", medium("audio/ogg"), "audio", None, None, media("audio/ogg")),
    Case("video", medium("video/mp4"), "video", None, None, media("video/mp4")),
    Case("document", medium("application/pdf"), "document", None, None, media("application/pdf")),
    Case("sticker", medium("image/webp", MessageType="sticker"), "sticker", None, None, media("image/webp")),
    Case("contact card", medium("text/vcard"), "contacts", None, {"contacts": []}, media("text/vcard")),
    Case(
        "location",
        incoming(Latitude="-23.5", Longitude="-46.6", Label="MASP", Address="Av. Paulista"),
        "location",
        "MASP",
        PLACE,
    ),
    Case(
        "button",
        incoming(Body="Sim", ButtonText="Sim", ButtonPayload="yes"),
        "button",
        "Sim",
        {"id": "yes", "title": "Sim"},
    ),
    Case(
        "list",
        incoming(Body="B", ListId="b", ListTitle="B", MessageType="interactive"),
        "list",
        "B",
        {"id": "b", "title": "B"},
    ),
    Case("reaction", incoming(Body="👍", MessageType="reaction"), "reaction", "👍"),
    Case("unsupported", incoming(MessageType="unsupported"), "unsupported"),
    *(
        Case(f"OptOutType {word}", incoming(Body=word, OptOutType=word), "optout", word, {"type": word})
        for word in ("STOP", "START", "HELP")
    ),
    Case("reply", incoming(Body="oi", OriginalRepliedMessageSid="SM0"), "text", "oi", more={"reply_to": "SM0"}),
    *(
        Case(
            f"status {name}",
            {"MessageSid": "SM1", "MessageStatus": name, "To": "+55", "From": "+1"},
            "status",
            contact="+55",
        )
        for name in ("accepted", "queued", "sending", "sent", "delivered", "read", "undelivered", "failed", "canceled")
    ),
    Case("call", {"CallSid": "CA1", "CallStatus": "ringing", "From": "+55", "To": "+1"}, "other"),
    Case("a form of another product", {"EventType": "onConversationAdded"}, "other"),
]
