"""Requests that are meant to hurt: each gets its clear answer, and the workers
stay as small as they were."""
import os
import subprocess
import unittest
import urllib.parse

from stack import PLATFORM, Stack, multipart


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


if __name__ == "__main__":
    unittest.main()
