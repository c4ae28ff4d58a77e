"""Every node type that a definition may use."""

from filas.flows.nodes.api import ApiData
from filas.flows.nodes.condition import ConditionData
from filas.flows.nodes.delay import DelayData
from filas.flows.nodes.end import EndData
from filas.flows.nodes.input import InputData
from filas.flows.nodes.loop import LoopData
from filas.flows.nodes.message import MessageData
from filas.flows.nodes.node_data import NodeData
from filas.flows.nodes.notify import NotifyData
from filas.flows.nodes.set_variable import SetVariableData
from filas.flows.nodes.subflow import SubflowData
from filas.flows.nodes.switch import SwitchData
from filas.flows.nodes.webhook import WebhookData

NODE_TYPES: dict[str, type[NodeData]] = {
    "message": MessageData,
    "condition": ConditionData,
    "switch": SwitchData,
    "api": ApiData,
    "delay": DelayData,
    "webhook": WebhookData,
    "input": InputData,
    "set-variable": SetVariableData,
    "loop": LoopData,
    "notify": NotifyData,
    "subflow": SubflowData,
    "end": EndData,
}
