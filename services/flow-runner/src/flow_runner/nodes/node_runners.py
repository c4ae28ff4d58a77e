"""The runner of each node type."""

from flow_runner.engine.node_protocol import NodeRunner
from flow_runner.nodes import (
    api,
    condition,
    delay,
    end,
    input_question,
    loop,
    message,
    notify,
    set_variable,
    subflow,
    switch,
    webhook,
)

RUNNERS: dict[str, NodeRunner] = {
    "message": message.run,
    "condition": condition.run,
    "switch": switch.run,
    "api": api.run,
    "delay": delay.run,
    "webhook": webhook.run,
    "input": input_question.run,
    "set-variable": set_variable.run,
    "loop": loop.run,
    "notify": notify.run,
    "subflow": subflow.run,
    "end": end.run,
}
