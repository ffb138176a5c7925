"""GET /metrics: figures in a form that a scraper takes, exact over all workers
and their replacements, and true to the database."""
import concurrent.futures
import fcntl
import os
import signal
import struct
import time
import unittest

from prometheus import Malformed, parse
from stack import Stack, wait_until

HTTP = "churns_http_request_duration_seconds"
RUNS = {"method": "POST", "route": "/api/v1/runs"}


class Case(unittest.TestCase):
    options = {}

    def setUp(self):
        self.s = Stack(**self.options)
        self.s.__enter__()
        self.addCleanup(self.s.__exit__, None, None, None)

    def metrics(self):
        answer = self.s.get("/metrics")
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.headers["Content-Type"],
                         "text/plain; version=0.0.4; charset=utf-8")
        return parse(answer.body.decode("utf-8"))

    def workers(self):
        pid = self.s.processes["api"].pid
        with open("/proc/%d/task/%d/children" % (pid, pid),
                  encoding="ascii") as f:
            return [int(p) for p in f.read().split()]


class TheReader(unittest.TestCase):
    """A reader that takes everything would prove nothing."""

    def test_what_it_takes(self):
        families = parse(
            '# HELP a_total A.\n# TYPE a_total counter\n'
            'a_total{x="1",y="q\\"\\\\\\n"} 3\na_total 1e3\n'
            '# HELP h_seconds H.\n# TYPE h_seconds histogram\n'
            'h_seconds_bucket{le="0.5"} 1\nh_seconds_bucket{le="+Inf"} 2\n'
            'h_seconds_sum 0.7\nh_seconds_count 2\n')
        self.assertEqual(families["a_total"].values(x="1"), [3])
        self.assertEqual(families["a_total"].labels()[0]["y"], 'q"\\\n')

    def test_what_it_refuses(self):
        head = "# HELP a_total A.\n# TYPE a_total counter\n"
        hist = "# HELP h H.\n# TYPE h histogram\n"
        for text in (
                head + "a_total 1",                     # no newline
                "a_total 1\n",                          # not announced
                head + "a_total one\n", head + "a_total 1 x\n",
                head + "b_total 1\n", head + "a_total -1\n",
                head + 'a_total{x="1} 1\n', head + 'a_total{x="\\q"} 1\n',
                head + 'a_total{x="1",x="2"} 1\n', head + "a_total{} 1\n",
                head + "a_total 1\na_total 2\n",
                head + 'a_total{x="1",y="2"} 1\na_total{y="2",x="1"} 1\n',
                head + head, "# TYPE a_total counter\na_total 1\n",
                "# HELP a_total A.\na_total 1\n", "# a comment\n",
                "# HELP a A.\n# TYPE a counter\na 1\n",
                "# HELP a_ms A.\n# TYPE a_ms gauge\na_ms 1\n",
                hist + 'h_bucket{le="1"} 1\nh_sum 1\nh_count 1\n',
                hist + 'h_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\n'
                       'h_sum 1\nh_count 1\n',
                hist + 'h_bucket{le="+Inf"} 1\nh_sum 1\nh_count 2\n'):
            with self.subTest(text=text):
                self.assertRaises(Malformed, parse, text)


class Requests(Case):
    def count(self, metrics, status="2xx", **labels):
        return metrics[HTTP].total("_count", status=status, **labels)

    def test_counters_are_exact_and_outlive_workers(self):
        self.s.submit()
        before = self.metrics()
        posts = gets = 0

        def work(n):
            return [(self.s.submit()["id"],
                     self.s.get("/api/v1/runs?page_size=1").status)
                    for _ in range(n)]
        for end in ("kill", "reload", None):
            with concurrent.futures.ThreadPoolExecutor(6) as pool:
                for done in pool.map(work, [10] * 6):
                    posts += len(done)
                    gets += len(done)
            old = self.workers()
            if end == "kill":
                for pid in old:
                    os.kill(pid, signal.SIGKILL)
            elif end == "reload":
                self.s.processes["api"].send_signal(signal.SIGHUP)
            if end:
                wait_until(lambda: len(self.workers()) == 2 and
                           not set(old) & set(self.workers()), 10,
                           "new workers")
                self.s.wait_healthy()
        after = self.metrics()

        def grown(**labels):
            return self.count(after, **labels) - self.count(before, **labels)
        self.assertEqual(grown(**RUNS), posts)
        self.assertEqual(grown(method="GET", route="/api/v1/runs"), gets)
        self.assertEqual(after["churns_runs"].total(status="PENDING"),
                         posts + 1)
        self.assertEqual(after["churns_jobs"].total(state="PENDING"),
                         posts + 1)
        ended = "churns_api_workers_ended_total"
        self.assertEqual(after[ended].total(how="signal"), 2)
        self.assertGreaterEqual(after[ended].total(how="exit"), 2)
        self.assertEqual(after["churns_api_workers_started_total"].total(), 6)
        # The histogram gives the quantile that the health page tells.
        took = self.s.get("/health/executor-stats").json["post_runs"]
        self.assertEqual(took["count"], self.count(after, **RUNS))
        buckets = sorted(
            (float(dict(k[1])["le"]), v)
            for k, v in after[HTTP].samples.items()
            if k[0].endswith("_bucket") and
            dict(k[1])["route"] == RUNS["route"] and
            dict(k[1])["method"] == "POST")
        p95 = next(end for end, n in buckets if n >= .95 * took["count"])
        self.assertAlmostEqual(took["p95_ms"], p95 * 1000)
        print("p95 of %d POSTs: %g ms" % (took["count"], took["p95_ms"]))

    def test_labels_are_bounded_whatever_is_asked(self):
        self.metrics()
        self.metrics()      # it counts itself from now on
        before = set(self.metrics()[HTTP].samples)
        for i in range(30):
            self.s.get("/nowhere/%d" % i)
            self.s.get("/api/v1/runs/%d" % i)
            self.s.get("/api/v1/files/%d/x%d?y=%d" % (i, i, i))
        new = {tuple(sorted((k, v) for k, v in dict(labels).items()
                            if k != "le"))
               for _, labels in set(self.metrics()[HTTP].samples) - before}
        self.assertEqual(len(new), 3, new)

    def test_waits_for_the_database(self):
        self.s.submit()
        before = self.metrics()["churns_store_busy_waits_total"].total(
            role="api")
        turn = next(n for n in os.listdir(os.path.join(self.s.data, "db"))
                    if n.endswith(".turn"))
        with open(os.path.join(self.s.data, "db", turn), "r+b") as f, \
                concurrent.futures.ThreadPoolExecutor(1) as pool:
            # The first byte is the turn to write (src/store/turn.c).
            fcntl.fcntl(f, fcntl.F_OFD_SETLKW, struct.pack(
                "hhlli", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0))
            post = pool.submit(self.s.submit)
            time.sleep(0.4)
            self.metrics()      # reading goes on meanwhile
            fcntl.fcntl(f, fcntl.F_OFD_SETLK, struct.pack(
                "hhlli", fcntl.F_UNLCK, os.SEEK_SET, 0, 1, 0))
            post.result(5)
        after = self.metrics()
        self.assertGreaterEqual(
            after["churns_store_busy_waits_total"].total(role="api"),
            before + 1)
        self.assertGreaterEqual(
            max(after["churns_store_longest_wait_seconds"].values(
                role="api")), 0.2)
        self.assertGreater(after["churns_queue_oldest_wait_seconds"].total(),
                           0.3)

    def test_every_process_is_there(self):
        def both():
            rss = self.metrics()["churns_process_resident_memory_bytes"]
            return rss if len(rss.values(role="api")) == 2 else None
        rss = wait_until(both, 5, "two workers")
        pids = {int(x["pid"]) for x in rss.labels()}
        self.assertEqual(pids, set(self.workers()))
        for x in rss.labels():
            with open("/proc/%s/statm" % x["pid"], encoding="ascii") as f:
                real = int(f.read().split()[1]) * 4096
            told = rss.values(pid=x["pid"])[0]
            self.assertLess(abs(told - real), 8 * 1024 * 1024)


class ForOperators(Case):
    options = {"env": {"CHURNS_API_OPERATORS": "192.0.2.0/24"}}

    def test_others_are_refused(self):
        for path in ("/metrics", "/health/executor-stats"):
            answer = self.s.request("GET", path, headers={
                "X-Forwarded-For": "192.0.2.1", "X-Real-IP": "192.0.2.1",
                "Remote-Addr": "192.0.2.1"})
            self.assertEqual(answer.status, 403)
            self.assertIn("operators", answer.json["detail"])
        self.assertEqual(self.s.get("/health").status, 200)


class Providers(Case):
    options = {"runner": True, "sim": True, "env": {
        "LLM_MAX_RETRIES": "2", "CHURNS_CALLS_RETRY_BASE_MS": "20",
        "CHURNS_CALLS_RETRY_CAP_MS": "40"}}

    def test_calls_and_money_are_those_of_the_ledger(self):
        self.s.script(0, {"fault": "status", "status": 500, "times": 2})
        for _ in range(3):
            self.assertEqual(self.s.wait(self.s.submit(
                num_variants="2")["id"])["status"], "COMPLETED")
        rows = self.s.sql(
            "SELECT provider, model, count(*) AS n,"
            " sum(state = 'ANSWERED') AS answered, sum(state = 'FAILED') AS"
            " failed, sum(cost_nano) AS nano, sum(prompt_tokens) AS prompt,"
            " sum(image_out_tokens) AS pictures"
            " FROM model_calls GROUP BY provider, model")
        self.assertGreater(sum(r["failed"] for r in rows), 0)
        calls = "churns_provider_calls_total"

        def told():
            m = self.metrics()
            return m if m[calls].total() == sum(r["n"] for r in rows) else None
        m = wait_until(told, 6, "a heartbeat of the runner")
        for r in rows:
            of = {"provider": r["provider"], "model": r["model"]}
            for family, value in (
                    (calls, r["n"]),
                    ("churns_provider_answers_total", r["answered"]),
                    ("churns_provider_failures_total", r["failed"]),
                    ("churns_provider_calls_in_flight", 0)):
                self.assertEqual(m[family].total(**of), value, (family, of))
            self.assertAlmostEqual(
                m["churns_provider_cost_dollars_total"].total(**of),
                r["nano"] / 1e9, places=9)
            tokens = m["churns_provider_tokens_total"]
            self.assertEqual(tokens.total(kind="prompt", **of), r["prompt"])
            self.assertEqual(tokens.total(kind="image_output", **of),
                             r["pictures"])
        runner = str(self.s.processes["runner"].pid)
        self.assertEqual({x["pid"] for x in m[calls].labels()}, {runner})
        self.assertEqual(m["churns_provider_circuit"].total(), 0)
        self.assertEqual(m["churns_runs"].total(status="COMPLETED"), 3)
        self.assertEqual(m["churns_jobs"].total(), 0)
        self.assertGreater(m["churns_http_client_connections_total"].total(
            pid=runner), 0)

    def test_a_provider_that_is_down_opens_its_circuit(self):
        self.s.script(0, {"fault": "status", "status": 500, "times": -1})
        for _ in range(3):
            self.s.submit(num_variants="1")

        def is_open():
            m = self.metrics()
            return m["churns_provider_circuit"].total(
                provider="openrouter") > 0 and m
        m = wait_until(is_open, 15, "the circuit to open")
        self.assertGreaterEqual(m["churns_provider_failures_total"].total(
            provider="openrouter", fault="server"), 8)


if __name__ == "__main__":
    unittest.main()
