"""Python `websockets`: websockets_client.py URL COUNT TOPIC. Joins, publishes COUNT numbers in fragments, prints what comes,
pings, and closes."""

import asyncio
import json
import sys

import websockets


async def main(url, count, topic):
    async with websockets.connect(url) as socket:
        await socket.send(json.dumps({"ref": 1, "join": topic}))
        print(json.loads(await socket.recv())["joined"])
        for n in range(1, count + 1):
            text = json.dumps({"publish": {"topic": topic, "data": n}})
            await socket.send([text[:7], text[7:]])
        left = count
        while left > 0:
            heard = json.loads(await socket.recv())
            for message in heard.get("messages", []):
                print(message["data"])
                left -= 1
        await (await socket.ping())
        await socket.send(b"binary")
        try:
            while True:
                await socket.recv()
        except websockets.ConnectionClosed as closed:
            print("closed", closed.rcvd.code)


asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
