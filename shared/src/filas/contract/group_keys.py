"""The group keys of jobs: the jobs of one group run one at a time, in the order in which they were enqueued.

| queue                | group of a job                                                                              |
|----------------------|---------------------------------------------------------------------------------------------|
| `webhook-processing` | the conversation; the webhook, if the contact is known only after a template is rendered   |
| `flow-processing`    | the conversation of the execution                                                           |
| `notifications`      | the channel and the receiver                                                                |

Of a contact, the key has the canonical address: a number that is written in several ways is one group. Acceptance knows
no aliases, so two addresses that are only connected by an alias (a number and a user id) are two groups here, and two
messages that arrive under one each, at the same moment, may be processed in either order.

A job that needs no order (a webhook without a conversation, a delivery receipt, a cancellation) has no group.
"""

from filas.contacts.canonical_address import ordering_address


def conversation_group(channel: str | None, contact: str | None) -> str | None:
    """The group of the jobs of one conversation, and of the messages to one receiver; None without a conversation."""
    return f"{channel}:{ordering_address(contact)}" if channel and contact else None


def webhook_group(webhook_id: str) -> str:
    """The group of all jobs of a webhook whose contacts are not known at acceptance."""
    return f"webhook:{webhook_id}"
