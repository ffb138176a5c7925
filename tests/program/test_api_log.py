"""The log of churns-api: one valid line per event, whatever a client sends,
with the request it belongs to and nothing of what was said in it."""
import json
import os
import unittest
import urllib.parse
import uuid

from fastcgi import Request
from stack import PLATFORM, Stack, multipart, wait_until

LINE_MAX = 4096
KEYS = {"request", "method", "route", "path", "status", "bytes", "us"}


class Case(unittest.TestCase):
    options = {}

    @classmethod
    def setUpClass(cls):
        cls.s = Stack(**cls.options)
        cls.s.__enter__()
        cls.addClassCleanup(cls.s.__exit__, None, None, None)

    def direct(self, method, uri, headers=None):
        """Past lighttpd, which would refuse much of what is tried here."""
        return Request(os.path.join(self.s.run_dir, "api.sock"), method, uri,
                       headers).finish()

    def raw_lines(self):
        with open(self.s.logs["api"], "rb") as f:
            return f.read().split(b"\n")[:-1]


class Json(Case):
    options = {"env": {"CHURNS_LOG_FORMAT": "json", "LOG_LEVEL": "debug"}}

    def lines(self):
        """Every line so far, each valid, none too long."""
        out = []
        for line in self.raw_lines():
            self.assertLess(len(line) + 1, LINE_MAX + 1)
            out.append(json.loads(line.decode("utf-8")))
        return out

    def of(self, request_id):
        return wait_until(lambda: [
            x for x in self.lines() if isinstance(x["fields"], dict) and
            x["fields"].get("request") == request_id and
            x["event"] == "request"], 5, "the line of " + request_id)[0]

    def test_a_request_is_told_with_its_route(self):
        run_id = self.s.submit()["id"]
        answer = self.s.get("/api/v1/runs/%s?secret=LEMON" % run_id)
        line = self.of(answer.headers["X-Request-Id"])
        self.assertEqual(line["level"], "info")
        fields = line["fields"]
        self.assertEqual(set(fields), KEYS | {"run"})
        self.assertEqual(
            (fields["method"], fields["route"], fields["path"],
             fields["status"], fields["run"], fields["bytes"]),
            ("GET", "/api/v1/runs/{run_id}", "/api/v1/runs/" + run_id, "200",
             run_id, str(len(answer.body))))
        self.assertGreater(int(fields["us"]), 0)
        nowhere = self.of(self.s.get("/nowhere").headers["X-Request-Id"])
        self.assertEqual(nowhere["fields"]["route"], "-")
        self.assertNotIn("LEMON", self.s.log("api"))

    def test_lines_stay_valid_whatever_is_sent(self):
        nasty = '\n{"level":"error"}\r\x1b[2J"\\\t\x7f\u202e'
        for method, path in (
                ("GET", nasty), ("GET", "\udcff\udcfe"), ("GET", "x" * 1900),
                ("GE\nT\x1b[31m", "/a"), ("P" * 3000, "/a"), ("", "/a")):
            uri = "/" + urllib.parse.quote(
                path.encode("utf-8", "surrogateescape"), safe="")
            made = str(uuid.uuid4())
            status = self.direct(method, uri, {
                "X-Request-Id": made, "Origin": nasty, "Accept": nasty,
                "If-None-Match": nasty})[0]
            self.assertIn(status, (404, 405))
            fields = self.of(made)["fields"]
            self.assertEqual(set(fields), KEYS)
            if path == nasty:
                self.assertEqual(fields["path"], "/" + nasty)
        for theirs in (nasty, "", "x" * 65, "a b"):
            _, headers, _ = self.direct("GET", "/nowhere",
                                        {"X-Request-Id": theirs})
            self.assertNotEqual(headers["x-request-id"], theirs)
            self.of(str(uuid.UUID(headers["x-request-id"])))
        for line in self.lines():
            self.assertEqual((set(line), line["program"]), (
                {"time", "level", "program", "event", "fields"},
                "churns-api"))

    def test_every_line_of_a_request_names_it(self):
        made = "post-" + uuid.uuid4().hex
        answer = self.s.post_form(
            "/api/v1/runs", {"platform_name": PLATFORM, "prompt": "tart"},
            headers={"X-Request-Id": made})
        self.assertEqual(answer.status, 200)
        self.of(made)
        mine = [x for x in self.lines() if isinstance(x["fields"], dict) and
                x["fields"].get("request") == made]
        self.assertEqual({x["event"] for x in mine},
                         {"executor used", "request"})
        executors = {e["id"] for p in self.s.get(
            "/health/executor-stats").json["processes"]
            for e in p["executors"].values()}
        for line in mine:
            if line["event"] == "executor used":
                self.assertEqual(line["level"], "debug")
                self.assertIn(line["fields"]["executor_id"], executors)
            else:
                self.assertEqual(line["fields"]["run"], answer.json["id"])

    def test_a_failure_of_ours_names_its_request(self):
        run_id = self.s.submit()["id"]
        folder = os.path.join(self.s.data, "runs", run_id)
        os.makedirs(folder)
        with open(os.path.join(folder, "pipeline_metadata.json"), "w",
                  encoding="ascii") as f:
            f.write("{")
        os.chmod(folder, 0o755)
        self.s.write_sql("UPDATE runs SET status = 'COMPLETED' WHERE id = '%s'"
                         % run_id)
        answer = self.s.get("/api/v1/runs/%s/results" % run_id)
        self.assertEqual(answer.status, 500)
        self.of(answer.headers["X-Request-Id"])
        mine = [x["event"] for x in self.lines()
                if isinstance(x["fields"], dict) and
                x["fields"].get("request") == answer.headers["X-Request-Id"]]
        self.assertEqual(mine, ["request failed", "request"])

    def test_nothing_of_a_body_is_logged(self):
        secret = "LEMON" + uuid.uuid4().hex
        ctype, body = multipart(
            [("platform_name", PLATFORM), ("prompt", secret),
             ("num_variants", secret), ("language", secret)])
        self.assertEqual(self.s.request(
            "POST", "/api/v1/runs?q=" + secret, body,
            {"Content-Type": ctype, "Authorization": "Bearer " + secret,
             "Idempotency-Key": secret, "Cookie": secret}).status, 422)
        self.assertNotIn(secret, self.s.log("api"))


class Text(Case):
    def test_lines_cannot_be_forged(self):
        made = uuid.uuid4().hex
        self.direct("GET", "/%0a2026-01-01T00:00:00Z%20error%1b%5b2J%22%ff",
                    {"X-Request-Id": made})
        line = wait_until(lambda: [x for x in self.raw_lines()
                                   if made.encode() in x], 5, "the line")[0]
        self.assertTrue(line.decode("utf-8").isprintable())
        self.assertIn(b'path="/\\n2026-01-01T00:00:00Z error\\x1b[2J\\"\\xff"',
                      line)


if __name__ == "__main__":
    unittest.main()
