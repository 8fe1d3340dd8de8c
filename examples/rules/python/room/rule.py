"""A room with a host. Members hear of each other by name, and what one says reaches the others.

Who comes in first is the room's host for good, and may silence others for ten minutes by saying `/mute NAME`.
"""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.handler import PluginInfo
from wit_world.imports import ets, pg
from wit_world.imports.types import (
    Delivery,
    Event,
    EventKind,
    Message,
    Message_Data,
    Message_Forward,
    Outcome,
    Payload_Json,
    Payload_Text,
    Reach,
    Recipients_Expr,
    Refusal_Refused,
    SetOp,
    SetOp_Members,
    SetOp_Pids,
    SetOp_Subtract,
)

MUTE_MS = 10 * 60 * 1000
UNBOUNDED = 2**64 - 1


class Handler(exports.Handler):
    def info(self) -> PluginInfo:
        return PluginInfo("room", "0.1.0", "a room whose host may mute")

    def init(self, config: str) -> None:
        # Each export is called on a Handler of its own, so what lasts is the module's.
        global hosts, mutes, members
        hosts = open_table("hosts")  # topic -> the host's name
        mutes = open_table("mutes", MUTE_MS)  # topic, a space, a name; gone by itself
        members = pg.Scope.open("members", Reach.NODE)  # a group a topic

    def route(self, event: Event) -> Outcome:
        match event.kind:
            case EventKind.PUBLISH:
                return say(event)
            case EventKind.JOIN:
                return join(event)
            case EventKind.LEAVE | EventKind.EXIT:
                return left(event)
            case _:
                return Outcome([], [])


def open_table(name: str, ttl_ms: int | None = None) -> ets.Table:
    return ets.Table.open(name, ets.Options(ets.Kind.SET, Reach.NODE, False, ttl_ms, UNBOUNDED, UNBOUNDED))


def value(table: ets.Table, key: str) -> bytes | None:
    """What a table has under that key."""
    (values,) = table.lookup([key.encode()])
    return values[0] if values else None


def everyone(event: Event) -> SetOp:
    return SetOp_Members(("members", event.topic.encode()))


def everyone_but(event: Event) -> list[SetOp]:
    return [everyone(event), SetOp_Pids([event.sender]), SetOp_Subtract()]


def answer(to: list[SetOp], message: Message) -> Outcome:
    return Outcome([Delivery(Recipients_Expr(to), message)], [])


def send(to: list[SetOp], data: object) -> Outcome:
    return answer(to, Message_Data(Payload_Json(json.dumps(data).encode())))


def refused(words: str) -> Err:
    """What is raised is what the client gets: a 403."""
    return Err(Refusal_Refused(words))


def count(event: Event) -> int:
    return members.count([event.topic.encode()])[0]


def join(event: Event) -> Outcome:
    if event.user is None:
        raise refused("say who you are")
    hosts.insert_new([ets.Object(event.topic.encode(), event.user.encode())])
    members.join(event.topic.encode(), [event.sender])
    return send([everyone(event)], {"joined": event.user, "members": count(event)})


def left(event: Event) -> Outcome:
    # Of an exit the host has left all groups already.
    members.leave(event.topic.encode(), [event.sender])
    return send([everyone(event)], {"left": event.user, "members": count(event)})


def mute(event: Event, name: str) -> Outcome:
    host = value(hosts, event.topic)
    if host is None or event.user is None or host != event.user.encode():
        raise refused("only the host may mute")
    mutes.insert([ets.Object(f"{event.topic} {name}".encode(), b"")])
    return send([everyone(event)], {"muted": name})


def say(event: Event) -> Outcome:
    words = event.data.value if isinstance(event.data, Payload_Text) else ""
    if words.startswith("/mute "):
        return mute(event, words.removeprefix("/mute "))
    if event.user is None:  # a back-end
        return answer([everyone(event)], Message_Forward())
    if value(mutes, f"{event.topic} {event.user}") is not None:
        raise refused("you are muted")
    return answer(everyone_but(event), Message_Forward())
