"""WhatsApp Cloud API: every documented type of `messages`, `statuses` and the other fields of a webhook.

Source: developers.facebook.com, WhatsApp Cloud API, "Webhooks", reference of the fields.
"""

from typing import Any

from ingest.providers.message import Media
from tests.ingest.provider_cases.case import Case

NUMBER = "5511987650001"
METADATA = {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"}


def change(value: dict[str, Any], field: str = "messages") -> dict[str, Any]:
    """A body with one change."""
    whole = {"messaging_product": "whatsapp", "metadata": METADATA, **value}
    entry = {"id": "102290129340398", "changes": [{"value": whole, "field": field}]}
    return {"object": "whatsapp_business_account", "entry": [entry]}


def message(kind: str | None, content: Any = None, **fields: Any) -> dict[str, Any]:
    """A body with one message of `kind`."""
    whole: dict[str, Any] = {"from": NUMBER, "id": "wamid.A", "timestamp": "1749416383", **fields}
    if kind is not None:
        whole["type"] = kind
    if content is not None:
        whole[kind or ""] = content
    return change({"contacts": [{"profile": {"name": "Ana"}, "wa_id": NUMBER}], "messages": [whole]})


def medium(**fields: Any) -> dict[str, Any]:
    """The fields that every medium has."""
    return {"id": "M1", "mime_type": "image/jpeg", "sha256": "c2hh", **fields}


def status(name: str, **fields: Any) -> dict[str, Any]:
    """A body with one delivery receipt."""
    return change({"statuses": [{"id": "wamid.OUT", "status": name, "timestamp": "1", "recipient_id": "55", **fields}]})


PHOTO = Media(id="M1", mime_type="image/jpeg")
FORM = {"name": "flow", "body": "Sent", "response_json": '{"flow_token":"t","name":"Ana","age":30}'}
CARD = {
    "name": {"formatted_name": "Ana Lima", "first_name": "Ana"},
    "phones": [{"phone": "+55 11 98765-0001", "wa_id": NUMBER, "type": "CELL"}],
    "emails": [{"email": "ana@example.com", "type": "WORK"}],
    "org": {"company": "Filas"},
}
CARD_DATA = {
    "name": "Ana Lima",
    "phones": [{"phone": "+55 11 98765-0001", "waId": NUMBER}],
    "emails": ["ana@example.com"],
    "organization": "Filas",
}
PRODUCT = {"product_retailer_id": "sku-1", "quantity": 2, "item_price": 9.5, "currency": "BRL"}
PRODUCT_DATA = {"id": "sku-1", "quantity": 2, "price": 9.5, "currency": "BRL"}
PLACE = {"latitude": -23.5, "longitude": -46.6, "name": "MASP", "address": "Av. Paulista, 1578"}
UNSUPPORTED = [{"code": 131051, "title": "Message type unknown"}]

CASES = [
    Case("text", message("text", {"body": "oi"}), "text", "oi", None),
    Case("text of an advertisement", message("text", {"body": "oi"}, referral={"source_url": "u"}), "text", "oi", None),
    Case("image", message("image", medium()), "image", None, None, PHOTO),
    Case(
        "image with a caption",
        message("image", medium(caption="look")),
        "image",
        "look",
        None,
        Media(id="M1", mime_type="image/jpeg", caption="look"),
    ),
    Case("video", message("video", medium()), "video", None, None, PHOTO),
    Case("audio", message("audio", medium(voice=False)), "audio", None, {"voice": False}, PHOTO),
    Case("voice message", message("audio", medium(voice=True)), "audio", None, {"voice": True}, PHOTO),
    Case(
        "document",
        message("document", medium(filename="a.pdf")),
        "document",
        None,
        None,
        Media(id="M1", mime_type="image/jpeg", filename="a.pdf"),
    ),
    Case("sticker", message("sticker", medium(animated=False)), "sticker", None, {"animated": False}, PHOTO),
    Case("location", message("location", PLACE), "location", "MASP", PLACE),
    Case(
        "location without a name",
        message("location", {"latitude": 1, "longitude": 2}),
        "location",
        None,
        {"latitude": 1, "longitude": 2, "name": None, "address": None},
    ),
    Case("contacts", message("contacts", [CARD]), "contacts", "Ana Lima", {"contacts": [CARD_DATA]}),
    Case(
        "order",
        message("order", {"catalog_id": "C", "text": "please", "product_items": [PRODUCT]}),
        "order",
        "please",
        {"catalogId": "C", "items": [PRODUCT_DATA]},
    ),
    Case(
        "button of a template",
        message("button", {"payload": "yes", "text": "Sim"}),
        "button",
        "Sim",
        {"id": "yes", "title": "Sim"},
    ),
    Case(
        "interactive button_reply",
        message("interactive", {"type": "button_reply", "button_reply": {"id": "1", "title": "A"}}),
        "button",
        "A",
        {"id": "1", "title": "A"},
    ),
    Case(
        "interactive list_reply",
        message("interactive", {"type": "list_reply", "list_reply": {"id": "1", "title": "B", "description": "d"}}),
        "list",
        "B",
        {"id": "1", "title": "B", "description": "d"},
    ),
    Case(
        "interactive nfm_reply",
        message("interactive", {"type": "nfm_reply", "nfm_reply": FORM}),
        "form",
        "Sent",
        {"flow_token": "t", "name": "Ana", "age": 30},
    ),
    Case(
        "interactive nfm_reply that is not JSON",
        message("interactive", {"type": "nfm_reply", "nfm_reply": {"response_json": "{"}}),
        "form",
        None,
        {"text": "{"},
    ),
    Case(
        "interactive call_permission_reply",
        message("interactive", {"type": "call_permission_reply", "call_permission_reply": {"response": "accept"}}),
        "interaction",
        None,
        {"type": "call_permission_reply"},
    ),
    Case(
        "reaction",
        message("reaction", {"message_id": "wamid.B", "emoji": "❤️"}),
        "reaction",
        "❤️",
        {"messageId": "wamid.B", "emoji": "❤️"},
    ),
    Case(
        "removed reaction",
        message("reaction", {"message_id": "wamid.B"}),
        "reaction",
        None,
        {"messageId": "wamid.B", "emoji": None},
    ),
    Case(
        "edit",
        message("edit", {"original_message_id": "wamid.B", "message": {"type": "text", "text": {"body": "new"}}}),
        "edit",
        "new",
        {"messageId": "wamid.B"},
    ),
    Case("revoke", message("revoke", {"original_message_id": "wamid.B"}), "delete", None, {"messageId": "wamid.B"}),
    Case(
        "system user_changed_number",
        message("system", {"body": "changed", "wa_id": "5511987650002", "type": "user_changed_number"}),
        "system",
        "changed",
        {"type": "user_changed_number"},
    ),
    Case("request_welcome", message("request_welcome"), "system"),
    Case(
        "unsupported",
        message("unsupported", errors=UNSUPPORTED),
        "unsupported",
        None,
        {"error": "Message type unknown"},
    ),
    Case("unknown", message("unknown", errors=UNSUPPORTED), "unsupported"),
    Case("ephemeral", message("ephemeral"), "unsupported"),
    Case("a type of a later version", message("hologram", {"x": 1}), "other", None, None),
    Case("no type", message(None), "other", None, None),
    *(Case(f"status {name}", status(name), "status", contact="55") for name in ("sent", "delivered", "read", "failed")),
    Case("status of a voice message", status("played"), "status"),
    Case(
        "captured payment",
        status("captured", type="payment", payment={"reference_id": "r", "amount": {"value": 100, "offset": 100}}),
        "payment",
        None,
        {"reference_id": "r", "amount": {"value": 100, "offset": 100}},
    ),
    Case("pending payment", status("pending", type="payment", payment={"reference_id": "r"}), "status"),
    Case(
        "smb_message_echoes",
        change(
            {"message_echoes": [{"from": "155", "to": NUMBER, "id": "wamid.E", "type": "text"}]}, "smb_message_echoes"
        ),
        "echo",
    ),
    Case(
        "user_preferences",
        change(
            {"user_preferences": [{"wa_id": NUMBER, "category": "marketing_messages", "value": "stop"}]},
            "user_preferences",
        ),
        "optout",
        None,
        {"category": "marketing_messages", "value": "stop"},
        contact=NUMBER,
    ),
    Case("calls", change({"calls": [{"id": "wacid.1", "event": "connect"}]}, "calls"), "other"),
    Case("errors", change({"errors": [{"code": 130429}]}), "other"),
    *(
        Case(
            name,
            {"object": "whatsapp_business_account", "entry": [{"changes": [{"field": name, "value": value}]}]},
            "other",
        )
        for name, value in (
            ("message_template_status_update", {"event": "APPROVED", "message_template_id": 1}),
            ("message_template_quality_update", {"new_quality_score": "GREEN"}),
            ("template_category_update", {"new_category": "MARKETING"}),
            ("account_update", {"event": "VERIFIED_ACCOUNT"}),
            ("account_alerts", {"alert_info": {}}),
            ("account_review_update", {"decision": "APPROVED"}),
            ("phone_number_name_update", {"decision": "APPROVED"}),
            ("phone_number_quality_update", {"event": "FLAGGED"}),
            ("business_capability_update", {"max_phone_numbers_per_business": 2}),
            ("security", {"event": "PIN_CHANGED"}),
            ("flows", {"event": "FLOW_STATUS_CHANGE"}),
            ("history", {"history": [{"metadata": {}}]}),
            ("smb_app_state_sync", {"state_sync": []}),
            ("partner_solutions", {"event": "SOLUTION_CREATED"}),
            ("payment_configuration_update", {"status": "Active"}),
            ("group_lifecycle_update", {"groups": []}),
            ("a_field_of_a_later_version", "text"),
        )
    ),
]
