"""What the document says of churns-push, held against it: every answer to a
request, and every message of a socket and of a stream."""
import datetime
import http.client
import unittest

from follow import (Refused, Socket, Stream, dial, head_of, is_end, read_body,
                    read_head, where_push_is)
from openapi import served
from stack import Stack, wait_until

ORIGIN = "http://localhost:3000"
UNKNOWN = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
MOST, MOST_OF_ONE = 6, 2
# Members of messages that the document says may be absent.
OPTIONAL = (".data.error_details.stage",)


class Answer:
    def __init__(self, status, headers, body=b""):
        self.status = status
        self.headers = http.client.HTTPMessage()
        for name, value in headers.items():
            self.headers[name] = value
        self.body = body


class Pushed(unittest.TestCase):
    web = "lighttpd"

    @classmethod
    def setUpClass(cls):
        cls.s = Stack(runner=True, sim=True, push=True, web=cls.web, env={
            "CHURNS_PUSH_MAX_SOCKETS": str(MOST),
            "CHURNS_PUSH_MAX_PER_ADDRESS": str(MOST_OF_ONE),
            # lighttpd finds out that a client has gone when it writes to it.
            "CHURNS_PUSH_PING_S": "1",
            "CHURNS_CALLS_MAX_RETRIES": "0"})
        cls.s.__enter__()
        cls.addClassCleanup(cls.s.__exit__, None, None, None)
        cls.document = served(cls.s)
        cls.ops = {op.id: op for op in cls.document.operations()
                   if op.served_by == "churns-push"}
        cls.where = ("127.0.0.1", cls.s.port)
        cls.message = {"$ref": "#/components/schemas/FollowerMessage"}

    # --- answers ---------------------------------------------------------------

    def ask(self, op, run_id, query="", headers=()):
        path = op.path.replace("{run_id}", run_id) + query
        with dial(self.where) as s:
            s.sendall(head_of("GET", path, [("Origin", ORIGIN)] +
                              list(headers)))
            status, got, rest = read_head(s)
            return Answer(status, got, read_body(s, got, rest))

    def come(self, op, run_id, **more):
        """Follow; the answer to the handshake or the head of the stream."""
        how = Socket if op.id == "openRunSocket" else Stream
        more.setdefault("where", self.where)
        try:
            one = how(self.s, run_id, **more)
        except Refused as e:
            return None, Answer(e.status, e.headers, e.body)
        return one, Answer(101 if how is Socket else one.status, one.headers)

    def leave(self, those):
        """Close them, and wait until they are no longer counted."""
        for one in those:
            one.s.close()
        closed = datetime.datetime.now(datetime.timezone.utc).isoformat()
        def gone():
            """By the row that churns-push writes every two seconds."""
            row = next(p for p in self.s.get("/health/executor-stats").json[
                "processes"] if p["role"] == "push")
            return row["seen_at"] > closed and \
                row["sockets"] + row["streams"] == 0
        wait_until(gone, 15, "the places to be free", 0.1)

    def provoke(self, op, run_id):
        """(status, answer) for all that the document declares."""
        handshake = [("Upgrade", "websocket"), ("Connection", "Upgrade"),
                     ("Sec-WebSocket-Version", "13"),
                     ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]
        is_socket = op.id == "openRunSocket"
        proper = handshake if is_socket else []
        there, answer = self.come(op, run_id)
        yield 101 if is_socket else 200, answer
        self.leave([there])
        if is_socket:
            yield 404, self.ask(op, run_id)
            yield 400, self.ask(op, run_id, headers=handshake[:3])
            yield 426, self.ask(op, run_id, headers=[
                (n, "8" if v == "13" else v) for n, v in handshake])
        else:
            yield 404, self.ask(op, UNKNOWN)
            yield 404, self.ask(op, "not-an-id")
        yield 422, self.ask(op, run_id, "?after=x", proper)
        yield 422, self.ask(op, run_id, "?after=-1", proper)
        _, answer = self.come(op, run_id, headers=[
            ("Origin", "http://evil.example")])
        yield 403, answer
        # All that come through the web server have one address here; programs
        # that come by themselves have none.
        crowd = [self.come(op, run_id)[0] for _ in range(MOST_OF_ONE)]
        yield 429, self.come(op, run_id)[1]
        direct = where_push_is(self.s)
        crowd += [self.come(op, run_id, where=direct)[0]
                  for _ in range(MOST - MOST_OF_ONE)]
        yield 503, self.come(op, run_id, where=direct)[1]
        self.leave(crowd)

    def test_every_declared_answer_is_given_and_is_as_described(self):
        run_id = self.s.submit()["id"]
        self.s.wait(run_id)
        self.assertEqual(set(self.ops), {"openRunSocket", "streamRun"})
        for op in self.ops.values():
            provoked = set()
            for status, answer in self.provoke(op, run_id):
                with self.subTest(operation=op.id, status=status):
                    self.assertEqual(answer.status, status, answer.body)
                    # Of a stream only the head is an answer.
                    faults = self.document.answer_faults(op, answer)
                    self.assertEqual(faults, [])
                    provoked.add(str(status))
            self.assertEqual(set(op.responses) - provoked, set())

    # --- messages --------------------------------------------------------------

    def check(self, messages):
        for m in messages:
            self.assertEqual(self.document.faults(self.message, m), [], m)
        # One of each kind: a member more or less would not have passed.
        for m in {m["type"]: m for m in messages}.values():
            more, less = self.document.looseness(
                self.message, m, (r"\.data\.output_data.*", r"\.data\..*\[.*"))
            self.assertEqual((more, less - set(OPTIONAL)), (set(), set()),
                             m["type"])

    def test_the_messages_of_a_socket(self):
        seen = set()
        for fault, end in (
                (None, "run_complete"),
                ({"kind": "generate_content", "fault": "policy", "times": -1},
                 "run_error")):
            self.s.script(20, *([fault] if fault else []))
            run_id = self.s.submit(num_variants="1")["id"]
            with Socket(self.s, run_id, after=0, where=self.where) as ws:
                ws.send_text('{"type":"ping"}')
                got = ws.until(is_end)
            self.assertEqual(got[-1]["type"], end)
            self.check(got)
            seen |= {m["type"] for m in got}
        self.assertEqual(seen, {"ping", "stage_update", "run_complete",
                                "run_error"})

    def test_the_events_of_a_stream(self):
        self.s.script(20)
        run_id = self.s.submit(num_variants="1")["id"]
        with Stream(self.s, run_id, after=0, where=self.where) as stream:
            got = stream.until(is_end)
        self.check([e["message"] for e in got])
        for e in got:
            self.assertEqual(e["event"], e["message"]["type"])
            self.assertEqual(e["id"], str(e["message"]["seq"])
                             if "seq" in e["message"] else None)


class PushedThroughNginx(Pushed):
    web = "nginx"


if __name__ == "__main__":
    unittest.main()
