"""The plain topic: what is published is delivered, unchanged, to all subscribers of the topic, the sender included."""

from wit_world import exports
from wit_world.exports.handler import PluginInfo
from wit_world.imports.types import Delivery, Event, EventKind, Message_Forward, Outcome, Recipients_Subscribers


class Handler(exports.Handler):
    def info(self) -> PluginInfo:
        return PluginInfo("topic", "0.1.0", "to all subscribers, unchanged")

    def init(self, config: str) -> None:
        pass

    def route(self, event: Event) -> Outcome:
        deliveries = []
        if event.kind is EventKind.PUBLISH:
            deliveries.append(Delivery(Recipients_Subscribers(), Message_Forward()))
        return Outcome(deliveries, [])
