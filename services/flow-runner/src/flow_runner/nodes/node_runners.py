"""How every node type is run."""

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
    "message": message.RUNNER,
    "condition": condition.RUNNER,
    "switch": switch.RUNNER,
    "api": api.RUNNER,
    "delay": delay.RUNNER,
    "webhook": webhook.RUNNER,
    "input": input_question.RUNNER,
    "set-variable": set_variable.RUNNER,
    "loop": loop.RUNNER,
    "notify": notify.RUNNER,
    "subflow": subflow.RUNNER,
    "end": end.RUNNER,
}
