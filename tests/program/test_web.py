"""One table of checks through every web server there is a configuration for.

Wire looks at what a server makes of a request: behind it stands a recording
FastCGI program instead of churns-api.  Whole is the service as it is installed,
with runner and provider.  What differs between the servers, and may, is in FACTS.
"""
import base64
import concurrent.futures
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import threading
import time
import unittest
import uuid

from fastcgi import Responder
from follow import Refused, Socket, Stream, is_end
from stack import PLATFORM, Stack, multipart, wait_until

MIB = 1024 * 1024
LIMIT = 64 * MIB
ORIGIN = "http://localhost:3000"
TUNNEL = "https://ab-1.ngrok-free.app"
UNKNOWN = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
SECRET = "Basic " + base64.b64encode(b"admin:let me in").decode()
FACTS = {
    # gone: nobody listens for churns-api; broken: it hangs up; silent: it says
    # nothing.  bodyless: a POST without Content-Length, which lighttpd refuses
    # while it parses, before any configuration is looked at.  chunked: a body
    # that does not say its length, for which Apache has no limit.  two_lengths:
    # Content-Length and chunks; Apache believes the chunks and then closes.
    # future: HTTP/7.1 on the request line.
    "lighttpd": {"gone": 503, "broken": 500, "silent": 504, "bodyless": 411,
                 "header": 431, "address": 431, "reload": signal.SIGUSR1,
                 "banner": None,
                 "chunked": 200, "two_lengths": 400, "future": 505},
    "nginx": {"gone": 502, "broken": 502, "silent": 504, "bodyless": 200,
              "header": 431, "address": 414, "reload": signal.SIGHUP,
              "banner": "nginx",
              "chunked": 200, "two_lengths": 400, "future": 505},
    "apache": {"gone": 503, "broken": 503, "silent": 504, "bodyless": 200,
               "header": 400, "address": 414, "reload": signal.SIGUSR1,
               "banner": "Apache",
               "chunked": 411, "two_lengths": 411, "future": 200},
}


def png(size):
    """So many bytes that begin like a PNG."""
    head = (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xe0"
            b"\x08\x02\0\0\0")
    return head + os.urandom(size - len(head))


class Case(unittest.TestCase):
    server = None       # its name; a class without one is not run
    options = {}

    @classmethod
    def setUpClass(cls):
        if cls.server is None:
            raise unittest.SkipTest("only its descendants")
        cls.facts = FACTS[cls.server]
        cls.s = Stack(web=cls.server, web_edit=cls.edit, **cls.options)
        cls.s.__enter__()
        cls.addClassCleanup(cls.s.__exit__, None, None, None)

    @staticmethod
    def edit(text):
        return text

    def raw(self, data, source=None, patience=20):
        """Send bytes; the answer, which need not be HTTP's finest."""
        with socket.create_connection(("127.0.0.1", self.s.port), patience,
                                      source_address=source) as c:
            c.sendall(data.encode("latin-1") if isinstance(data, str) else data)
            answer = http.client.HTTPResponse(c)
            answer.begin()
            answer.body = answer.read()
            return answer

    def refused(self, answer, status, origin=ORIGIN):
        """An error in the shape of the API, readable by the origin's page."""
        self.assertEqual(answer.status, status, answer.body[:200])
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        self.assertTrue(json.loads(answer.body)["detail"])
        self.assertEqual(answer.headers.get_all("X-Content-Type-Options"),
                         ["nosniff"])
        self.readable(answer, origin)

    def readable(self, answer, origin=ORIGIN):
        """Exactly one permission: two of the same are none to a browser."""
        self.assertEqual(answer.headers.get_all("Access-Control-Allow-Origin"),
                         [origin] if origin else None)
        self.assertEqual(
            answer.headers.get_all("Access-Control-Allow-Credentials"),
            ["true"] if origin else None)
        self.assertIn("Origin", ",".join(answer.headers.get_all("Vary") or []))


# --- what the server makes of a request ------------------------------------------


class Wire(Case):
    """time-outs towards the program are a second here."""
    options = {"api": False}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.program = Responder(os.path.join(cls.s.run_dir, "api.sock"))
        cls.addClassCleanup(cls.program.close)

    @staticmethod
    def edit(text):
        for old, new in (("fastcgi_read_timeout 60s", "fastcgi_read_timeout 1s"),
                         ('"read-timeout" => 60', '"read-timeout" => 1'),
                         (" timeout=60 ", " timeout=1 ")):
            text = text.replace(old, new)
        return text

    def setUp(self):
        self.program.arrived.clear()
        self.program.answer = self.fine

    @staticmethod
    def fine(_):
        return (b"Status: 200 OK\r\nContent-Type: application/json\r\n"
                b"Content-Length: 2\r\n\r\n{}")

    def arrived(self, method, path, body=None, headers=None, status=200):
        """What the program sees of a request."""
        answer = self.s.request(method, path, body, headers)
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(len(self.program.arrived), 1)
        return self.program.arrived.pop()

    def test_methods_and_paths_arrive_as_they_were_sent(self):
        for method, path in (
                ("GET", "/api/v1/runs/?page=1&q=a%20b"), ("DELETE", "/api/v1/x"),
                ("PUT", "/api/v1/x"), ("PATCH", "/api/v1/x"),
                ("OPTIONS", "/api/v1/x"), ("POST", "/api/v1/x"),
                ("HEAD", "/api/v1/x"), ("GET", "/health"),
                ("GET", "/health/executor-stats"), ("GET", "/metrics"),
                ("GET", "/docs"), ("GET", "/redoc"), ("GET", "/openapi.json"),
                ("GET", "/nowhere"), ("DELETE", "/churns.css"),
                ("POST", "/"), ("OPTIONS", "/"),
                ("GET", "/api/v1/files/x/a%2520b%2Fc.png")):
            with self.subTest(method=method, path=path):
                seen = self.arrived(method, path,
                                    b"" if method == "POST" else None)
                self.assertEqual(seen.variables["REQUEST_METHOD"], method)
                self.assertEqual(seen.variables["REQUEST_URI"], path)
                self.assertEqual(seen.variables.get("QUERY_STRING", ""),
                                 path.partition("?")[2])

    def test_no_connection_is_kept(self):
        """It would occupy a thread of churns-api."""
        self.assertEqual(self.arrived("GET", "/health").flags & 1, 0)
        before = self.program.begun
        for _ in range(5):
            self.arrived("GET", "/health")
        self.assertEqual(self.program.begun - before, 5)

    def test_who_the_client_is_is_not_the_clients_word(self):
        seen = self.arrived("GET", "/api/v1/runs", headers={
            "Authorization": SECRET, "Remote-User": "admin",
            "Remote_User": "admin", "X-Remote-User": "admin",
            "X-Forwarded-For": "127.0.0.9", "X-Real-IP": "127.0.0.9",
            "Forwarded": "for=127.0.0.9", "Remote-Addr": "127.0.0.9",
            "Proxy": "http://evil.example", "Client-IP": "127.0.0.9"})
        self.assertEqual(seen.variables.get("REMOTE_USER", ""), "")
        self.assertEqual(seen.variables["REMOTE_ADDR"], "127.0.0.1")
        for name in ("REMOTE_ADDR", "REMOTE_USER"):
            self.assertLessEqual(seen.names.count(name), 1)
        self.assertEqual(seen.variables.get("HTTP_PROXY", ""), "")

    def test_authorization_is_passed_on(self):
        for value in (SECRET, "Bearer chr_0123456789abcdef"):
            seen = self.arrived("GET", "/api/v1/runs",
                                headers={"Authorization": value})
            self.assertEqual(seen.variables["HTTP_AUTHORIZATION"], value)

    def test_the_address_is_the_true_one(self):
        self.raw("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                 "X-Forwarded-For: 127.0.0.1\r\n\r\n", ("127.0.0.77", 0))
        self.assertEqual(self.program.arrived.pop().variables["REMOTE_ADDR"],
                         "127.0.0.77")

    def test_headers_arrive(self):
        seen = self.arrived("GET", "/api/v1/runs", headers={
            "X-Request-Id": "abc-1", "Idempotency-Key": "k", "Origin": ORIGIN,
            "If-None-Match": 'W/"x"', "Range": "bytes=0-1", "If-Range": '"x"',
            "Accept": "a/b", "Last-Event-ID": "7"})
        for name, value in (("X_REQUEST_ID", "abc-1"), ("ORIGIN", ORIGIN),
                            ("IDEMPOTENCY_KEY", "k"), ("ACCEPT", "a/b"),
                            ("IF_NONE_MATCH", 'W/"x"'), ("LAST_EVENT_ID", "7"),
                            ("RANGE", "bytes=0-1"), ("IF_RANGE", '"x"')):
            self.assertEqual(seen.variables["HTTP_" + name], value)

    def test_bodies_arrive_whole(self):
        for size in (0, 1, 16384, 65536, MIB + 1, 20 * MIB):
            data = os.urandom(size)
            for chunked in (False, True):
                if chunked and self.facts["chunked"] != 200:
                    continue
                with self.subTest(size=size, chunked=chunked):
                    body = (data[i:i + 65536] for i in range(0, size, 65536)) \
                        if chunked else data
                    seen = self.arrived("POST", "/api/v1/runs", body,
                                        {"Content-Type": "x/y"})
                    self.assertEqual(seen.length, size)
                    self.assertEqual(seen.body.digest(),
                                     hashlib.sha256(data).digest())
                    self.assertEqual(seen.variables["CONTENT_TYPE"], "x/y")
                    self.assertEqual(seen.variables["CONTENT_LENGTH"],
                                     str(size))

    def test_the_largest_body_and_one_byte_more(self):
        data = os.urandom(LIMIT)
        seen = self.arrived("POST", "/api/v1/runs", data)
        self.assertEqual((seen.length, seen.body.digest()),
                         (LIMIT, hashlib.sha256(data).digest()))
        # It says no before it has been sent anything.
        before = self.program.begun
        answer = self.raw("POST /api/v1/runs HTTP/1.1\r\nHost: x\r\n"
                          "Origin: %s\r\nContent-Length: %d\r\n\r\n" % (
                              ORIGIN, LIMIT + 1))
        self.refused(answer, 413)
        answer = self.raw("POST /api/v1/runs HTTP/1.1\r\nHost: x\r\n"
                          "Origin: %s\r\nExpect: 100-continue\r\n"
                          "Content-Length: %d\r\n\r\n" % (TUNNEL, LIMIT + 1))
        self.refused(answer, 413, TUNNEL)
        self.assertEqual(self.program.begun, before)

    def test_a_body_in_chunks_that_never_says_its_length(self):
        before = len(self.program.arrived)
        chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
        with socket.create_connection(("127.0.0.1", self.s.port), 30) as c:
            c.sendall(b"POST /api/v1/runs HTTP/1.1\r\nHost: x\r\nOrigin: " +
                      ORIGIN.encode() +
                      b"\r\nTransfer-Encoding: chunked\r\n\r\n")
            try:
                for _ in range(LIMIT // 65536 + 16):
                    c.sendall(chunk)
            except (BrokenPipeError, ConnectionResetError):
                pass
            c.shutdown(socket.SHUT_WR)
            answer = http.client.HTTPResponse(c)
            answer.begin()
            answer.body = answer.read()
        self.refused(answer, 411 if self.facts["chunked"] == 411 else 413)
        self.assertEqual(len(self.program.arrived), before)

    def test_expect_100_continue(self):
        with socket.create_connection(("127.0.0.1", self.s.port), 10) as c:
            c.sendall(b"POST /api/v1/runs HTTP/1.1\r\nHost: x\r\n"
                      b"Expect: 100-continue\r\nContent-Length: 3\r\n"
                      b"Connection: close\r\n\r\n")
            self.assertTrue(c.recv(100).startswith(b"HTTP/1.1 100"))
            c.sendall(b"abc")
            self.assertIn(b" 200 ", c.recv(4096))
        self.assertEqual(self.program.arrived.pop().length, 3)

    def test_a_post_without_a_body(self):
        """What curl -X POST sends."""
        answer = self.raw("POST /api/v1/runs/%s/cancel HTTP/1.1\r\nHost: x\r\n"
                          "Origin: %s\r\nConnection: close\r\n\r\n" % (
                              UNKNOWN, ORIGIN))
        if self.facts["bodyless"] == 200:
            self.assertEqual(answer.status, 200)
            self.assertEqual(self.program.arrived.pop().length, 0)
        else:
            self.refused(answer, self.facts["bodyless"])
            self.assertIn(b"Content-Length: 0", answer.body)

    def test_a_slow_upload_keeps_nobody_from_work(self):
        """40 senders, more than churns-api has threads, and none of them is
        known to it before the last byte."""
        size, steps = 200000, 8
        before = self.program.begun
        senders = []
        for _ in range(40):
            c = socket.create_connection(("127.0.0.1", self.s.port), 20)
            self.addCleanup(c.close)
            c.sendall(b"POST /api/v1/runs HTTP/1.1\r\nHost: x\r\n"
                      b"Content-Length: %d\r\n\r\n" % size)
            senders.append(c)
        for _ in range(steps - 1):
            for c in senders:
                c.sendall(bytes(size // steps))
            time.sleep(0.2)
        self.assertEqual(self.program.begun, before)
        self.assertEqual(self.s.get("/health").status, 200)
        self.program.arrived.clear()
        for c in senders:
            c.sendall(bytes(size // steps))
        for c in senders:
            answer = http.client.HTTPResponse(c)
            answer.begin()
            self.assertEqual(answer.status, 200)
        self.assertEqual([a.length for a in self.program.arrived], [size] * 40)
        slowest = max(a.ended - a.began for a in self.program.arrived)
        self.assertLess(slowest, 1.0)

    def test_a_slow_reader_keeps_nobody_from_work(self):
        """The answer is taken from the program at once."""
        size = 16 * MIB         # the largest; more than the kernel holds

        def large(_):
            return (b"Status: 200 OK\r\nContent-Type: x/y\r\n"
                    b"Content-Length: %d\r\n\r\n" % size) + bytes(size)
        self.program.answer = large
        finished = threading.Event()
        serve = self.program.serve

        def watched(connection):
            serve(connection)
            finished.set()
        self.program.serve = watched
        self.addCleanup(setattr, self.program, "serve", serve)
        with socket.create_connection(("127.0.0.1", self.s.port), 20) as c:
            c.sendall(b"GET /api/v1/x HTTP/1.1\r\nHost: x\r\n"
                      b"Connection: close\r\n\r\n")
            self.assertTrue(finished.wait(5))
            got = 0
            while True:
                piece = c.recv(1 << 16)
                if not piece:
                    break
                got += len(piece)
        self.assertGreater(got, size)

    def test_headers_that_are_too_large(self):
        for what, request, status in (
                ("header", "GET /health HTTP/1.1\r\nHost: x\r\nOrigin: %s\r\n"
                 "X-Long: %s\r\n\r\n" % (ORIGIN, "x" * 70000),
                 self.facts["header"]),
                ("address", "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % (
                    "x" * 70000), self.facts["address"])):
            with self.subTest(what=what):
                answer = self.raw(request)
                self.assertEqual(answer.status, status)
                self.assertEqual(answer.headers["Content-Type"],
                                 "application/json")
                self.assertTrue(json.loads(answer.body)["detail"])
        # What people have is not too large.
        self.arrived("GET", "/api/v1/runs", headers={"Cookie": "c=" + "x" * 6000})
        self.assertEqual(self.program.arrived, [])

    def test_what_is_no_request(self):
        for request in (
                "GET /health HTTP/1.1\r\nOrigin: %s\r\n\r\n" % ORIGIN,
                "GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
                "GET /health HTTP/1.1\r\nHost: a b\r\n\r\n",
                "GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
                "Content-Length: 2\r\n\r\nab",
                "POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
                "POST /health HTTP/1.1\r\nHost: x\r\n"
                "Content-Length: 99999999999999999999\r\n\r\n",
                "GET /health HTTP/1.1\r\nHost: x\r\nA\0B: c\r\n\r\n"):
            with self.subTest(request=request[:80]):
                answer = self.raw(request)
                self.assertIn(answer.status, (400, 413, 505))
                self.assertEqual(answer.headers["Content-Type"],
                                 "application/json")
                self.assertTrue(json.loads(answer.body)["detail"])
        self.assertEqual(self.program.arrived, [])
        for fact, request in (
                ("two_lengths", "POST /health HTTP/1.1\r\nHost: x\r\n"
                 "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"),
                ("future", "GET /health HTTP/7.1\r\nHost: x\r\n\r\n")):
            self.assertEqual(self.raw(request).status, self.facts[fact], fact)
        self.assertNotIn("/smuggled", [a.variables["REQUEST_URI"]
                                       for a in self.program.arrived])

    def test_an_answer_that_does_not_come(self):
        """gone, broken and silent: our JSON, and readable elsewhere."""
        cases = [("broken", lambda _: None),
                 ("silent", lambda _: time.sleep(3) or self.fine(_))]
        for what, answer in cases:
            self.program.answer = answer
            for origin in (ORIGIN, TUNNEL):
                with self.subTest(what=what, origin=origin):
                    self.refused(self.s.get("/api/v1/runs", Origin=origin),
                                 self.facts[what], origin)
        self.program.answer = self.fine
        for path, method in (("/api/v1/runs", "GET"), ("/api/v1/runs", "OPTIONS"),
                             ("/health", "GET"), ("/", "OPTIONS"),
                             ("/api/v1/runs", "POST")):
            moved = os.path.join(self.s.run_dir, "gone.sock")
            here = os.path.join(self.s.run_dir, "api.sock")
            os.rename(here, moved)
            try:
                with self.subTest(method=method, path=path):
                    answer = self.s.request(
                        method, path, b"{}" if method == "POST" else None,
                        {"Origin": ORIGIN,
                         "Access-Control-Request-Method": "GET"})
                    self.refused(answer, self.facts["gone"])
                    self.assertEqual(answer.headers["Retry-After"], "2")
            finally:
                os.rename(moved, here)
            # Once it is back it is soon asked again.
            wait_until(lambda: self.s.get("/health").status == 200, 2.5,
                       "the program to be asked")
        for origin in ("http://localhost:3001", "null",
                       "https://ngrok-free.app.evil.example",
                       "https://a.b.ngrok-free.app", "http://a.ngrok-free.app",
                       "http://localhost:3000.evil.example"):
            self.program.answer = lambda _: None
            self.refused(self.s.get("/api/v1/runs", Origin=origin),
                         self.facts["broken"], None)

    def test_the_programs_own_errors_pass_untouched(self):
        for status in (400, 403, 404, 405, 409, 413, 416, 422, 500, 503):
            body = b'{"detail":"own %d"}' % status
            self.program.answer = lambda _, body=body, status=status: (
                b"Status: %d Own\r\nContent-Type: application/json\r\n"
                b"Allow: GET\r\nX-Mark: yes\r\nAccess-Control-Allow-Origin: o\r\n"
                b"\r\n" % status + body)
            answer = self.s.get("/api/v1/x", Origin=ORIGIN)
            self.assertEqual((answer.status, answer.body), (status, body))
            self.assertEqual(answer.headers.get_all("X-Mark"), ["yes"])
            self.assertEqual(answer.headers.get_all(
                "Access-Control-Allow-Origin"), ["o"])

    def test_no_file_outside_the_runs_can_be_named(self):
        """Even if churns-api were to err."""
        names = {"x-sendfile": ("X-Sendfile", "/etc/passwd",
                                self.s.data + "/../settings.env"),
                 "x-accel": ("X-Accel-Redirect",
                             "/churns-files/../settings.env",
                             "/churns-files/%2e%2e/settings.env")}
        from stack import SENDFILE
        header, *paths = names[SENDFILE[self.server]]
        for path in paths:
            self.program.answer = lambda _, path=path: (
                "Status: 200 OK\r\n%s: %s\r\n\r\n" % (header, path)).encode()
            answer = self.s.get("/api/v1/x")
            self.assertIn(answer.status, (403, 404, 500, 502))
            self.assertNotIn(b"root:", answer.body)
            self.assertNotIn(b"API_KEY", answer.body)

    def test_the_server_does_not_say_more_than_its_name(self):
        for path in ("/", "/health", "/nowhere", "/%00"):
            self.assertIn(self.s.get(path).headers.get("Server"),
                          (None, self.facts["banner"]))


# --- progress, from a stand-in of churns-push -------------------------------------


class Push:
    """Speaks HTTP on churns-push's socket: WebSocket frames and events as a
    test wants them, and keeps the requests it saw."""

    def __init__(self, path, pause):
        self.pause = pause
        self.heads = []
        self.frames = bytearray()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        os.chmod(path, 0o666)
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        with c:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = c.recv(4096)
                if not piece:
                    return
                head += piece
            head = head.decode("latin-1")
            self.heads.append(head)
            try:
                if re.search(r"(?im)^upgrade: websocket\r$", head):
                    self.websocket(c, head)
                else:
                    self.events(c)
            except OSError:
                pass

    def websocket(self, c, head):
        key = re.search(r"(?im)^sec-websocket-key: (\S+)\r$", head).group(1)
        accept = base64.b64encode(hashlib.sha1(
            (key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        c.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                  b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept +
                  b"\r\n\r\n\x81\x05hello")
        for _ in range(4):
            time.sleep(self.pause)
            c.sendall(b"\x89\x00")              # a ping
        c.sendall(b"\x81\x03end")
        while True:
            piece = c.recv(4096)
            if not piece:
                break
            self.frames += piece

    def events(self, c):
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                  b"Cache-Control: no-store\r\nConnection: close\r\n\r\n"
                  b"id: 1\ndata: hello\n\n")
        for _ in range(4):
            time.sleep(self.pause)
            c.sendall(b": ping\n\n")
        c.sendall(b"id: 2\ndata: end\n\n")


class Progress(Case):
    """The read time-out is 2 s here and pings come every second, as 75 and 20
    in earnest."""
    options = {"api": False}
    WS = "/api/v1/ws/" + UNKNOWN
    STREAM = "/api/v1/runs/%s/stream" % UNKNOWN

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.push = Push(os.path.join(cls.s.run_dir, "push.sock"), 1)
        cls.addClassCleanup(cls.push.listener.close)

    @staticmethod
    def edit(text):
        for old, new in (("proxy_read_timeout 75s", "proxy_read_timeout 2s"),
                         ("proxy_send_timeout 75s", "proxy_send_timeout 2s"),
                         ("-timeout\" => 75", "-timeout\" => 2"),
                         ("server.max-read-idle = 60",
                          "server.max-read-idle = 2"),
                         ("server.max-write-idle = 120",
                          "server.max-write-idle = 2"),
                         ("timeout=75", "timeout=2"),
                         ("\tTimeout 120", "\tTimeout 2")):
            text = text.replace(old, new)
        return text

    def setUp(self):
        self.push.heads.clear()
        self.push.frames.clear()

    def connect(self, path, more=""):
        c = socket.create_connection(("127.0.0.1", self.s.port), 10)
        self.addCleanup(c.close)
        c.sendall(("GET %s HTTP/1.1\r\nHost: churns.example\r\n%s\r\n" % (
            path, more)).encode())
        return c, c.makefile("rb")

    UPGRADE = ("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
               "Sec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")

    def head(self, reader):
        lines = []
        while True:
            line = reader.readline()
            if line in (b"\r\n", b""):
                return b"".join(lines).decode("latin-1")
            lines.append(line)

    def test_a_websocket_lives_by_its_pings(self):
        c, reader = self.connect(self.WS + "?after=3", self.UPGRADE +
                                 "Origin: %s\r\n" % ORIGIN)
        began = time.monotonic()
        head = self.head(reader)
        self.assertIn(" 101 ", head)
        self.assertIn("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", head)
        self.assertEqual(reader.read(7), b"\x81\x05hello")
        self.assertLess(time.monotonic() - began, 0.5)
        for _ in range(4):
            self.assertEqual(reader.read(2), b"\x89\x00")
            c.sendall(b"\x8a\x80abcd")          # a pong, as browsers send it
        self.assertEqual(reader.read(5), b"\x81\x03end")
        self.assertGreater(time.monotonic() - began, 3.5)
        c.sendall(b"\x81\x82abcd\x09\x0b")
        wait_until(lambda: self.push.frames == 4 * b"\x8a\x80abcd" +
                   b"\x81\x82abcd\x09\x0b", 5, "the client's frames")
        self.assertIn("GET %s?after=3 HTTP/1.1" % self.WS, self.push.heads[0])
        self.assertRegex(self.push.heads[0], "(?im)^origin: " + ORIGIN)
        self.assertRegex(self.push.heads[0], "(?im)^host: churns.example")

    def test_events_are_not_held_back(self):
        _, reader = self.connect(self.STREAM + "?after=1", "Last-Event-ID: 1\r\n"
                                 "Accept: text/event-stream\r\n")
        began = time.monotonic()
        head = self.head(reader)
        self.assertIn("text/event-stream", head)
        chunked = "chunked" in head.lower()
        text = b""
        while b"hello" not in text:
            text += reader.readline()
        self.assertLess(time.monotonic() - began, 0.5)
        while b"end" not in text:
            text += reader.readline()
        self.assertGreater(time.monotonic() - began, 3.5)
        self.assertEqual(text.count(b": ping"), 4)
        if chunked:
            reader.readline()
            self.assertEqual(reader.read(5)[-5:].strip(), b"0")
        self.assertRegex(self.push.heads[0], "(?im)^last-event-id: 1\r$")

    def test_who_the_client_is_is_not_the_clients_word(self):
        for path, more in ((self.WS, self.UPGRADE), (self.STREAM, "")):
            _, reader = self.connect(path, more + "X-Forwarded-For: 1.2.3.4\r\n"
                                     "X-Real-IP: 1.2.3.4\r\n"
                                     "Forwarded: for=1.2.3.4\r\n"
                                     "X-Remote-User: admin\r\n"
                                     "Authorization: Bearer t\r\n")
            self.head(reader)
            seen = self.push.heads.pop()
            self.assertNotIn("1.2.3.4", seen)
            self.assertNotIn("admin", seen)
            self.assertRegex(seen, "(?im)^x-forwarded-for: 127.0.0.1\r$")
            self.assertRegex(seen, "(?im)^authorization: Bearer t\r$")

    def test_no_other_upgrade_is_let_through(self):
        for path in (self.WS, self.STREAM):
            for kind in ("h2c", "tls/1.0"):
                _, reader = self.connect(
                    path, "Connection: Upgrade\r\nUpgrade: %s\r\n" % kind)
                self.assertIn(" 200 ", self.head(reader))
                self.assertNotRegex(self.push.heads.pop(), "(?im)^upgrade:")

    def test_only_these_two_go_there(self):
        """Everything else is churns-api's, which is not there in this class."""
        for path in ("/api/v1/ws", "/api/v1/runs/stream", "/api/v1/runs/x/streams",
                     "/api/v1/runs/x/y/stream", "/api/v1/runs/x/stream/"):
            self.assertEqual(self.s.get(path).status, self.facts["gone"], path)
        self.assertEqual(self.push.heads, [])

    def test_nobody_there(self):
        here = os.path.join(self.s.run_dir, "push.sock")
        os.rename(here, here + "-")
        try:
            for path in (self.WS, self.STREAM):
                self.refused(self.s.get(path, Origin=TUNNEL),
                             self.facts["gone"], TUNNEL)
        finally:
            os.rename(here + "-", here)
        wait_until(lambda: " 200 " in self.head(self.connect(self.STREAM)[1]),
                   2.5, "churns-push to be asked again", 0.2)


# --- the whole service ---------------------------------------------------------------


class Keyed:
    """Clients that submit with a key each and repeat until they are answered:
    however the service is treated meanwhile, each key is one run."""

    def __init__(self, s, clients=8):
        self.s = s
        self.stop = threading.Event()
        self.answers = {}       # key -> run id
        self.refusals = []      # statuses and exceptions on the way
        self.strange = []
        self.slowest = 0.0
        self.threads = [threading.Thread(target=self.work)
                        for _ in range(clients)]

    def work(self):
        while not self.stop.is_set():
            key = str(uuid.uuid4())
            while key not in self.answers:
                self.attempt(key)

    def attempt(self, key):
        began = time.monotonic()
        try:
            answer = self.s.post_form(
                "/api/v1/runs", {"platform_name": PLATFORM, "prompt": "tart"},
                headers={"Idempotency-Key": key})
            if answer.status == 200:
                self.answers[key] = answer.json["id"]
            else:
                self.refusals.append(answer.status)
                if answer.status not in (500, 502, 503, 504):
                    self.strange.append(answer)
                time.sleep(0.05)
        except (OSError, http.client.HTTPException) as e:
            self.refusals.append(type(e).__name__)
            time.sleep(0.05)
        self.slowest = max(self.slowest, time.monotonic() - began)

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for t in self.threads:
            t.join()


class Whole(Case):
    options = {"runner": True, "sim": True,
               "env": {"CHURNS_API_OPERATORS": "127.0.0.1/32"}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.photo = cls.s.photo()
        cls.run_ = cls.s.submit(image=cls.photo, num_variants="1")
        cls.done = cls.s.wait(cls.run_["id"])
        cls.file = "/api/v1/files/%s/input_%s" % (
            cls.run_["id"], cls.done["image_filename"])

    def get(self, path, **headers):
        return self.s.get(path, Origin=ORIGIN, **headers)

    def test_the_server_accepts_its_configuration(self):
        import subprocess
        flag = {"lighttpd": "-tt"}.get(self.server, "-t")
        done = subprocess.run(self.s.web_command(flag), capture_output=True,
                              text=True, timeout=20, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotRegex(done.stderr, r"(?i)warn|\[error")
        with open(self.s.web_conf, encoding="utf-8") as f:
            self.assertNotRegex(f.read(), "@[A-Z_]+@")

    @unittest.skipUnless(os.geteuid() == 0, "only root can be somebody else")
    def test_the_server_is_not_root_and_sees_no_more_than_it_must(self):
        import pwd
        import subprocess
        uid = pwd.getpwnam("www-data").pw_uid
        pids = subprocess.run(["pgrep", "-g", str(self.s.processes["web"].pid)],
                              capture_output=True, text=True, check=True)
        uids = {os.stat("/proc/" + p).st_uid for p in pids.stdout.split()}
        self.assertIn(uid, uids)
        for path in (self.s.data + "/db", self.s.data + "/uploads",
                     self.s.env_file):
            done = subprocess.run(
                ["setpriv", "--reuid", str(uid), "--regid", str(uid),
                 "--clear-groups", "cat" if os.path.isfile(path) else "ls", path],
                capture_output=True, check=False)
            self.assertNotEqual(done.returncode, 0, path)

    def test_the_page(self):
        page = self.s.get("/", Accept="text/html,*/*;q=0.8")
        self.assertEqual(page.status, 200)
        self.assertEqual(page.headers["Content-Type"],
                         "text/html; charset=utf-8")
        self.assertIn(b"<title>Churns</title>", page.body)
        self.assertIn("default-src 'self'",
                      page.headers["Content-Security-Policy"])
        for name, value in (("X-Content-Type-Options", "nosniff"),
                            ("X-Frame-Options", "DENY"), ("Vary", "Accept"),
                            ("Referrer-Policy", "no-referrer"),
                            ("Cache-Control", "no-cache")):
            self.assertEqual(page.headers.get_all(name), [value])
        for path, kind in (("/churns.css", "text/css; charset=utf-8"),
                           ("/recent.js", "text/javascript; charset=utf-8")):
            answer = self.s.get(path)
            self.assertEqual(answer.headers["Content-Type"], kind)
            again = self.s.get(path, If_None_Match=answer.headers["ETag"])
            self.assertEqual((again.status, again.body), (304, b""))
        for accept in ("application/json", "application/json, text/plain, */*"):
            self.assertEqual(self.s.get("/", Accept=accept).json["message"],
                             "Churns API")
        self.assertEqual(self.s.request("HEAD", "/").body, b"")

    def test_what_is_not_there(self):
        for path in ("/nowhere", "/nowhere/", "/nowhere.css", "/.hidden",
                     "/.git/config", "/errors", "/errors/", "/errors/404.html",
                     "/churns-files/", "/churns-files/%s/pipeline_metadata.json"
                     % self.run_["id"], "/index.html/x", "/api/v1/nowhere"):
            with self.subTest(path=path):
                self.refused(self.get(path), 404)
        self.assertEqual(self.s.request("PUT", "/churns.css", b"x").status, 404)
        answer = self.s.request("DELETE", "/health", None, {"Origin": ORIGIN})
        self.refused(answer, 405)
        self.assertIn("GET", answer.headers["Allow"])

    def test_tricks_with_paths(self):
        """Whatever it is taken for, nothing outside is given out."""
        run = self.run_["id"]
        for path in (
                "/../../../../etc/passwd", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
                "/..%2f..%2f..%2fetc/passwd", "/.%2e/.%2e/etc/passwd",
                "//etc/passwd", "/etc/passwd", "/\\..\\..\\etc\\passwd",
                "/%5c..%5c..%5cetc%5cpasswd", "/;/etc/passwd",
                "/churns.css/../../../../etc/passwd", "/errors/..%2f..%2fx",
                "//churns-files//%s/x" % run, "/%%63hurns-files/%s/x" % run,
                "/x/../churns-files/%s/x" % run, "/churns-files;x/%s" % run,
                "/api/v1/files/%s/../../../db/churns.sqlite" % run,
                "/api/v1/files/%s/%%2e%%2e/%%2e%%2e/db/churns.sqlite" % run,
                "/api/v1/files/%s/..;/..;/db/churns.sqlite" % run,
                "/api/v1/files/%s//etc/passwd" % run,
                "/api/v1/files/../../settings.env", "/%00", "/churns.css%00.png",
                "/a%0d%0aX-Injected:%20yes", "/%ff%fe", "/%zz"):
            with self.subTest(path=path):
                answer = self.raw("GET %s HTTP/1.1\r\nHost: x\r\n"
                                  "Connection: close\r\n\r\n" % path)
                self.assertIn(answer.status, (400, 403, 404))
                self.assertEqual(answer.headers["Content-Type"],
                                 "application/json")
                self.assertTrue(json.loads(answer.body)["detail"])
                self.assertNotIn("X-Injected", answer.headers)
        for path in ("//api/v1/runs", "/api//v1/runs", "/api/v1/runs;x",
                     "/x/../api/v1/runs", "/api/v1/./runs"):
            answer = self.raw("GET %s HTTP/1.1\r\nHost: x\r\n"
                              "Connection: close\r\n\r\n" % path)
            self.assertIn(answer.status, (400, 404), path)

    def test_a_strange_host_is_not_believed(self):
        answer = self.raw("GET /health/ HTTP/1.1\r\nHost: evil.example\r\n"
                          "X-Forwarded-Host: evil.example\r\n"
                          "Connection: close\r\n\r\n")
        self.assertEqual(answer.status, 307)
        self.assertEqual(answer.headers["Location"], "/health")
        for path in ("/errors", "/errors/..", "/"):
            answer = self.raw("GET %s HTTP/1.1\r\nHost: evil.example\r\n"
                              "Connection: close\r\n\r\n" % path)
            self.assertNotIn(b"evil.example", answer.body)
            self.assertNotIn("evil", str(answer.headers))

    def test_a_run_from_submission_to_picture(self):
        run = self.run_["id"]
        self.assertEqual(self.done["status"], "COMPLETED")
        for path in ("/api/v1/runs", "/api/v1/runs/"):
            answer = self.get(path + "?page=1&page_size=100")
            self.assertIn(run, [r["id"] for r in answer.json["runs"]])
            self.readable(answer)
        self.assertEqual(self.get("/api/v1/runs/%s/status" % run).json["status"],
                         "COMPLETED")
        results = self.get("/api/v1/runs/%s/results" % run)
        self.readable(results)
        picture = self.get("/api/v1/files/%s/%s" % (
            run, results.json["generated_images"][0]["image_path"]))
        self.assertEqual(picture.body[:8], b"\x89PNG\r\n\x1a\n")
        self.assertEqual(picture.headers["Content-Type"], "image/png")
        self.assertGreater(len(self.s.events(run)), 5)

    def test_a_large_upload_is_kept_byte_by_byte(self):
        data = png(20 * MIB)
        run = self.s.submit(image=data)
        answer = self.get("/api/v1/files/%s/input_tart.jpg" % run["id"])
        self.assertEqual(hashlib.sha256(answer.body).hexdigest(),
                         hashlib.sha256(data).hexdigest())
        self.s.request("POST", "/api/v1/runs/%s/cancel" % run["id"], b"")

    def test_files(self):
        whole = self.get(self.file)
        self.assertEqual((whole.status, whole.body), (200, self.photo))
        self.assertEqual(whole.headers["Content-Length"], str(len(self.photo)))
        self.assertIn("attachment", whole.headers["Content-Disposition"])
        self.assertIn("private", whole.headers["Cache-Control"])
        self.assertEqual(len(whole.headers.get_all("X-Request-Id")), 1)
        self.readable(whole)
        etag, size = whole.headers["ETag"], len(self.photo)
        modified = whole.headers["Last-Modified"]
        for name in ("X-Sendfile", "X-Accel-Redirect"):
            self.assertNotIn(name, whole.headers)
        for headers, status, body in (
                ({"Range": "bytes=0-9"}, 206, self.photo[:10]),
                ({"Range": "bytes=10-"}, 206, self.photo[10:]),
                ({"Range": "bytes=-5"}, 206, self.photo[-5:]),
                ({"Range": "bytes=%d-" % (size - 1)}, 206, self.photo[-1:]),
                ({"Range": "bytes=0-%d" % (10 * size)}, 206, self.photo),
                ({"Range": "lines=1-2"}, 200, self.photo),
                ({"Range": "bytes=0-9", "If-Range": etag}, 206, self.photo[:10]),
                ({"Range": "bytes=0-9", "If-Range": '"x"'}, 200, self.photo),
                ({"If-None-Match": etag}, 304, b""),
                ({"If-None-Match": '"x", ' + etag}, 304, b""),
                ({"If-None-Match": "*"}, 304, b""),
                ({"If-None-Match": '"x"'}, 200, self.photo),
                ({"If-Modified-Since": modified}, 304, b"")):
            with self.subTest(headers=headers):
                answer = self.s.request("GET", self.file, headers=dict(
                    headers, Origin=ORIGIN))
                self.assertEqual(answer.status, status)
                self.assertTrue(answer.body == body)
                self.readable(answer)
                self.assertEqual(answer.headers.get_all(
                    "X-Content-Type-Options"), ["nosniff"])
                if status == 206:
                    self.assertRegex(answer.headers["Content-Range"],
                                     r"^bytes \d+-\d+/%d$" % size)
        head = self.s.request("HEAD", self.file, headers={"Origin": ORIGIN})
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.headers["Content-Length"], str(size))
        self.readable(head)

    def test_a_range_outside_the_file(self):
        for spec in ("bytes=%d-" % len(self.photo), "bytes=99999999999-"):
            answer = self.get(self.file, Range=spec)
            self.refused(answer, 416)
            self.assertEqual(answer.headers["Content-Range"],
                             "bytes */%d" % len(self.photo))

    def test_many_ranges_are_no_weapon(self):
        spec = "bytes=" + ",".join("0-" for _ in range(300))
        answer = self.get(self.file, Range=spec)
        self.assertLess(len(answer.body), 3 * len(self.photo))

    def test_a_file_that_vanished(self):
        run = self.s.submit(image=png(1000))
        name = self.s.run(run["id"])["image_filename"]
        os.unlink(os.path.join(self.s.data, "runs", run["id"],
                               "input_" + name))
        self.refused(self.get("/api/v1/files/%s/input_%s" % (
            run["id"], name)), 404)

    def test_pages_elsewhere_may_read_every_answer(self):
        for method, path, body, headers, status in (
                ("GET", "/health", None, {}, 200),
                ("GET", "/api/v1/runs", None, {}, 200),
                ("GET", "/api/v1/runs?page=0", None, {}, 422),
                ("GET", "/api/v1/runs/" + UNKNOWN, None, {}, 404),
                ("GET", "/api/v1/files/%s/x.png" % UNKNOWN, None, {}, 404),
                ("PUT", "/api/v1/runs", b"x", {}, 405),
                ("POST", "/api/v1/runs", b"prompt=" + b"x" * (3 * MIB),
                 {"Content-Type": "application/x-www-form-urlencoded"}, 413),
                ("POST", "/api/v1/runs", b"x", {"Content-Type": "x/y"}, 422),
                ("GET", "/api/v1/status/", None, {}, 307),
                ("OPTIONS", "/api/v1/runs", None, {
                    "Access-Control-Request-Method": "DELETE",
                    "Access-Control-Request-Headers":
                        "ngrok-skip-browser-warning"}, 200),
                ("OPTIONS", self.file, None, {
                    "Access-Control-Request-Method": "GET"}, 200),
                ("OPTIONS", "/", None, {
                    "Access-Control-Request-Method": "GET"}, 200)):
            with self.subTest(method=method, path=path):
                answer = self.s.request(method, path, body, dict(
                    headers, Origin=ORIGIN))
                self.assertEqual(answer.status, status, answer)
                self.readable(answer)
                self.assertEqual(len(answer.headers.get_all("X-Request-Id")), 1)

    def test_the_request_id(self):
        self.assertEqual(self.s.get("/health", X_Request_Id="abc-1").headers[
            "X-Request-Id"], "abc-1")
        self.assertEqual(self.s.get(self.file, X_Request_Id="abc-2").headers[
            "X-Request-Id"], "abc-2")

    def test_only_operators_see_the_figures(self):
        for path in ("/metrics", "/health/executor-stats"):
            for source, status in (("127.0.0.1", 200), ("127.0.0.77", 403)):
                answer = self.raw(
                    "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                    "X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\n"
                    "Forwarded: for=127.0.0.1\r\n\r\n" % path, (source, 0))
                self.assertEqual(answer.status, status, (path, source))

    def test_200_clients_that_stay(self):
        """Each connection is used again and again; none waits for ever.  A
        server may close one between requests, and the client comes back."""
        clients, requests = 200, 10
        unserved, took, reopened = [], [], []

        def client(number):
            c = http.client.HTTPConnection("127.0.0.1", self.s.port, timeout=60)
            for n in range(requests):
                began = time.monotonic()
                for last in (n == 0, True):
                    try:
                        c.request("GET", "/api/v1/runs?page_size=1"
                                  if number % 2 else "/health")
                        answer = c.getresponse()
                        answer.read()
                        if answer.status != 200:
                            unserved.append(answer.status)
                        break
                    except (http.client.RemoteDisconnected,
                            ConnectionError) as e:
                        (unserved if last else reopened).append(repr(e))
                        c.close()
                    except (OSError, http.client.HTTPException) as e:
                        unserved.append(repr(e))
                        c.close()
                        break
                took.append(time.monotonic() - began)
            c.close()
        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            list(pool.map(client, range(clients)))
        self.assertEqual(unserved, [])
        self.assertEqual(len(took), clients * requests)
        self.assertLess(len(reopened), clients)
        print("%s: 200 clients, %d requests, none unserved, %d reconnected, "
              "slowest %.2f s" % (self.server, len(took), len(reopened),
                                  max(took)))

    def disturb(self, what):
        """Submissions go on while something happens; nothing is lost, and
        nothing is there twice."""
        before = len(self.s.sql("SELECT id FROM runs"))
        with Keyed(self.s) as load:
            time.sleep(0.5)
            what()
            time.sleep(0.5)
        rows = {r["id"] for r in self.s.sql("SELECT id FROM runs")}
        self.assertEqual(load.strange, [])
        self.assertLessEqual(set(load.answers.values()), rows)
        self.assertEqual(len(rows), before + len(load.answers))
        self.assertEqual(len(set(load.answers.values())), len(load.answers))
        self.assertGreater(len(load.answers), 50)
        print("%s: %d submissions kept, %d attempts refused, slowest %.2f s" % (
            self.server, len(load.answers), len(load.refusals), load.slowest))
        return load

    def test_restarting_the_api_loses_nothing(self):
        def restart():
            for how in (signal.SIGTERM, signal.SIGKILL):
                self.s.kill("api", how)
                self.s.start("api")
                time.sleep(0.3)
        load = self.disturb(restart)
        self.assertLess(load.slowest, 15)

    def test_restarting_the_web_server_loses_nothing(self):
        def restart():
            for how in (signal.SIGTERM, signal.SIGKILL):
                group = self.s.processes["web"].pid
                self.s.kill("web", how)
                try:
                    os.killpg(group, how)
                except ProcessLookupError:
                    pass
                self.s.start("web")
        load = self.disturb(restart)
        self.assertLess(load.slowest, 15)

    def test_reloading_the_web_server_refuses_nobody(self):
        def reload():
            for _ in range(3):
                os.kill(self.s.processes["web"].pid, self.facts["reload"])
                time.sleep(0.5)
        load = self.disturb(reload)
        self.assertEqual(load.refusals, [])


class Live(Case):
    """Runs followed through the server, from the true churns-push."""
    options = {"runner": True, "sim": True, "push": True,
               "env": {"CHURNS_PUSH_MAX_PER_ADDRESS": "0"}}

    def setUp(self):
        self.s.sim("POST", "/sim/reset")
        self.s.script(latency_ms=100)
        self.where = ("127.0.0.1", self.s.port)

    def socket(self, run_id, after=0, **more):
        return Socket(self.s, run_id, after, where=self.where, **more)

    def check_whole(self, run_id, got):
        """All of it, in order, once, as the API tells it."""
        told = self.s.events(run_id)
        self.assertEqual([m["seq"] for m in got],
                         list(range(1, len(told) + 1)))
        self.assertEqual([m["data"] for m in got], [m["data"] for m in told])

    def test_a_run_as_it_happens(self):
        """The first stage is seen while the run is still young."""
        run_id = self.s.submit(num_variants="2")["id"]
        with self.socket(run_id) as ws, Stream(
                self.s, run_id, 0, where=self.where) as stream:
            first = ws.event()
            self.assertNotIn(self.s.run(run_id)["status"], ("COMPLETED",))
            self.assertEqual(first["data"]["stage_name"], "image_eval")
            got = [first] + [m for m in ws.until(is_end) if m["type"] != "ping"]
            told = [e["message"] for e in stream.until(is_end)]
        self.check_whole(run_id, got)
        self.check_whole(run_id, [m for m in told if m["type"] != "ping"])
        self.assertEqual(self.s.run(run_id)["status"], "COMPLETED")

    def test_origins(self):
        run_id = self.s.submit()["id"]
        # The last is the host that was asked: its name has to get through.
        for origin in (ORIGIN, TUNNEL, "http://localhost"):
            headers = [("Origin", origin)]
            with Socket(self.s, run_id, where=self.where,
                        headers=headers) as ws:
                self.assertEqual(ws.message()["type"], "ping")
            with Stream(self.s, run_id, where=self.where,
                        headers=headers) as stream:
                self.assertEqual(stream.status, 200)
        with self.assertRaises(Refused) as refused:
            Socket(self.s, run_id, where=self.where,
                   headers=[("Origin", "http://evil.example")])
        self.assertEqual(refused.exception.status, 403)

    def follow_through(self, run_id, again, disturb):
        """Follow to the end, coming back with the last number whenever it is
        cut; disturb(n) after the n-th event; how often it was cut."""
        got, cuts, follower = [], 0, None
        end = time.monotonic() + 60
        while not got or not is_end(got[-1]):
            self.assertLess(time.monotonic(), end)
            try:
                follower = follower or again(got[-1]["seq"] if got else 0)
                m = follower.event(20)
            except (OSError, Refused):
                time.sleep(0.05)
                continue
            if m is None:
                cuts += 1
                follower.s.close()
                follower = None
                continue
            m = m.get("message", m)
            if "seq" in m:
                got.append(m)
                disturb(len(got))
        follower.s.close()
        self.check_whole(run_id, got)
        return cuts

    def test_whatever_is_restarted_nothing_is_missed(self):
        for name in ("push", "web"):
            for how in (signal.SIGTERM, signal.SIGKILL):
                for kind in (Socket, Stream):
                    with self.subTest(name=name, how=how, kind=kind.__name__):
                        self.restart(name, how, kind)

    def restart(self, name, how, kind):
        run_id = self.s.submit()["id"]

        def disturb(n):
            if n == 4:
                group = self.s.processes[name].pid
                # Apache waits ten seconds for open sockets before it ends.
                self.s.kill(name, how, 20)
                try:
                    os.killpg(group, how)
                except ProcessLookupError:
                    pass
                self.s.start(name)
        cuts = self.follow_through(run_id, lambda after: kind(
            self.s, run_id, after, where=self.where), disturb)
        self.assertGreaterEqual(cuts, 1)

    def test_200_followers(self):
        """Of ten runs; each sees all of its own, and one that does not read
        holds up nobody."""
        runs = [self.s.submit()["id"] for _ in range(10)]
        lazy = self.socket(runs[0])
        self.addCleanup(lazy.cut)
        followers = [(runs[i % 10], self.socket(runs[i % 10]))
                     for i in range(200)]
        began = time.monotonic()
        for run_id, ws in followers:
            got = [m for m in ws.until(is_end, 60) if m["type"] != "ping"]
            self.check_whole(run_id, got)
            ws.close()
            ws.s.close()
        print("%s: 200 followers of 10 runs, all of it seen %.1f s after the "
              "last came" % (self.server, time.monotonic() - began))


def per_server():
    """Wire_nginx, Whole_apache and so on."""
    for base in (Wire, Progress, Whole, Live):
        for name in FACTS:
            title = "%s_%s" % (base.__name__, name)
            globals()[title] = type(title, (base,), {
                "server": name, "__module__": __name__, "__doc__": base.__doc__})


per_server()


def load_tests(loader, _, __):
    suite = unittest.TestSuite()
    for name, thing in sorted(globals().items()):
        if isinstance(thing, type) and issubclass(thing, Case) and thing.server:
            suite.addTest(loader.loadTestsFromTestCase(thing))
    return suite


if __name__ == "__main__":
    unittest.main()
