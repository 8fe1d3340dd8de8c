"""A client of Volley servers: the standard library of Python 3.9 or newer, and long polls.

As a module it opens sessions, joins, publishes and iterates over messages; as a program it is a chat in the terminal:
python3 volley.py http://127.0.0.1:8080 ann lobby
"""

import http.client
import json
import random
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid

PAUSE_S, PAUSE_S_MAX = 0.5, 30
TRIES = 8  # of a call, about a minute; a loop over messages waits for ever


class VolleyError(Exception):
    """Why a call failed, in the server's words (RFC 9457)."""

    def __init__(self, status, detail):
        super().__init__(detail)
        self.status, self.detail = status, detail


class Volley:
    """A session: iterate over it for its messages, in one thread. Publishing may be done in others."""

    def __init__(self, url, user=None, topics=(), token=None):
        self._url, self._user, self._token = url.rstrip("/"), user, token
        self.topics = list(topics)
        self._opening = threading.Lock()
        self._open()

    def join(self, topic):
        self._call("PUT", f"/v1/topics/{topic}/subscription")
        self.topics.append(topic)

    def leave(self, topic):
        self._call("DELETE", f"/v1/topics/{topic}/subscription")
        self.topics.remove(topic)

    def publish(self, topic, data):
        """Publishes what JSON can say, once, however often that takes."""
        return self._call("POST", f"/v1/topics/{topic}/events", data, {"Idempotency-Key": uuid.uuid4().hex})

    def close(self):
        self._request("DELETE", "/v1/sessions", None, {"Volley-Session": self._session})

    def __iter__(self):
        """Each message once and in order. What is missing is told in its place: {"gap": 3}, or {"gap": None} where
        nobody knows, since the session was over and had to be opened anew."""
        of = self._session
        while True:
            page, session = self._answered("GET", "/v1/poll", tries=None)
            if page.get("superseded"):
                raise VolleyError(409, "another client listens with this session")
            if session != of:
                yield {"gap": None}
            of = session
            if "gap" in page:
                yield {"gap": page["gap"]}
            yield from page["messages"]
            # Only now, since the next poll acknowledges them.
            self._cursors[session] = page["cursor"]
            time.sleep(page.get("retry_ms", 0) / 1000)

    def _open(self):
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        opening = {"topics": self.topics}
        if self._user and not self._token:  # A token says whose it is.
            opening["user"] = self._user
        opened = self._request("POST", "/v1/sessions", opening, headers)
        self._cursors, self._session = {}, opened["session"]

    def _call(self, *call):
        return self._answered(*call)[0]

    def _answered(self, method, path, data=None, headers=None, tries=TRIES):
        """The answer to a call of the session's, and which session that was: where it is over, a new one."""
        tried = []

        def once():
            session = self._session
            if tried and data is not None and session != tried[0]:
                raise VolleyError(410, "the session was over before it was answered; it may be said, or not")
            own = {"Volley-Session": session, "Volley-Cursor": str(self._cursors.get(session, 0))}
            try:
                return self._request(method, path, data, {**own, **(headers or {})}), session
            except VolleyError as error:
                # What may have been published in the old session is not published again in the new one.
                if error.status != 410 or (tried and data is not None):
                    raise
                with self._opening:
                    if session == self._session:
                        persist(self._open, None)
            except (OSError, http.client.HTTPException):
                tried.append(session)
                raise
            return once()

        return persist(once, tries)

    def _request(self, method, path, data, headers):
        body = None if data is None else json.dumps(data).encode()
        headers = {**headers, "Content-Type": "application/json"}
        request = urllib.request.Request(self._url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=90) as response:
                answer = response.read()
                return json.loads(answer) if answer else None
        except urllib.error.HTTPError as error:
            said = error.read()
            is_problem = error.headers.get_content_type() == "application/problem+json"
            raise VolleyError(error.code, json.loads(said)["detail"] if is_problem else error.reason) from None


def persist(call, tries):
    """Makes a call, and again after a pause where that may help."""
    failures = 0
    while True:
        try:
            return call()
        except (VolleyError, OSError, http.client.HTTPException) as error:
            failures += 1
            if getattr(error, "status", 0) not in (0, 429, 503) or failures == tries:
                raise
            time.sleep(min(PAUSE_S * 2**failures, PAUSE_S_MAX) * random.uniform(0.5, 1))


def main():
    url, user, room = sys.argv[1:]
    topic = f"chat.{room}"
    volley = Volley(url, user, [topic])

    def listen():
        for message in volley:
            data = message.get("data", message)
            said = data.get("said")
            print(f"{said['user']}: {said['text']}" if said else f"* {json.dumps(data)}", flush=True)

    threading.Thread(target=listen, daemon=True).start()
    for line in sys.stdin:
        volley.publish(topic, {"say": line.rstrip("\n")})
    volley.close()


if __name__ == "__main__":
    main()
