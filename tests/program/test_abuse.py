"""Requests that are meant to hurt: each gets its clear answer, and the workers
stay as small as they were."""
import json
import os
import socket
import struct
import subprocess
import time
import unittest
import urllib.parse

from fastcgi import BEGIN, PARAMS, RESPONDER, Request
from stack import PLATFORM, Stack, multipart, wait_until

KIB = 1024
MIB = 1024 * 1024
FORM = [("platform_name", PLATFORM), ("prompt", "lemon tart")]
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x0a\0\0\0\x0a"


class Abuse(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.s = cls.stack.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.stack.__exit__(None, None, None)

    def largest_worker_kb(self):
        parent = self.s.processes["api"].pid
        with open("/proc/%d/task/%d/children" % (parent, parent),
                  encoding="ascii") as f:
            workers = f.read().split()
        sizes = []
        for pid in workers:
            with open("/proc/%s/status" % pid, encoding="ascii") as f:
                sizes += [int(line.split()[1]) for line in f
                          if line.startswith("VmHWM")]
        return max(sizes)

    def post(self, **fields):
        fields.setdefault("platform_name", PLATFORM)
        fields.setdefault("prompt", "lemon tart")
        return self.s.post_form("/api/v1/runs", fields)

    def test_json_that_costs_more_than_its_text_is_refused_unparsed(self):
        self.post()
        before = self.largest_worker_kb()
        for name, text in (
                ("brand_kit", '{"colors":[' + "{}," * 300000 + "{}]}"),
                ("template_overrides", '{"a":[' + "1," * 30000 + "1]}"),
                ("unified_brief", '{"x":' + "[" * 5000)):
            ctype, body = multipart([
                ("platform_name", PLATFORM), ("prompt", "tart"),
                (name, text)])
            answer = self.s.request("POST", "/api/v1/runs", body,
                                    {"Content-Type": ctype})
            self.assertEqual(answer.status, 400, (name, answer))
            self.assertIn(name, answer.json["detail"])
        self.assertLess(self.largest_worker_kb() - before, 20 * 1024)

    def test_a_field_sent_twice_counts_by_its_last_value(self):
        body = urllib.parse.urlencode(
            [("platform_name", PLATFORM), ("prompt", "first"),
             ("prompt", "lemon tart"), ("foo", "1"), ("foo", "")])
        answer = self.s.request(
            "POST", "/api/v1/runs", body,
            {"Content-Type": "application/x-www-form-urlencoded"})
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(self.s.run(answer.json["id"])["prompt"],
                         "lemon tart")

    def test_a_key_tells_requests_apart_by_every_value(self):
        def post(first):
            return self.s.request(
                "POST", "/api/v1/runs", urllib.parse.urlencode(
                    [("platform_name", PLATFORM), ("prompt", first),
                     ("prompt", "tart")]),
                {"Content-Type": "application/x-www-form-urlencoded",
                 "Idempotency-Key": "twice"}).status
        self.assertEqual((post("a"), post("a"), post("b")), (200, 200, 422))

    def test_what_is_not_a_socket_is_never_removed(self):
        path = os.path.join(self.s.dir, "precious.txt")
        with open(path, "w", encoding="utf-8") as f:
            f.write("mine")
        done = subprocess.run(
            self.s.command("api") + ["--listen", path],
            env=self.s.environment(), capture_output=True, text=True,
            timeout=20, check=False)
        self.assertEqual(done.returncode, 78)
        self.assertIn("not a socket", done.stderr)
        with open(path, encoding="utf-8") as f:
            self.assertEqual(f.read(), "mine")


class Limits(unittest.TestCase):
    """Everything that comes from outside has a maximum, and says so."""

    @classmethod
    def setUpClass(cls):
        cls.s = Stack()
        cls.s.__enter__()
        cls.addClassCleanup(cls.s.__exit__, None, None, None)

    def form(self, fields, files=()):
        ctype, body = multipart(fields, files)
        return body, ctype

    def test_bodies(self):
        urlencoded = "application/x-www-form-urlencoded"
        many = [("f%d" % i, "x") for i in range(101)]
        picture = ("image_file", "x.png", "image/png", PNG)
        for what, (body, ctype), status, says in (
                ("fields", self.form(many), 400, "more than 100 fields"),
                ("fields, urlencoded",
                 (urllib.parse.urlencode(many).encode(), urlencoded), 400,
                 "more than 100 fields"),
                ("members", (json.dumps(dict(many)).encode(),
                             "application/json"), 400, "100 fields"),
                ("a field", self.form([("prompt", "x" * (MIB + 1))]), 400,
                 "prompt is longer than"),
                ("all fields", self.form([("f%d" % i, "x" * MIB)
                                          for i in range(5)]), 413,
                 "text fields"),
                ("a form without files", (b"prompt=" + b"x" * (2 * MIB),
                                          urlencoded), 413, "at most"),
                ("a name", self.form([("n" * 201, "x")]), 400, "too long"),
                ("a name, urlencoded", (b"n" * 201 + b"=x", urlencoded), 400,
                 "200 bytes"),
                ("a file name", self.form([], [
                    ("image_file", "n" * 1100, "image/png", PNG)]), 400,
                 "too long"),
                ("headers of a part", self.form([], [
                    ("image_file", "x", "x" * 9000, PNG)]), 400,
                 "8192 bytes"),
                ("files", self.form(FORM, [picture] * 5), 400,
                 "more than 4 files"),
                ("depth of JSON", (b'{"a":' + b"[" * 40, "application/json"),
                 422, "nested too deep"),
                ("depth of a field", self.form(FORM + [
                    ("unified_brief", '{"a":' + "[" * 40)]), 400,
                 "nested too deep"),
                ("values", (b'{"a":[' + b"1," * 4000 + b"1]}",
                            "application/json"), 413, "4000 values")):
            with self.subTest(what=what):
                answer = self.s.request("POST", "/api/v1/runs", body,
                                        {"Content-Type": ctype})
                self.assertEqual(answer.status, status, answer)
                self.assertIn(says, json.dumps(answer.json["detail"]))
        self.assertEqual(os.listdir(os.path.join(self.s.data, "uploads")), [])
        self.assertEqual(os.listdir(os.path.join(self.s.data, "runs")), [])

    def direct(self, uri, **headers):
        return Request(os.path.join(self.s.run_dir, "api.sock"), "GET", uri,
                       headers).finish()

    def test_heads(self):
        for uri, headers, says in (
                ("/" + "x" * 2048, {}, "the path is longer than 2047 bytes"),
                ("/health?" + "x" * 8193, {}, "the query is longer than 8192"),
                ("/health?" + "&".join("a%d=" % i for i in range(101)), {},
                 "100 fields"),
                ("/health", {"X_A": "x" * 66000}, "more than 65536 bytes")):
            with self.subTest(says=says):
                status, _, body = self.direct(uri, **headers)
                self.assertEqual(status, 400)
                self.assertIn(says, json.loads(body)["detail"])
        # A web server has limits of its own before these.
        for path, headers in (("/" + "x" * 20000, {}),
                              ("/health", {"X-A": "x" * 100000})):
            answer = self.s.request("GET", path, headers=headers)
            self.assertIn(answer.status, (400, 414, 431))
            self.assertIn("detail", answer.json)

    def test_what_is_said_twice_counts_as_said_last(self):
        self.assertEqual(self.s.get(
            "/api/v1/runs?page=x&page=1&page_size=0&page_size=1"
        ).json["page_size"], 1)
        answer = self.s.request(
            "POST", "/api/v1/runs", b'{"prompt":1,"platform_name":"x",'
            b'"prompt":"last","platform_name":"%s"}' % PLATFORM.encode(),
            {"Content-Type": "application/json"})
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(self.s.run(answer.json["id"])["prompt"], "last")


class Slow(unittest.TestCase):
    """A single worker with two threads, and patience of a second."""

    def stack(self, **options):
        s = Stack(env={"CHURNS_API_WORKERS": "1", "CHURNS_API_THREADS": "2",
                       "CHURNS_API_READ_TIMEOUT_S": "1",
                       "CHURNS_API_SENDFILE": "direct"}, **options)
        s.__enter__()
        self.addCleanup(s.__exit__, None, None, None)
        self.s = s
        self.path = os.path.join(s.run_dir, "api.sock")

    def answers(self):
        return Request(self.path, "GET", "/health").finish()[0] == 200

    def connect(self, *pieces):
        c = socket.socket(socket.AF_UNIX)
        self.addCleanup(c.close)
        c.connect(self.path)
        for piece in pieces:
            c.sendall(piece)
        return c

    @staticmethod
    def record(kind, data):
        return struct.pack("!BBHHBx", 1, kind, 1, len(data), 0) + data

    def test_nobody_keeps_a_thread(self):
        """At the socket itself, where no web server is in between."""
        self.stack(web=False)
        begin = self.record(BEGIN, struct.pack("!HB5x", RESPONDER, 0))
        ctype, body = multipart(FORM, [("image_file", "x", "image/png", PNG)])

        def silent():
            return self.connect()

        def half_the_variables():
            return self.connect(begin, self.record(PARAMS, b"\x0e\x03REQ")[:-1])

        def half_a_body():
            r = Request(self.path, "POST", "/api/v1/runs",
                        {"Content-Type": ctype}, len(body))
            self.addCleanup(r.close)
            r.write(body[:100])
            return r
        for hold in (silent, half_the_variables, half_a_body):
            with self.subTest(hold=hold.__name__):
                held = [hold(), hold()]
                began = time.monotonic()
                self.assertTrue(self.answers())     # waits for a thread
                took = time.monotonic() - began
                self.assertTrue(0.5 < took < 5, took)
                del held
        self.assertIn("too slow", self.s.log("api"))

    def test_a_body_that_stops_is_told_so(self):
        self.stack(web=False)
        ctype, body = multipart(FORM, [("image_file", "x", "image/png",
                                        PNG + bytes(200 * KIB))])
        r = Request(self.path, "POST", "/api/v1/runs",
                    {"Content-Type": ctype}, len(body))
        self.addCleanup(r.close)
        r.write(body[:100 * KIB])
        status, headers, answer = r.answer()
        self.assertEqual(status, 408)
        self.assertIn("too slowly", json.loads(answer)["detail"])
        self.assertIn("x-request-id", headers)
        self.assertEqual(os.listdir(os.path.join(self.s.data, "uploads")), [])

    def test_a_trickle_is_not_progress(self):
        self.stack(web=False)
        r = Request(self.path, "POST", "/api/v1/runs",
                    {"Content-Type": "application/json"}, MIB)
        self.addCleanup(r.close)
        began = time.monotonic()
        with self.assertRaises(OSError):
            while time.monotonic() - began < 10:
                r.write(b" ")
                time.sleep(0.1)
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual(r.answer()[0], 408)

    def test_who_does_not_take_an_answer_is_let_go(self):
        self.stack(web=False)
        data = PNG + os.urandom(8 * MIB)
        ctype, body = multipart(FORM, [("image_file", "x.png", "image/png",
                                        data)])
        r = Request(self.path, "POST", "/api/v1/runs", {"Content-Type": ctype},
                    len(body))
        r.write(body)
        run_id = json.loads(r.finish()[2])["id"]
        for _ in range(2):
            held = Request(self.path, "GET",
                           "/api/v1/files/%s/input_x.png" % run_id)
            self.addCleanup(held.close)
            held.send(5, b"")
        began = time.monotonic()
        self.assertTrue(self.answers())
        self.assertLess(time.monotonic() - began, 6)

    def test_slow_clients_of_the_web_server_hinder_nobody(self):
        self.stack()
        held = []
        for i in range(60):
            c = socket.create_connection(("127.0.0.1", self.s.port))
            self.addCleanup(c.close)
            c.sendall(b"POST /api/v1/runs HTTP/1.1\r\nHost: x\r\n"
                      b"Content-Type: application/json\r\n")
            if i % 2:
                c.sendall(b"Content-Length: 1000\r\n\r\n{")
            held.append(c)
        for _ in range(20):
            began = time.monotonic()
            self.assertEqual(self.s.submit()["status"], "PENDING")
            self.assertLess(time.monotonic() - began, 1)
        self.assertNotIn("too slow", self.s.log("api"))


if __name__ == "__main__":
    unittest.main()
