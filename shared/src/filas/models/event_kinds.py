"""The kinds of the events that a chat provider reports.

Events of the content kinds are something that the contact said: they start a flow or answer an open question. The other
events are stored and ignored, unless the webhook's `conversation.accept` names their kind. Then they start a flow; they
answer a question only if the webhook's `conversation.role` is `message`.

| kind          | meaning                                                                                          |
|---------------|--------------------------------------------------------------------------------------------------|
| `text`        | a text, or a command                                                                             |
| `image`, `video`, `audio`, `document`, `sticker` | a medium, with its caption as text                            |
| `location`    | a place                                                                                          |
| `contacts`    | contact cards                                                                                    |
| `order`       | the items of an order, or a question about a product                                             |
| `button`      | a button that the contact pressed                                                                |
| `list`        | an item that the contact chose from a list or a menu, or an answer to a poll                     |
| `form`        | a form that the contact filled in                                                                |
| `payment`     | a payment by the contact                                                                         |
| `reaction`    | a reaction to a message, or its removal                                                          |
| `edit`        | a message that was changed after it was sent                                                     |
| `delete`      | a message that was deleted after it was sent                                                     |
| `system`      | a change of the chat: joined, left, pinned, number changed, chat migrated, welcome               |
| `unsupported` | a message that the provider cannot deliver to us                                                 |
| `echo`        | a message that we, the owner of the account or another bot sent                                  |
| `optout`      | the contact allowed or forbade messages                                                          |
| `interaction` | a use of the provider's interface that is no message, such as a modal                            |
| `status`      | a delivery receipt                                                                               |
| `other`       | everything else, also what has no known shape                                                    |
"""

from typing import Final, Literal, get_args

ContentKind = Literal[
    "text",
    "image",
    "video",
    "audio",
    "document",
    "sticker",
    "location",
    "contacts",
    "order",
    "button",
    "list",
    "form",
    "payment",
]
OtherKind = Literal[
    "reaction",
    "edit",
    "delete",
    "system",
    "unsupported",
    "echo",
    "optout",
    "interaction",
    "status",
    "other",
]
EventKind = ContentKind | OtherKind

CONTENT_KINDS: Final[frozenset[str]] = frozenset(get_args(ContentKind))
OTHER_KINDS: Final[frozenset[str]] = frozenset(get_args(OtherKind))
