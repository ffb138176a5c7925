"""churns-push: who follows a run sees all of it, once, in order, whatever
happens to the connection or to any of the programs."""
import datetime
import json
import os
import re
import signal
import subprocess
import time
import unittest

from follow import (ABNORMAL, BINARY, PING, TEXT, Refused, Socket, Stream,
                    dial, head_of, is_end, read_body, read_head,
                    where_push_is)
from stack import SRC, WEB_SERVERS, Stack, free_port, wait_until

STAGE_KEYS = ["stage_name", "stage_order", "status", "started_at",
              "completed_at", "duration_seconds", "message", "output_data",
              "error_message"]
STAGES = ["image_eval", "strategy", "style_guide", "creative_expert",
          "prompt_assembly", "image_generation", "image_assessment"]
UNKNOWN = "0a0a0a0a-1b1b-4c4c-8d8d-2e2e2e2e2e2e"
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z$")
FRAME = re.compile(r'^\{"type":"[a-z_]+","run_id":"[-0-9a-f]+",'
                   r'("seq":\d+,)?"timestamp":"[^"]+","data":\{.*\}\}$')
RECENT_S = 2
SETTINGS = {"CHURNS_PUSH_RECENT_S": str(RECENT_S),
            "CHURNS_PUSH_PONG_S": "2", "CHURNS_CALLS_MAX_RETRIES": "0"}


def numbered(messages):
    return [m for m in messages if m["type"] != "ping"]


class Following(unittest.TestCase):
    """One stack for a class; what is common to its tests."""
    env = {}
    options = {}

    @classmethod
    def setUpClass(cls):
        if cls is Following:
            raise unittest.SkipTest("only what others share")
        cls.stack = Stack(runner=True, sim=True, push=True,
                          env=dict(SETTINGS, **cls.env), **cls.options)
        cls.s = cls.stack.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.stack.__exit__(None, None, None)

    def setUp(self):
        self.s.sim("POST", "/sim/reset")

    def where(self):
        return where_push_is(self.s)

    def follow(self, run_id, after=None, **more):
        return Socket(self.s, run_id, after, where=self.where(), **more)

    def stream(self, run_id, after=None, **more):
        return Stream(self.s, run_id, after, where=self.where(), **more)

    def check_message(self, m, run_id):
        self.assertEqual(m["run_id"], run_id)
        self.assertIsInstance(m["data"], dict)
        self.assertRegex(m["timestamp"], TIME)
        if m["type"] == "ping":
            self.assertEqual(list(m), ["type", "run_id", "timestamp", "data"])
            self.assertRegex(m["data"]["timestamp"], TIME)
            return
        self.assertEqual(list(m), ["type", "run_id", "seq", "timestamp",
                                   "data"])
        if m["type"] == "stage_update":
            self.check_stage(m["data"])

    def check_stage(self, data):
        self.assertEqual(list(data), STAGE_KEYS)
        times = (data["started_at"] is not None,
                 data["completed_at"] is not None,
                 data["duration_seconds"] is not None)
        self.assertEqual(times, {
            "RUNNING": (True, False, False), "SKIPPED": (False, False, True),
            "COMPLETED": (True, True, True),
            "FAILED": (True, True, True)}[data["status"]])
        if data["status"] != "COMPLETED":
            self.assertIsNone(data["output_data"])

    def check_whole(self, messages, run_id, first=1):
        """Greeting, then events without a gap, the same as the API tells."""
        self.assertEqual(messages[0]["type"], "ping")
        for m in messages:
            self.check_message(m, run_id)
        events = numbered(messages)
        self.assertEqual([m["seq"] for m in events],
                         list(range(first, first + len(events))))
        told = self.s.events(run_id)
        self.assertEqual([dict(e) for e in told][first - 1:], [
            {k: m[k] for k in ("seq", "type", "run_id", "timestamp", "data")}
            for m in events])
        return events

    def finished_run(self, **fields):
        run_id = self.s.submit(**fields)["id"]
        self.s.wait(run_id)
        return run_id


class Transcripts(Following):
    """What a run sounds like, over a socket and over a stream."""

    def test_a_run_that_succeeds(self):
        self.s.script(latency_ms=60)
        run_id = self.s.submit(image=self.s.photo(), num_variants="2")["id"]
        with self.follow(run_id, after=0) as ws:
            got = ws.until(is_end)
            self.assertEqual(self.s.run(run_id)["status"], "COMPLETED")
        events = self.check_whole(got, run_id)
        self.assertEqual((events[0]["data"]["stage_name"],
                          events[0]["data"]["stage_order"],
                          events[0]["data"]["status"]),
                         ("image_eval", 1, "RUNNING"))
        self.assertEqual(events[-1]["type"], "run_complete")
        self.assertNotIn("job_id", events[-1]["data"])
        told = [(e["data"]["stage_order"], e["data"]["status"])
                for e in events[:-1]]
        self.assertEqual(sorted(told), sorted(
            [(n, "RUNNING") for n in range(1, 8)] +
            [(n, "COMPLETED") for n in range(1, 8)]))
        for status in ("RUNNING", "COMPLETED"):
            orders = [o for o, s in told if s == status]
            self.assertEqual(orders, sorted(orders))
        for n in range(1, 8):
            self.assertLess(told.index((n, "RUNNING")),
                            told.index((n, "COMPLETED")))
        self.assertEqual([e["data"]["stage_name"] for e in events[:-1]
                          if e["data"]["status"] == "RUNNING"], STAGES)

    def test_a_run_that_fails(self):
        self.s.script(60, {"fault": "status", "status": 500, "times": -1,
                           "kind": "generate_content"})
        run_id = self.s.submit()["id"]
        with self.follow(run_id, after=0) as ws:
            got = ws.until(is_end)
        events = self.check_whole(got, run_id)
        self.assertEqual(self.s.run(run_id)["status"], "FAILED")
        end = events[-1]
        self.assertEqual(end["type"], "run_error")
        self.assertEqual(sorted(end["data"])[:2],
                         ["error_details", "error_message"])
        self.assertNotIn("job_id", end["data"])
        self.assertNotIn("traceback", end["data"]["error_details"])
        failed = [e["data"]["stage_name"] for e in events[:-1]
                  if e["data"]["status"] == "FAILED"]
        self.assertEqual(failed, ["image_generation"])

    def test_a_run_that_is_cancelled(self):
        self.s.script(latency_ms=3000)
        run_id = self.s.submit()["id"]
        with self.follow(run_id, after=0) as ws:
            ws.until(lambda m: m["type"] == "stage_update" and
                     m["data"]["status"] == "RUNNING")
            began = time.monotonic()
            answer = self.s.post_form("/api/v1/runs/%s/cancel" % run_id, {})
            self.assertEqual(answer.status, 200)
            end = ws.until(is_end)[-1]
            self.assertLess(time.monotonic() - began, 1)
        self.assertEqual(end["type"], "run_error")
        self.assertEqual(end["data"]["error_details"], {"type": "cancelled"})
        self.assertEqual(sorted(end["data"]), ["error_details",
                                               "error_message", "timestamp"])

    def test_a_run_cancelled_from_the_command_line(self):
        self.s.script(latency_ms=3000)
        run_id = self.s.submit()["id"]
        with self.follow(run_id, after=0) as ws:
            ws.event()
            status, _, err = self.s.ctl("cancel", run_id)
            self.assertEqual(status, 0, err)
            self.assertEqual(ws.until(is_end, 3)[-1]["data"]["error_details"],
                             {"type": "cancelled"})

    def test_frames_are_byte_for_byte_the_same_for_all(self):
        self.s.script(latency_ms=60)
        run_id = self.s.submit()["id"]
        with self.follow(run_id, 0) as a, self.follow(run_id, 0) as b:
            texts = []
            for ws in (a, b):
                mine = []
                while not mine or not is_end(json.loads(mine[-1])):
                    mine.append(ws.text())
                texts.append(mine)
        for text in texts[0]:
            self.assertRegex(text.decode(), FRAME)
        self.assertEqual(texts[0][1:], texts[1][1:])

    def test_the_same_as_a_stream(self):
        self.s.script(latency_ms=60)
        run_id = self.s.submit()["id"]
        with self.stream(run_id) as es:
            self.assertEqual(es.headers["content-type"], "text/event-stream")
            self.assertEqual(es.headers["cache-control"], "no-store")
            got = es.until(is_end)
            self.assertGreater(es.retry, 0)
        for e in got:
            self.check_message(e["message"], run_id)
            self.assertEqual(e["event"], e["message"]["type"])
            self.assertEqual(e["id"], None if e["event"] == "ping" else
                             str(e["message"]["seq"]))
        self.assertEqual(got[0]["event"], "ping")


class Joining(Following):
    def test_a_late_join_is_told_the_stages_so_far_and_then_the_rest(self):
        self.s.script(latency_ms=150)
        run_id = self.s.submit()["id"]
        wait_until(lambda: len(self.s.events(run_id)) >= 5, 10, "5 events")
        with self.follow(run_id) as ws:
            got = ws.until(is_end)
        all_events = self.s.events(run_id)
        self.assertEqual(got[0]["type"], "ping")
        events = numbered(got)
        seqs = [m["seq"] for m in events]
        self.assertEqual(seqs, sorted(set(seqs)))
        # Nothing is told twice, and from some event on nothing is missing.
        joined = next(i for i in range(len(seqs)) if seqs[i:] == list(
            range(seqs[i], len(all_events) + 1)))
        before = [m["data"]["stage_name"] for m in events[:joined]]
        self.assertEqual(len(before), len(set(before)))
        for m in events[:joined]:
            later = [e for e in all_events if e["seq"] > m["seq"] and
                     e["seq"] < seqs[joined] and
                     e["data"]["stage_name"] == m["data"]["stage_name"]]
            self.assertEqual(later, [], "not the latest of its stage")
        # All that had begun are there.
        self.assertEqual({m["data"].get("stage_name") for m in events},
                         {e["data"].get("stage_name") for e in all_events})

    def test_the_end_is_told_while_it_is_news_and_not_later(self):
        run_id = self.finished_run()
        with self.follow(run_id) as ws:
            self.assertEqual(ws.message()["type"], "ping")
            end = ws.message()
            self.assertTrue(is_end(end))
            self.assertEqual(end["seq"], len(self.s.events(run_id)))
            ws.quiet(0.2)
        time.sleep(RECENT_S + 0.1)
        with self.follow(run_id) as ws, self.stream(run_id) as es:
            self.assertEqual(ws.message()["type"], "ping")
            ws.quiet(0.3)
            self.assertEqual(es.event()["event"], "ping")
            self.assertRaises(TimeoutError, es.event, 0.2)
        with self.follow(run_id, after=0) as ws:
            self.check_whole(ws.until(is_end), run_id)

    def test_resuming_at_every_position_gives_exactly_the_rest(self):
        run_id = self.finished_run()
        events = self.s.events(run_id)
        for k in range(len(events) + 1):
            with self.follow(run_id, after=k) as ws:
                self.assertEqual(ws.message()["type"], "ping")
                got = [ws.event() for _ in events[k:]]
                self.assertEqual([m["seq"] for m in got],
                                 [e["seq"] for e in events[k:]])
                self.assertEqual([m["data"] for m in got],
                                 [e["data"] for e in events[k:]])
            with self.stream(run_id, last_id=k) as es:
                es.event()
                self.assertEqual([es.event()["id"] for _ in events[k:]],
                                 [str(e["seq"]) for e in events[k:]])
        with self.follow(run_id, after=len(events) + 5) as ws:
            ws.message()
            ws.quiet(0.2)

    def test_a_connection_cut_after_each_message_loses_and_repeats_nothing(
            self):
        self.s.script(latency_ms=40)
        run_id = self.s.submit(num_variants="2")["id"]
        got, last = [], 0
        while not got or not is_end(got[-1]):
            ws = self.follow(run_id, after=last)
            self.assertEqual(ws.message()["type"], "ping")
            got.append(ws.event())
            last = got[-1]["seq"]
            ws.cut()
        self.check_whole([self.ping_of(run_id)] + got, run_id)

    def ping_of(self, run_id):
        with self.follow(run_id, after=10 ** 6) as ws:
            return ws.message()

    def test_a_stream_cut_anywhere_goes_on_where_it_was(self):
        self.s.script(latency_ms=40)
        run_id = self.s.submit()["id"]
        got, last = [], 0
        while not got or not is_end(got[-1]["message"]):
            with self.stream(run_id, after=0, last_id=last or None) as es:
                self.assertEqual(es.event()["event"], "ping")
                got += [es.event(), es.event()] if len(got) == 2 else \
                    [es.event()]
                last = got[-1]["id"]
        self.assertEqual([int(e["id"]) for e in got],
                         list(range(1, len(got) + 1)))

    def test_an_unknown_run_is_a_silent_socket_and_no_stream(self):
        with self.follow(UNKNOWN) as ws, self.follow("no-such-run") as odd:
            self.assertEqual(ws.message()["type"], "ping")
            self.assertEqual(odd.message()["run_id"], "no-such-run")
            ws.quiet(0.5)
            ws.send_text('{"type":"ping"}')
            self.assertEqual(ws.message()["type"], "ping")
        with self.assertRaises(Refused) as e:
            self.stream(UNKNOWN)
        self.assertEqual(e.exception.status, 404)
        self.assertEqual(json.loads(e.exception.body),
                         {"detail": "There is no such run."})

    def test_s9_s10_the_first_stage_is_seen_within_a_second(self):
        self.s.script(latency_ms=200)
        slowest = 0
        for _ in range(5):
            run_id = self.s.submit(image=self.s.photo())["id"]
            began = time.monotonic()
            with self.follow(run_id) as ws:
                first = ws.event()
                slowest = max(slowest, time.monotonic() - began)
                self.assertEqual((first["data"]["stage_name"],
                                  first["data"]["stage_order"],
                                  first["data"]["status"]),
                                 ("image_eval", 1, "RUNNING"))
        self.assertLess(slowest, 1)


class LaterJobs(Following):
    """What refinements, captions and noise checks tell on their run's channel.
    The events are put into the log by hand, as the documented examples."""
    JOB = "c1d2c1d2-0000-4000-8000-000000000001"

    def put(self, run_id, told):
        """Commit each as an event of its own; nobody is woken."""
        lines = []
        for kind, data in told:
            lines.append(
                "BEGIN IMMEDIATE; UPDATE runs SET last_seq = last_seq + 1 "
                "WHERE id = '{0}'; INSERT INTO events (run_id, seq, type, "
                "created_ms, data) SELECT id, last_seq, '{1}', {2}, '{3}' "
                "FROM runs WHERE id = '{0}'; COMMIT;".format(
                    run_id, kind, int(time.time() * 1000),
                    json.dumps(data).replace("'", "''")))
        path = os.path.join(self.s.data, "db", "churns.sqlite")
        subprocess.run(["sqlite3", "-cmd", ".timeout 10000", path],
                       input="\n".join(lines), text=True, check=True)

    def refinement(self):
        def stage(order, name, status):
            return ("stage_update", {
                "stage_name": name, "stage_order": order, "status": status,
                "started_at": None, "completed_at": None,
                "duration_seconds": None if status == "RUNNING" else 0.5,
                "message": "...", "output_data": None, "error_message": None,
                "job_id": self.JOB})
        told = []
        for order, name in enumerate(("load_base_image", "prompt_refine",
                                      "save_outputs"), 1):
            told += [stage(order, name, "RUNNING"),
                     stage(order, name, "COMPLETED")]
        return told + [("run_complete", {"job_id": self.JOB,
                                         "summary": "warmer light"})]

    def caption(self):
        base = {"caption_id": "e3f4", "image_id": "image_0"}
        step = {"stage_name": "caption", "stage_order": 1}
        return [
            ("caption_update", dict(base, status="RUNNING", message="...")),
            ("caption_update", dict(base, status="RUNNING", message="...",
                                    duration_seconds=None, **step)),
            ("caption_update", dict(base, status="COMPLETED", message="...",
                                    duration_seconds=1.5, **step)),
            ("caption_complete", dict(base, status="COMPLETED", version=0,
                                      text="Zest & 'zing'"))]

    def test_s63_they_come_in_order_on_the_channel_of_the_run(self):
        run_id = self.finished_run()
        have = len(self.s.events(run_id))
        told = self.refinement() + self.caption() + [
            ("noise_assessment_started", {"job_id": self.JOB,
                                          "message": "..."}),
            ("noise_assessment_completed", {"job_id": self.JOB,
                                            "needs_noise_reduction": False,
                                            "message": "..."})]
        with self.follow(run_id, have) as ws, \
                self.stream(run_id, have) as es:
            ws.message()
            es.event()
            self.put(run_id, told)
            for n, (kind, data) in enumerate(told, have + 1):
                m = ws.event()
                self.assertEqual((m["type"], m["seq"], m["data"]),
                                 (kind, n, data))
                self.assertEqual(es.event()["message"], m)

    def test_the_end_of_a_refinement_is_not_the_end_of_its_run(self):
        run_id = self.finished_run()
        time.sleep(RECENT_S + 0.1)
        self.put(run_id, self.refinement())
        with self.follow(run_id) as ws:
            self.assertEqual(ws.message()["type"], "ping")
            ws.quiet(0.5)

    def test_s76_what_is_committed_is_seen_within_a_second_though_nobody_told(
            self):
        run_id = self.finished_run()
        have = len(self.s.events(run_id))
        with self.follow(run_id, have) as ws:
            ws.message()
            for event in self.caption():
                began = time.monotonic()
                self.put(run_id, [event])
                ws.event(2)
                self.assertLess(time.monotonic() - began, 1)


class Clients(Following):
    """What clients send, and what becomes of those that do not behave."""
    env = {"CHURNS_PUSH_PING_S": "1", "CHURNS_PUSH_MAX_FRAME_BYTES": "2000"}

    def test_a_ping_goes_to_all_of_the_run(self):
        run_id = self.finished_run()
        end = len(self.s.events(run_id))
        with self.follow(run_id, end) as a, self.follow(run_id, end) as b, \
                self.stream(run_id, end) as es:
            for ws in (a, b):
                self.assertEqual(ws.message()["type"], "ping")
            self.assertEqual(es.event()["event"], "ping")
            a.send_text('{"type":"ping"}')
            for ws in (a, b):
                self.assertEqual(ws.message(2)["type"], "ping")
            self.assertEqual(es.event(2)["event"], "ping")

    def test_odd_frames_are_ignored(self):
        with self.follow(UNKNOWN) as ws:
            ws.message()
            for odd in ("", "x", "{", "[]", "null", '"ping"', '{"type":1}',
                        '{"type":"subscribe"}', "\u00e9" * 100):
                ws.send_text(odd)
            ws.send_frame(BINARY, b'{"type":"ping"}')
            ws.send_frame(TEXT, b"\xff\xfe")
            ws.send_frame(PING, b"are you there")
            ws.send_frame(10, b"")          # a pong nobody asked for
            ws.send_frame(TEXT, b'{"type":', fin=False)
            ws.send_frame(PING, b"in between")
            ws.send_frame(0, b'"subscribe"}')
            ws.quiet(0.5)
            self.assertIsNone(ws.closed)
            # A message in pieces is a message.
            for part, fin in ((b'{"ty', False), (b'pe":"pi', False),
                              (b'ng"}', True)):
                ws.send_frame(TEXT if part == b'{"ty' else 0, part, fin=fin)
            self.assertEqual(ws.message(2)["type"], "ping")

    def test_a_message_too_long_closes_its_socket(self):
        for pieces in (1, 3):
            with self.follow(UNKNOWN) as ws:
                ws.message()
                for i in range(pieces):
                    ws.send_frame(TEXT if i == 0 else 0, b"x" * (
                        2001 // pieces + 1), fin=i == pieces - 1)
                self.assertIsNone(ws.message(3))
                self.assertEqual(ws.closed, 1009)

    def test_what_breaks_the_protocol_is_closed_and_nobody_else(self):
        with self.follow(UNKNOWN) as other:
            other.message()
            for break_it in (
                    lambda ws: ws.send_frame(3, b"reserved"),
                    lambda ws: ws.send_frame(TEXT, b"x", rsv=4),
                    lambda ws: ws.send_frame(0, b"continues nothing"),
                    lambda ws: ws.s.sendall(os.urandom(300)),
                    lambda ws: ws.send_frame(PING, b"x" * 200)):
                ws = self.follow(UNKNOWN)
                ws.message()
                break_it(ws)
                try:
                    ws.text(1)
                except (TimeoutError, AssertionError):
                    pass
                ws.cut()
            other.send_text('{"type":"ping"}')
            self.assertEqual(other.message(2)["type"], "ping")

    def test_signs_of_life_are_sent_and_asked_for(self):
        with self.follow(UNKNOWN) as good, self.follow(
                UNKNOWN, answer_pings=False) as bad:
            self.assertRaises(TimeoutError, good.event, 4)
            self.assertGreaterEqual(good.pings, 3)
            self.assertIsNone(good.closed)
            bad.event(0.5)
            self.assertNotIn(bad.closed, (None, 1000, 1001, 1005))

    def test_a_stream_is_given_comments(self):
        run_id = self.finished_run()
        with self.stream(run_id, after=10 ** 6) as es:
            es.event()
            self.assertRaises(TimeoutError, es.event, 2.5)
            self.assertGreaterEqual(es.comments, 2)

    def test_who_closes_is_answered_in_kind(self):
        for code in (1000, 1001, 4000):
            ws = self.follow(UNKNOWN)
            ws.message()
            ws.close(code)
            while ws.closed is None:
                ws.event(2)
            self.assertEqual(ws.closed, code)
            ws.cut()


class Requests(Following):
    """Straight to churns-push: what a web server would not even pass on."""

    def ask(self, method, path, headers=(), raw=None):
        s = dial(self.where())
        with s:
            s.sendall(raw or head_of(method, path, headers))
            status, got, rest = read_head(s)
            return status, got, read_body(s, got, rest)

    def test_answers_have_the_shapes_of_the_api(self):
        run_id = self.finished_run()
        stream = "/api/v1/runs/%s/stream" % run_id
        for method, path, status in (
                ("GET", "/", 404), ("GET", "/api/v1/runs", 404),
                ("GET", "/api/v1/ws/" + run_id, 404),
                ("POST", "/api/v1/ws/" + run_id, 405),
                ("POST", stream, 405), ("DELETE", stream, 405),
                ("GET", stream + "?after=x", 422),
                ("GET", "/api/v1/runs/x%2Fy/stream", 404),
                ("GET", "/api/v1/runs/nonsense/stream", 404)):
            got, headers, body = self.ask(method, path)
            self.assertEqual(got, status, (method, path))
            self.assertEqual(headers["content-type"], "application/json")
            self.assertTrue(json.loads(body)["detail"])
        self.assertEqual(self.ask("POST", stream)[1]["allow"],
                         "GET, HEAD, OPTIONS")
        # The same fault, the same answer as the events route gives.
        mine = json.loads(self.ask("GET", stream + "?after=x")[2])
        api = self.s.get("/api/v1/runs/%s/events?after=x" % run_id).json
        self.assertEqual({k: mine["detail"][0][k] for k in ("type", "loc")},
                         {k: api["detail"][0][k] for k in ("type", "loc")})

    def test_head_and_preflight(self):
        run_id = self.finished_run()
        stream = "/api/v1/runs/%s/stream" % run_id
        status, headers, body = self.ask("HEAD", stream)
        self.assertEqual((status, body), (200, b""))
        self.assertEqual(headers["content-type"], "text/event-stream")
        self.assertEqual(self.ask("HEAD", "/api/v1/runs/%s/stream" %
                                  UNKNOWN)[0], 404)
        origin = ("Origin", "http://localhost:3000")
        status, headers, _ = self.ask("OPTIONS", stream, [
            origin, ("Access-Control-Request-Method", "GET"),
            ("Access-Control-Request-Headers", "ngrok-skip-browser-warning")])
        self.assertEqual(status, 200)
        self.assertEqual(headers["access-control-allow-origin"], origin[1])
        self.assertEqual(headers["access-control-allow-headers"],
                         "ngrok-skip-browser-warning")
        with self.stream(run_id, headers=[origin]) as es:
            self.assertEqual(es.headers["access-control-allow-origin"],
                             origin[1])
            self.assertEqual(es.headers["vary"], "Origin")

    def test_origins(self):
        run_id = self.finished_run()
        for origin, allowed in (("http://localhost:3000", True),
                                ("http://localhost", True),
                                ("https://evil.example", False),
                                ("null", False)):
            for how in (self.follow, self.stream):
                try:
                    with how(run_id, headers=[("Origin", origin)]):
                        self.assertTrue(allowed, origin)
                except Refused as e:
                    self.assertFalse(allowed, origin)
                    self.assertEqual(e.status, 403)

    def test_heads_that_are_none(self):
        for raw, status in (
                (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
                (b"GET / HTTP/1.1\nHost: x\n\n\r\n\r\n", 400),
                (b"GET /api/v1/ws/x HTTP/1.1\r\nUpgrade: foo\r\n"
                 b"Connection: Upgrade\r\n\r\n", 404),
                (b"GET /api/v1/ws/x HTTP/1.1\r\nUpgrade: h2c\r\n"
                 b"Connection: Upgrade, HTTP2-Settings\r\n"
                 b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", 404),
                (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 2000 + b"\r\n", 431)):
            self.assertEqual(self.ask("", "", raw=raw)[0], status, raw[:60])

    def test_a_body_that_nobody_wanted_does_not_hide_the_answer(self):
        s = dial(self.where())
        with s:
            s.sendall(head_of("POST", "/api/v1/runs/%s/stream" % UNKNOWN, [
                ("Content-Length", "30000")]) + b"x" * 30000)
            self.assertEqual(read_head(s)[0], 405)

    def test_a_handshake_may_come_byte_by_byte_and_with_frames_behind(self):
        s = dial(self.where())
        with s:
            head = head_of("GET", "/api/v1/ws/" + UNKNOWN, [
                ("Upgrade", "websocket"), ("Connection", "Upgrade"),
                ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Protocol", "soap, wamp"),
                ("Sec-WebSocket-Extensions", "permessage-deflate"),
                ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")])
            for i in range(0, len(head) - 10, 7):
                s.sendall(head[i:min(i + 7, len(head) - 10)])
                time.sleep(0.001)
            ping = bytes([0x81, 0x80 | 15, 0, 0, 0, 0]) + b'{"type":"ping"}'
            s.sendall(head[len(head) - 10:] + ping)
            status, headers, rest = read_head(s)
            self.assertEqual(status, 101)
            self.assertEqual(headers["sec-websocket-accept"],
                             "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            self.assertNotIn("sec-websocket-extensions", headers)
            self.assertNotIn("sec-websocket-protocol", headers)
            s.settimeout(5)
            while rest.count(b'"type":"ping"') < 2:
                more = s.recv(4096)
                self.assertTrue(more)
                rest += more

    def test_who_comes_after_a_long_silence_is_served(self):
        """With nobody there the loop sleeps; its clock must not."""
        time.sleep(10.5)
        with self.follow(UNKNOWN) as ws:
            self.assertEqual(ws.message()["type"], "ping")

    def test_who_says_nothing_is_shown_the_door(self):
        s = dial(self.where(), timeout=15)
        with s:
            s.sendall(b"GET /api/v1/ws/")
            began = time.monotonic()
            self.assertEqual(s.recv(100), b"")
            self.assertLess(abs(time.monotonic() - began - 10), 2)


class Limits(Following):
    env = {"CHURNS_PUSH_MAX_SOCKETS": "20", "CHURNS_PUSH_MAX_PER_ADDRESS": "3"}

    def test_sockets_of_an_address_and_of_all_are_counted(self):
        def come(address=None, how=self.follow):
            return how(self.run_id, headers=[("X-Forwarded-For", address)]
                       if address else [])
        self.run_id = self.finished_run()
        there = [come("192.0.2.1"), come("made.up, 192.0.2.1"),
                 come("192.0.2.1", self.stream)]
        with self.assertRaises(Refused) as e:
            come("192.0.2.1")
        self.assertEqual(e.exception.status, 429)
        self.assertIn("retry-after", e.exception.headers)
        there.append(come("192.0.2.2"))
        there[0].cut()
        there[0] = wait_until(lambda: self.try_come(come, "192.0.2.1"), 5,
                              "a place to be free again")
        while len(there) < 20:
            there.append(come())
        with self.assertRaises(Refused) as e:
            come()
        self.assertEqual(e.exception.status, 503)
        for one in there:
            one.s.close()
        wait_until(lambda: self.try_come(come, None), 5, "all to be gone")

    @staticmethod
    def try_come(come, address):
        try:
            return come(address)
        except Refused:
            return None

    def test_a_crowd_at_the_door_is_survived(self):
        crowd = [dial(self.where()) for _ in range(400)]
        for s in crowd:
            s.close()
        wait_until(lambda: self.try_come(
            lambda a: self.follow(UNKNOWN), None), 5, "a place")


class Restarts(Following):
    def comes_back(self, run_id, got, seconds=10):
        """As a client does: again until it is let in, with its last number."""
        end = time.monotonic() + seconds
        while True:
            try:
                ws = self.follow(run_id, after=got[-1]["seq"] if got else 0)
                self.assertEqual(ws.message()["type"], "ping")
                return ws
            except (OSError, Refused):
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def follow_through(self, run_id, disturb):
        """Follow to the end; disturb(n) after the n-th event."""
        got, codes = [], []
        ws = self.comes_back(run_id, got)
        while not got or not is_end(got[-1]):
            m = ws.event(20)
            if m is None:
                codes.append(ws.closed)
                ws.cut()
                ws = self.comes_back(run_id, got)
                continue
            got.append(m)
            disturb(len(got))
        ws.cut()
        self.check_whole([self.ping(run_id)] + got, run_id)
        return codes

    def ping(self, run_id):
        with self.follow(run_id, after=10 ** 6) as ws:
            return ws.message()

    def test_sigterm_is_1012_and_nothing_is_lost(self):
        self.s.script(latency_ms=100)
        run_id = self.s.submit()["id"]

        def disturb(n):
            if n in (3, 7):
                self.assertEqual(self.s.kill("push", signal.SIGTERM), 0)
                self.s.start("push")
        codes = self.follow_through(run_id, disturb)
        self.assertEqual(set(codes), {1012})

    def test_kill_9_and_nothing_is_lost(self):
        self.s.script(latency_ms=100)
        run_id = self.s.submit()["id"]

        def disturb(n):
            if n in (2, 6):
                self.s.kill("push")
                self.s.start("push")
        codes = self.follow_through(run_id, disturb)
        self.assertEqual(set(codes), {ABNORMAL})

    def test_the_runner_dies_and_the_sockets_stay(self):
        self.s.script(latency_ms=200)
        run_id = self.s.submit()["id"]

        def disturb(n):
            if n == 4:
                self.s.kill("runner")
                self.s.start("runner")
        self.assertEqual(self.follow_through(run_id, disturb), [])

    def test_a_restart_ends_streams_and_tells_who_waits(self):
        run_id = self.finished_run()
        with self.stream(run_id, after=0) as es:
            es.until(is_end)
            self.s.kill("push", signal.SIGTERM, wait=None)
            self.assertIsNone(es.event(5))
        self.assertEqual(self.s.processes.pop("push").wait(10), 0)
        self.s.start("push")

    def test_it_stops_soon_whatever_its_clients_do(self):
        stuck = [self.follow(UNKNOWN, answer_pings=False) for _ in range(10)]
        stuck.append(self.stream(self.finished_run()))
        silent = [dial(self.where()) for _ in range(10)]
        began = time.monotonic()
        self.assertEqual(self.s.kill("push", signal.SIGTERM), 0)
        self.assertLess(time.monotonic() - began, 4)
        for one in stuck:
            one.s.close()
        for one in silent:
            one.close()
        self.s.start("push")

    def test_lost_hints_are_made_up_for(self):
        wake = os.path.join(self.s.run_dir, "wake")
        self.s.script(latency_ms=50)
        for name in os.listdir(wake):
            if name.startswith("push."):
                os.unlink(os.path.join(wake, name))
        run_id = self.s.submit()["id"]
        with self.follow(run_id, after=0) as ws:
            self.check_whole(ws.until(is_end), run_id)
        self.s.kill("push", signal.SIGTERM)
        self.s.start("push")

    def test_sighup_changes_limits_and_origins_and_a_fault_changes_nothing(
            self):
        path = os.path.join(self.s.conf, "churns.yml")
        with open(path, encoding="utf-8") as f:
            before = f.read()

        def reload_with(old, new):
            seen = len(self.s.log("push"))
            self.assertIn(old, before)
            with open(path, "w", encoding="utf-8") as f:
                f.write(before.replace(old, new))
            self.s.kill("push", signal.SIGHUP, wait=None)
            wait_until(lambda: "configuration" in self.s.log("push")[seen:],
                       5, "the reload")
            return self.s.log("push")[seen:]

        evil = [("Origin", "https://evil.example")]
        with self.follow(UNKNOWN) as ws:
            ws.message()
            self.assertIn("loaded anew", reload_with(
                "  origins: []", "  origins: [https://evil.example]"))
            with self.follow(UNKNOWN, headers=evil):
                pass
            self.assertIn("not loaded", reload_with(
                "  max_sockets: 4096", "  max_sockets: none"))
            with self.follow(UNKNOWN, headers=evil):
                pass
            reload_with("  max_sockets: 4096", "  max_sockets: 1")
            with self.assertRaises(Refused) as e:
                self.follow(UNKNOWN)
            self.assertEqual(e.exception.status, 503)
            reload_with("  origins: []", "  origins: []")
            with self.assertRaises(Refused) as e:
                self.follow(UNKNOWN, headers=evil)
            self.assertEqual(e.exception.status, 403)
            ws.send_text('{"type":"ping"}')
            self.assertEqual(ws.message(2)["type"], "ping")

    def test_its_row_says_what_it_does(self):
        def row():
            rows = self.s.sql("select * from processes where role = 'push'")
            stats = json.loads(rows[0]["stats"]) if len(rows) == 1 else {}
            return stats if stats.get("sockets") == 2 else None
        run_id = self.finished_run()
        with self.follow(run_id), self.follow(UNKNOWN), self.stream(run_id):
            stats = wait_until(row, 8, "the row of churns-push")
        self.assertEqual((stats["streams"], stats["runs_watched"]), (1, 1))
        self.assertGreater(stats["rss_bytes"], 1000000)
        self.s.kill("push", signal.SIGTERM)
        self.assertEqual(self.s.sql("select * from processes where "
                                    "role = 'push'"), [])
        self.s.start("push")


class Through:
    """The same through a web server, as people have it."""
    env = {"CHURNS_PUSH_MAX_PER_ADDRESS": "12", "CHURNS_PUSH_PING_S": "2"}

    def where(self):
        return ("127.0.0.1", self.s.port)

    def test_a_run_from_its_submission_to_its_end(self):
        self.s.script(latency_ms=60)
        run_id = self.s.submit(num_variants="2")["id"]
        with self.follow(run_id, 0) as a, self.follow(run_id, 0) as b, \
                self.stream(run_id, after=0) as es:
            self.assertEqual(es.headers["content-type"], "text/event-stream")
            got = a.until(is_end)
            self.check_whole(got, run_id)
            self.assertEqual(numbered(b.until(is_end)), numbered(got))
            told = [e["message"] for e in es.until(is_end)]
            self.assertEqual(numbered(told), numbered(got))

    def test_what_happens_is_seen_when_it_happens(self):
        """Nothing on the way holds a message back until there are more."""
        self.s.script(latency_ms=700)
        run_id = self.s.submit()["id"]
        with self.follow(run_id, 0) as ws, self.stream(run_id, after=0) as es:
            for _ in range(3):
                m = ws.event()
                seen = time.time()
                told = next(e for e in self.s.events(run_id)
                            if e["seq"] == m["seq"])
                self.assertLess(seen - timestamp(told["timestamp"]), 0.5)
                while es.event(0.5)["id"] != str(m["seq"]):
                    pass

    def test_a_cut_connection_goes_on_where_it_was(self):
        run_id = self.finished_run()
        events = self.s.events(run_id)
        for k in (0, 1, len(events) // 2, len(events) - 1):
            with self.follow(run_id, after=k) as ws, \
                    self.stream(run_id, last_id=k) as es:
                ws.message()
                es.event()
                for e in events[k:]:
                    self.assertEqual(ws.event()["seq"], e["seq"])
                    self.assertEqual(es.event()["id"], str(e["seq"]))

    def test_a_client_may_send_pings_and_nonsense(self):
        with self.follow(UNKNOWN) as ws:
            ws.message()
            ws.send_text("nonsense")
            ws.send_frame(BINARY, b"\0\1")
            ws.send_text('{"type":"ping"}')
            self.assertEqual(ws.message(3)["type"], "ping")

    def test_the_end_of_churns_push_is_1012(self):
        with self.follow(UNKNOWN) as ws:
            ws.message()
            self.s.kill("push", signal.SIGTERM, wait=None)
            self.assertIsNone(ws.event(5))
            self.assertEqual(ws.closed, 1012)
        self.assertEqual(self.s.processes.pop("push").wait(10), 0)
        with self.assertRaises(Refused) as e:
            self.follow(UNKNOWN)
        self.assertIn(e.exception.status, (502, 503, 504))
        self.s.start("push")
        wait_until(self.is_back, 10, "churns-push behind the web server")

    def is_back(self):
        try:
            with self.follow(UNKNOWN):
                return True
        except (Refused, OSError):
            return False

    def test_the_web_server_is_killed_in_the_middle(self):
        self.s.script(latency_ms=150)
        run_id = self.s.submit()["id"]
        got = []
        ws = self.follow(run_id, 0)
        while not got or not is_end(got[-1]):
            m = ws.event(20)
            if m is None:
                ws.cut()
                wait_until(self.is_back, 15, "the web server")
                ws = self.follow(run_id, got[-1]["seq"])
                self.assertEqual(ws.message()["type"], "ping")
                continue
            got.append(m)
            if len(got) == 4:
                # Those who serve are children of the one that was started.
                os.killpg(self.s.processes["web"].pid, signal.SIGKILL)
                self.s.processes.pop("web").wait(10)
                wait_until(lambda: not self.s.connects(self.s.port), 10,
                           "its port to be free")
                self.s.start("web")
        ws.cut()
        self.assertEqual([m["seq"] for m in got],
                         list(range(1, len(got) + 1)))

    def test_refusals_arrive_as_they_were_meant(self):
        for path, headers, status in (
                ("/api/v1/runs/%s/stream" % UNKNOWN, [], 404),
                ("/api/v1/runs/%s/stream?after=x" % UNKNOWN, [], 422),
                ("/api/v1/runs/%s/stream" % UNKNOWN,
                 [("Origin", "https://evil.example")], 403)):
            with self.assertRaises(Refused) as e:
                self.stream(UNKNOWN, path=path, headers=headers)
            self.assertEqual(e.exception.status, status, path)
            self.assertTrue(json.loads(e.exception.body)["detail"])

    def nobody_there(self, since_ms):
        row = self.s.sql("select stats, heartbeat_ms from processes where "
                         "role = 'push'")[0]
        return row["heartbeat_ms"] > since_ms and \
            json.loads(row["stats"])["connections"] == 0

    def test_nobody_can_make_up_an_address(self):
        # A web server may learn only from a sign of life that a reader left.
        now = time.time() * 1000
        wait_until(lambda: self.nobody_there(now), 15,
                   "all of the other tests to be gone")
        there = []
        with self.assertRaises(Refused) as e:
            for n in range(13):
                there.append(self.follow(UNKNOWN, headers=[
                    ("X-Forwarded-For", "192.0.2.%d" % n),
                    ("X-Real-IP", "192.0.2.%d" % n)]))
        self.assertEqual((e.exception.status, len(there)), (429, 12))
        for ws in there:
            ws.s.close()
        wait_until(self.is_back, 5, "a place to be free again")


def timestamp(text):
    return datetime.datetime.fromisoformat(
        text.replace("Z", "+00:00")).timestamp()


for server in WEB_SERVERS:
    name = "Through" + server.capitalize()
    if not os.path.isdir(os.path.join(SRC, "deploy", server)):
        continue
    globals()[name] = type(name, (Through, Following), {
        "options": {"web": server}, "__module__": __name__})


class Crowd(unittest.TestCase):
    """Many sockets at once; events come from tests/bench/teller, followers are
    tests/bench/crowd."""
    RUNS, PER_RUN = 50, 20

    def tell(self, s, *args):
        teller = subprocess.Popen(
            [Stack.program("tests/bench/teller"), "--conf", s.conf, "--env",
             s.env_file, "--runs", str(self.RUNS)] + list(args),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=s.environment())
        self.addCleanup(teller.stdout.close)
        return teller, [teller.stdout.readline().strip()
                        for _ in range(self.RUNS)]

    def gather(self, s, ids, *args):
        crowd = subprocess.Popen(
            [Stack.program("tests/bench/crowd"), "--socket", where_push_is(s),
             "--per-run", str(self.PER_RUN)] + list(args),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(crowd.stdout.close)
        crowd.stdin.write("\n".join(ids) + "\n\n")
        crowd.stdin.flush()
        self.assertEqual(crowd.stdout.readline().strip(),
                         "connected %d" % (self.RUNS * self.PER_RUN))
        return crowd

    @staticmethod
    def memory(s, what="VmRSS"):
        with open("/proc/%d/status" % s.processes["push"].pid,
                  encoding="ascii") as f:
            return next(int(line.split()[1]) * 1024 for line in f
                        if line.startswith(what))

    @staticmethod
    def is_plain(s):
        """A sanitizer keeps freed memory, so that its size says nothing."""
        with open("/proc/%d/maps" % s.processes["push"].pid,
                  encoding="ascii") as f:
            return "libasan" not in f.read()

    def test_a_thousand_sockets_of_which_one_does_not_read(self):
        each, stalled = 60, 1
        with Stack(web=False, api=False, push=True, env={
                "CHURNS_STORE_SYNCHRONOUS": "normal"}) as s:
            teller, ids = self.tell(s, "--events", str(each * self.RUNS),
                                    "--rate", "600", "--bytes", "40000")
            before = self.memory(s)
            crowd = self.gather(s, ids, "--events", str(each), "--stalled",
                                str(stalled), "--seconds", "60")
            idle = self.memory(s)
            if self.is_plain(s):
                self.assertLess((idle - before) / 1000, 8192)
            teller.communicate("go\n", 60)
            said, _ = crowd.communicate(timeout=60)
            said = dict(pair.split("=") for pair in said.split())
            self.assertEqual(crowd.returncode, 0, said)
            self.assertEqual((said["sockets"], said["complete"], said["gaps"],
                              said["cut"]), ("1000", "999", "0", "1"))
            self.assertEqual(int(said["events"]), 999 * each)
            # 60 * 40 KB were told on the run of the one that does not read.
            self.assertIn('why="too slow"', s.log("push"))
            self.assertEqual(s.log("push").count('why="too slow"'), 1)
            if self.is_plain(s):
                self.assertLess(self.memory(s, "VmHWM") - idle, 48 << 20)
            wait_until(lambda: json.loads(s.sql(
                "select stats from processes")[0]["stats"])["sockets"] == 0,
                10, "all to be gone")

    def test_all_come_back_at_once_after_a_restart(self):
        each = 20
        with Stack(web=False, api=False, push=True) as s:
            teller, ids = self.tell(s, "--events", str(each * self.RUNS),
                                    "--rate", "400")
            crowd = self.gather(s, ids, "--events", str(each * 2),
                                "--seconds", "60")
            teller.stdin.write("go\n")
            teller.stdin.flush()
            time.sleep(1)
            self.assertEqual(s.kill("push", signal.SIGTERM), 0)
            s.start("push")
            began = time.monotonic()
            again = self.gather(s, ids, "--events", str(each), "--seconds",
                                "60")
            teller.communicate("", 60)
            said, _ = again.communicate(timeout=60)
            self.assertEqual(again.returncode, 0, said)
            self.assertIn("complete=1000 gaps=0 cut=0", said)
            self.assertLess(time.monotonic() - began, 30)
            crowd.kill()
            crowd.wait()


class Usage(unittest.TestCase):
    def run_push(self, *args, env=None):
        done = subprocess.run([Stack.program("churns-push")] + list(args),
                              capture_output=True, text=True, timeout=20,
                              check=False, env=env)
        return done.returncode, done.stdout + done.stderr

    def test_options(self):
        self.assertEqual(self.run_push("--help")[0], 0)
        self.assertEqual(self.run_push("--version")[0], 0)
        self.assertEqual(self.run_push("--nonsense")[0], 64)
        self.assertEqual(self.run_push("extra")[0], 64)

    def test_faults_of_the_configuration_end_it_with_78(self):
        with Stack(web=False, api=False) as s:
            for env, said in (
                    ({"CHURNS_PUSH_LISTEN": "0.0.0.0:80"}, "loopback"),
                    ({"CHURNS_PUSH_MAX_SOCKETS": "none"}, "MAX_SOCKETS"),
                    ({"CHURNS_DATA_DIR": "/proc/nowhere"}, "data_dir")):
                status, text = self.run_push(
                    "--conf", s.conf, "--env", s.env_file,
                    env=dict(s.environment(), **env))
                self.assertEqual(status, 78, text)
                self.assertIn(said, text)

    def test_a_second_one_leaves_the_first_its_socket(self):
        with Stack(web=False, api=False, push=True) as s:
            status, text = self.run_push("--conf", s.conf, "--env",
                                         s.env_file, env=s.environment())
            self.assertEqual(status, 78, text)
            self.assertIn("another program is listening", text)
            with Socket(s, UNKNOWN) as ws:
                self.assertEqual(ws.message()["type"], "ping")

    def test_a_loopback_address_will_do(self):
        port = free_port()
        with Stack(web=False, api=False, push=True, env={
                "CHURNS_PUSH_LISTEN": "127.0.0.1:%d" % port}) as s:
            with Socket(s, UNKNOWN, where=("127.0.0.1", port)) as ws:
                self.assertEqual(ws.message()["type"], "ping")


if __name__ == "__main__":
    unittest.main()
