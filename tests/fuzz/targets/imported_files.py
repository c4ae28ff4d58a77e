"""Export files of other products: a flow that can be published, or ImportRefused.

Input: the product, the JSON document.
"""

import msgspec

from filas.contract import bounded_json
from filas.decoding.json_body import decode_json
from filas.flows import publishing_checks
from filas.flows.imports.importing import PRODUCTS, ImportRefused, import_flow
from tests.fuzz.target import chosen, first_line

DOCUMENTS = True
MAX_BYTES = 16_384
WORDS = (
    "groups", "blocks", "edges", "events", "variables", "id", "type", "content", "richText", "children", "text",
    "items", "options", "outgoingEdgeId", "from", "to", "groupId", "blockId", "eventId", "variableId", "start",
    "choice input", "text input", "number input", "email input", "date input", "phone number input", "rating input",
    "file input", "image", "Set variable", "Condition", "Webhook", "Redirect", "Wait", "Jump", "Typebot link",
    "Script", "expressionToEvaluate", "comparisons", "logicalOperator", "comparisonOperator", "nodes", "connections",
    "parameters", "typeVersion", "main", "n8n-nodes-base.webhook", "n8n-nodes-base.httpRequest", "n8n-nodes-base.if",
    "n8n-nodes-base.set", "position", "n8n-nodes-base.switch", "n8n-nodes-base.code", "n8n-nodes-base.splitInBatches",
    "n8n-nodes-base.scheduleTrigger", "n8n-nodes-base.wait", "={{ $json.a }}", "={{ $('X').item.json.b }}",
    "{{Nome}}", "conditions", "assignments", "node", "index", "rule", "interval", "cronExpression", "url", "method",
    "bodyParameters", "values", "name", "value", "settings",
)  # fmt: skip


def fuzz(data: bytes) -> None:
    """Imports the document, and checks the flow as publishing does."""
    name, body = first_line(data)
    try:
        document, _ = decode_json(body)
    except bounded_json.InvalidJson:
        return
    product = chosen({one: one for one in PRODUCTS}, name)
    try:
        found = import_flow(product, document)
    except ImportRefused as error:
        assert 0 < len(str(error)) < 1000
        return
    encoded = msgspec.json.encode(found.definition)
    problems = publishing_checks.check(msgspec.json.decode(encoded))[1]
    assert [one for one in problems if one.severity == "error"] == []
