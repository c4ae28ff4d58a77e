"""How every node type is run."""

from flow_runner.nodes import (
    api,
    asking,
    condition,
    delay,
    end,
    loop,
    message,
    notify,
    set_variable,
    subflow,
    switch,
    webhook,
)
from flow_runner.nodes.visit import NodeRunner

RUNNERS: dict[str, NodeRunner] = {
    "message": message.RUNNER,
    "condition": condition.RUNNER,
    "switch": switch.RUNNER,
    "api": api.RUNNER,
    "delay": delay.RUNNER,
    "webhook": webhook.RUNNER,
    "input": asking.RUNNER,
    "set-variable": set_variable.RUNNER,
    "loop": loop.RUNNER,
    "notify": notify.RUNNER,
    "subflow": subflow.RUNNER,
    "end": end.RUNNER,
}
