"""What the overview of the API document says of all routes alike, held against
the running server: methods, slashes, origins, limits, the web server's answers.
"""
import os
import re
import socket
import subprocess
import unittest

from openapi import served
from stack import PLATFORM, SRC, Stack, multipart, wait_until

ORIGIN = "http://localhost:3000"
UNKNOWN = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
TOO_MANY = "&".join(["a"] * 101)    # in a query: no operation takes it
MIB = 1024 * 1024


def png_of(size):
    """A file that begins like a PNG."""
    return (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (640).to_bytes(4, "big") +
            (480).to_bytes(4, "big") + b"\x08\x02\0\0\0" + b"x" * size)


class Rules(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = Stack()
        cls.s.__enter__()
        cls.addClassCleanup(cls.s.__exit__, None, None, None)
        cls.document = served(cls.s)
        cls.paths = {}
        for op in cls.document.operations():
            if op.served_by == "churns-api":
                cls.paths.setdefault(op.path, set()).add(op.method.upper())

    @staticmethod
    def url(path):
        return path.replace("{run_id}", UNKNOWN).replace("{file_path}", "x.png")

    @staticmethod
    def allowed(methods):
        order = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]
        known = methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
        return [m for m in order if m in known]

    def listed(self, answer):
        return [m.strip() for m in answer.headers["Allow"].split(",")]

    def test_the_routes_of_the_program_are_those_of_the_document(self):
        with open(os.path.join(SRC, "src/api/routes.c"), encoding="utf-8") as f:
            text = f.read()
        rows = re.findall(r'\{ METHOD_([A-Z]+), "([^"]+)",\s*\w+', text)
        self.assertGreater(len(rows), 15)
        shape = lambda path: re.sub(r"\{[^}]*\}", "{}", path)
        program = {(method, shape(path)) for method, path in rows}
        self.assertEqual(program, {
            (method, shape(path)) for path, methods in self.paths.items()
            for method in methods})

    def test_other_methods_are_405_and_told_which_there_are(self):
        for path, methods in self.paths.items():
            for method in {"GET", "POST", "PUT", "DELETE", "PATCH"} - methods:
                with self.subTest(path=path, method=method):
                    if path == "/" and method != "POST":
                        continue    # the page for people answers there
                    answer = self.s.request(method, self.url(path), b"", {
                        "Accept": "application/json"})
                    self.assertEqual(answer.status, 405, answer)
                    self.assertEqual(self.listed(answer), self.allowed(methods))
                    self.assertEqual(answer.json, {
                        "detail": "Method Not Allowed"})

    def test_options_tell_the_methods(self):
        for path, methods in self.paths.items():
            with self.subTest(path=path):
                answer = self.s.request("OPTIONS", self.url(path))
                self.assertEqual(answer.status, 204, answer)
                self.assertEqual(self.listed(answer), self.allowed(methods))

    def test_head_is_get_without_its_body(self):
        for path, methods in self.paths.items():
            if "GET" not in methods:
                continue
            with self.subTest(path=path):
                accept = {"Accept": "application/json"}
                get = self.s.request("GET", self.url(path), headers=accept)
                head = self.s.request("HEAD", self.url(path), headers=accept)
                self.assertEqual(head.status, get.status)
                self.assertEqual(head.body, b"")
                self.assertEqual(head.headers["Content-Type"],
                                 get.headers["Content-Type"])

    def test_a_slash_too_many_is_redirected(self):
        for path in self.paths:
            if path in ("/", "/api/v1/runs", "/api/v1/runs/") or \
                    "{file_path}" in path or path == "/openapi.json":
                continue
            with self.subTest(path=path):
                answer = self.s.get(self.url(path) + "/?a=1")
                self.assertEqual(answer.status, 307, answer)
                self.assertEqual(answer.headers["Location"],
                                 self.url(path) + "?a=1")

    def test_preflights(self):
        for path, methods in self.paths.items():
            for origin, status in ((ORIGIN, 200), ("http://evil.example", 400)):
                with self.subTest(path=path, origin=origin):
                    answer = self.s.request("OPTIONS", self.url(path), headers={
                        "Origin": origin,
                        "Access-Control-Request-Method": min(methods),
                        "Access-Control-Request-Headers": "idempotency-key"})
                    self.assertEqual(answer.status, status, answer)
                    if status == 200:
                        told = answer.headers["Access-Control-Allow-Methods"]
                        for method in methods:
                            self.assertIn(method, told)

    def test_unknown_paths_are_404(self):
        for path in ("/nowhere", "/api/v1/nowhere", "/api/v2/runs"):
            answer = self.s.get(path)
            self.assertEqual(answer.status, 404)
            self.assertEqual(answer.json, {"detail": "Not Found"})

    def test_the_limits_are_those_of_the_overview(self):
        """Each row of its table, just beyond."""
        table = self.document.node["info"]["description"]
        tart = [("platform_name", PLATFORM), ("prompt", "tart")]
        deep = '{"a":' * 33 + "1" + "}" * 33
        for row, fields, files, status in (
                ("| reference picture | 50 MiB", [],
                 [("image_file", "x.png", "image/png", png_of(50 * MIB))], 400),
                ("| one field of text | 1 MiB | 400", [
                    ("x", "x" * (MIB + 1))], [], 400),
                ("| all fields of text together | 4 MiB | 413", [
                    ("x%d" % i, "x" * MIB) for i in range(5)], [], 413),
                ("| fields, files of a form | 100, 4 | 400", [
                    ("x%d" % i, "x") for i in range(99)], [], 400),
                ("| fields, files of a form | 100, 4 | 400", [], [
                    ("f%d" % i, "x", "image/png", b"x") for i in range(5)], 400),
                ("| 64 KiB, 2000 values, 32 levels | 400", [
                    ("template_overrides", '{"a": "%s"}' % ("x" * 65536))],
                 [], 400),
                ("| 64 KiB, 2000 values, 32 levels | 400", [
                    ("template_overrides", '{"a": [%s1]}' % ("1," * 2000))],
                 [], 400),
                ("| 64 KiB, 2000 values, 32 levels | 400", [
                    ("template_overrides", deep)], [], 400)):
            with self.subTest(row=row, fields=len(fields), files=len(files)):
                self.assertIn(row, table)
                kind, body = multipart(tart + fields, files)
                answer = self.s.request("POST", "/api/v1/runs", body,
                                        {"Content-Type": kind})
                self.assertEqual(answer.status, status, answer)
        self.assertIn("| path, query | 2047 bytes, 8192 bytes and 100 fields |",
                      table)
        for path in ("/" + "x" * 2047, "/health?" + TOO_MANY):
            self.assertEqual(self.s.get(path).status, 400)
        self.assertEqual(len(self.s.get("/api/v1/runs").json["runs"]), 0)

    def test_what_the_web_server_answers_has_our_shape(self):
        def raw(request):
            with socket.create_connection(("127.0.0.1", self.s.port)) as c:
                c.sendall(request)
                c.settimeout(10)
                data = b""
                while b"\r\n\r\n" not in data or b"}" not in data[-4:]:
                    more = c.recv(65536)
                    if not more:
                        break
                    data += more
            head, _, body = data.partition(b"\r\n\r\n")
            return int(head.split()[1]), head.decode("latin-1"), body
        for request, statuses in (
                # nginx takes it for an empty one, and the API misses its fields.
                (b"POST /api/v1/runs HTTP/1.1\r\nHost: x\r\n\r\n", (411, 422)),
                (b"POST /api/v1/runs HTTP/1.1\r\nHost: x\r\nContent-Length: "
                 b"99999999999\r\n\r\n", (413,)),
                (b"GET /api/v1/runs HTTP/1.1\r\nHost: x\r\nX: " +
                 b"x" * 70000 + b"\r\n\r\n", (400, 431)),
                (b"GET /api/v1/runs HTTP/1.1\r\n\r\n", (400,))):
            with self.subTest(request=request[:40]):
                status, head, body = raw(request)
                self.assertIn(status, statuses)
                self.assertIn("application/json", head)
                self.assertIn(b'"detail"', body)

    def test_without_churns_the_web_server_says_so(self):
        with Stack(api=False) as s:
            wait_until(lambda: s.connects(s.port), 10, "the web server")
            answer = s.get("/api/v1/runs", Origin=ORIGIN)
            self.assertIn(answer.status, (502, 503, 504))
            self.assertIn("detail", answer.json)
            self.assertEqual(answer.headers["Access-Control-Allow-Origin"],
                             ORIGIN)

    def test_a_fault_in_the_document_stops_the_start(self):
        with Stack(web=False, api=False) as s:
            path = os.path.join(s.conf, "openapi.yml")
            with open(path, encoding="utf-8") as f:
                text = f.read()
            line = text.count("\n") + 1
            with open(path, "a", encoding="utf-8") as f:
                f.write('x-more: { $ref: "#/nowhere" }\n')
            done = subprocess.run(s.command("api"), env=s.environment(),
                                  capture_output=True, text=True, timeout=30,
                                  check=False)
            self.assertEqual(done.returncode, 78)
            self.assertIn("openapi.yml:%d: the reference #/nowhere leads "
                          "nowhere" % line, done.stderr)

    def test_lists_in_the_document_are_those_of_this_server(self):
        schemas = self.document.node["components"]["schemas"]
        self.assertEqual(schemas["PlatformName"]["enum"], [
            p["name"] for p in self.s.get("/api/v1/config/platforms").json[
                "platforms"]])
        self.assertEqual(schemas["TaskType"]["enum"], self.s.get(
            "/api/v1/config/task-types").json["task_types"])


if __name__ == "__main__":
    unittest.main()
