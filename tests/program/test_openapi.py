"""conf/openapi.yml held against the running server, operation by operation and
answer by answer.

Walk provokes every status that the document declares and holds headers and body
against their schemas; a status that nobody provokes fails it, as does an answer
that is not declared. What is described in words (methods, slashes, origins,
limits) is in test_openapi_rules.py, live progress in test_openapi_push.py, the
page made from the document and the shell lines in it in test_docs.py; whether the
document itself is sound and agrees with the specification, in
test_openapi_document.py.
"""
import base64
import concurrent.futures
import fcntl
import json
import os
import re
import signal
import unittest
import urllib.parse
import uuid

from openapi import served
from stack import PLATFORM, Stack, multipart, wait_until

ORIGIN = "http://localhost:3000"
UNKNOWN = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
TOO_MANY = "&".join(["a"] * 101)    # in a query: no operation takes it
# Locks of SQLite's WAL index, and the part of it that says whether it is whole.
WAL_WRITE, WAL_RECOVER, WAL_HEADER_BYTES = 120, 122, 48
TURN_WRITE = 0                  # byte of the store's side file: the turn to write
LOCK_WAIT_MS = 300
JSON = {"Accept": "application/json"}
# What pages of other origins may read without being told so, and what is for the
# browser alone.
SAFE_HEADERS = {"cache-control", "content-length", "content-type",
                "last-modified", "content-security-policy"}
NOT_WALKED = {
    # (operationId, status): why it cannot be provoked here
}
# Schemas that are open on purpose: places where a member more is no fault.
OPEN = {
    "getOpenapiJson": (r"\..*", ""),
    "getExecutorStats": (r"\.processes\[\*\].*",),
    "createRun": (r"\.template_overrides.*",),
    "getRun": (r"\.template_overrides.*", r"\.unified_brief.*"),
}


def png_of(size):
    return (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (640).to_bytes(4, "big") +
            (480).to_bytes(4, "big") + b"\x08\x02\0\0\0" + b"x" * size)


class Asked:
    """The cases: what to ask for a status of an operation."""
    cases = {}

    @classmethod
    def case(cls, operation, status):
        def keep(function):
            cls.cases.setdefault((operation, status), []).append(function)
            return function
        return keep


case = Asked.case


class Walk(unittest.TestCase):
    """One long test with subtests, since its last word is about all of them."""
    web = "lighttpd"

    def setUp(self):
        self.provoked = set()
        self.loose = []

    def test_every_declared_answer_is_given_and_is_as_described(self):
        with Stack(runner=True, sim=True, web=self.web, env={
                "CHURNS_STORE_LOCK_WAIT_MS": str(LOCK_WAIT_MS)}) as s:
            self.s = s
            self.document = served(s)
            self.by_id = {op.id: op for op in self.document.operations()
                          if op.served_by == "churns-api"}
            self.prepare()
            self.ordinary()
            self.broken_database()
            self.busy_writing()
            self.no_runner()
            self.busy_reading()
        with Stack(web=self.web, env={
                        "CHURNS_API_SENDFILE": "direct",
                        "CHURNS_API_OPERATORS": "192.0.2.1"}) as s:
            self.s = s
            self.sent_by_us()
            for name in ("getMetrics", "getExecutorStats"):
                self.expect(self.by_id[name], 403, self.ask(self.by_id[name]))
        self.last_word()

    # --- asking ------------------------------------------------------------

    def prepare(self):
        """Runs in all states, to be asked about."""
        s = self.s
        kit = ('{"colors": [{"hex": "#F4C430", "role": "primary"}], '
               '"logo_file_base64": "none"}')
        self.done = s.submit(
            image=s.photo(), num_variants="2", apply_branding="true",
            brand_kit=kit, render_text="true", language="EN",
            task_description='"Two for one"', template_overrides='{"a": 1}',
            unified_brief='{"intentType": "defaultEdit", "generalBrief": "tart"}'
        )["id"]
        self.plain = s.submit(prompt="flat white")["id"]
        s.script(0, {"fault": "status", "status": 500, "times": -1,
                     "contains": "no such thing"})
        self.assertEqual(s.wait(self.done)["status"], "COMPLETED")
        self.assertEqual(s.wait(self.plain)["status"], "COMPLETED")
        # One picture of two, with warnings; and a run that fails altogether.
        s.script(0, {"kind": "generate_content", "fault": "policy", "times": 1})
        self.half = s.submit(prompt="half", num_variants="2")["id"]
        self.assertEqual(s.wait(self.half)["status"], "COMPLETED")
        s.script(0, {"kind": "chat", "schema": "image_generation_prompt",
                     "contains": "INDEX: 0", "fault": "policy", "times": -1})
        self.dropped = s.submit(prompt="dropped", num_variants="2")["id"]
        self.assertEqual(s.wait(self.dropped)["status"], "COMPLETED")
        s.script(0, {"kind": "generate_content", "fault": "policy",
                     "times": -1})
        self.failed = s.submit(prompt="failed", num_variants="1")["id"]
        self.assertEqual(s.wait(self.failed)["status"], "FAILED")
        s.script(60000)
        self.running = s.submit(prompt="slow", num_variants="1")["id"]
        # It now waits for its first answer, and nothing of it changes any more.
        wait_until(lambda: any(
            e["data"]["stage_name"] == "strategy"
            for e in s.events(self.running)), 20, "the first call")
        self.picture = s.results(self.done)["generated_images"][0]["image_path"]

    def url(self, op, query="", **values):
        path = op.path
        values = dict({"run_id": self.done, "file_path": self.picture}, **values)
        for name, value in values.items():
            path = path.replace("{%s}" % name, value)
        return path + ("?" + query if query else "")

    def ask(self, op, query="", headers=None, body=None, method=None, **values):
        if body is None and op.method == "post":
            body = b""
        return self.s.request(
            method or op.method.upper(), self.url(op, query, **values), body,
            dict({"Origin": ORIGIN}, **(headers or {})))

    def expect(self, op, status, answer):
        """The answer is the one provoked, and is as the document says."""
        with self.subTest(operation=op.id, status=status):
            self.assertEqual(answer.status, status, answer)
            faults = self.document.answer_faults(op, answer)
            self.assertEqual(faults, [], "%s answers %d" % (op, status))
            if answer.headers.get("X-Request-Id"):
                self.assertEqual(answer.headers.get(
                    "Access-Control-Allow-Origin"), ORIGIN)
                self.exposed(op, answer)
            self.strict(op, answer)
            self.provoked.add((op.id, str(status)))

    def exposed(self, op, answer):
        """What the document tells readers, a page of another origin can see."""
        told = {n.strip().lower() for n in answer.headers[
            "Access-Control-Expose-Headers"].split(",")}
        for name in op.responses[str(answer.status)].get("headers", {}):
            if name in answer.headers and name.lower() not in SAFE_HEADERS:
                self.assertIn(name.lower(), told)

    def strict(self, op, answer):
        """One member more or less would not have passed."""
        content = op.responses[str(answer.status)].get("content", {})
        schema = content.get("application/json", {}).get("schema")
        kind = answer.headers.get("Content-Type") or ""
        if schema is None or not kind.startswith("application/json") or \
                (op.id, answer.status) in {p[:2] for p in self.loose}:
            return
        self.loose.append((op.id, answer.status,) + self.document.looseness(
            schema, answer.json, OPEN.get(op.id, ())))

    # --- what can be asked of a healthy server --------------------------------

    def ordinary(self):
        for op in self.by_id.values():
            self.expect(op, 400, self.ask(op, TOO_MANY, headers=JSON))
            if "404" in op.responses:
                self.expect(op, 404, self.ask(op, run_id=UNKNOWN))
                self.expect(op, 404, self.ask(op, run_id="not-an-id"))
            if "304" in op.responses:
                first = self.ask(op)
                self.expect(op, 200, first)
                self.expect(op, 304, self.ask(op, headers={
                    "If-None-Match": first.headers["ETag"]}))
                self.expect(op, 200, self.ask(op, headers={
                    "If-None-Match": '"other"'}))
        for (name, status), asks in Asked.cases.items():
            for ask in asks:
                self.expect(self.by_id[name], status,
                            ask(self, self.by_id[name]))

    # --- what needs a fault ----------------------------------------------------

    def broken_database(self):
        """The tables are gone: our fault, and no detail leaves the house."""
        self.s.kill("runner", signal.SIGTERM)
        tables = ("runs", "jobs", "processes")
        for table in tables:
            self.s.write_sql("ALTER TABLE %s RENAME TO %s_away" % (table, table))
        try:
            for op in self.by_id.values():
                if "500" in op.responses:
                    answer = self.submit_small() if op.id == "createRun" else \
                        self.ask(op)
                    self.expect(op, 500, answer)
                    self.assertNotIn(b"table", answer.body)
            ready = self.by_id["getReady"]
            self.expect(ready, 503, self.ask(ready))
        finally:
            for table in tables:
                self.s.write_sql("ALTER TABLE %s_away RENAME TO %s" % (
                    table, table))

    def submit_small(self, key=None):
        return self.s.post_form(
            "/api/v1/runs", {"platform_name": PLATFORM, "prompt": "tart"},
            headers=dict({"Origin": ORIGIN}, **(
                {"Idempotency-Key": key} if key else {})))

    def busy_writing(self):
        """Another process has the turn to write and keeps it."""
        before = len(self.s.sql("SELECT id FROM runs"))
        with open(self.turn_file(), "r+b") as f:
            fcntl.lockf(f, fcntl.LOCK_EX, 1, TURN_WRITE)
            for op in self.by_id.values():
                if "503" in op.responses and op.method != "get":
                    self.expect(op, 503, self.submit_small()
                                if op.id == "createRun" else
                                self.ask(op, run_id=self.running))
        self.assertEqual(len(self.s.sql("SELECT id FROM runs")), before)

    def turn_file(self):
        folder = os.path.join(self.s.data, "db")
        names = [n for n in os.listdir(folder)
                 if not re.search(r"sqlite(-wal|-shm)?$", n)]
        self.assertEqual(len(names), 1, names)
        return os.path.join(folder, names[0])

    def no_runner(self):
        ready = self.by_id["getReady"]
        wait_until(lambda: self.ask(ready).status == 503, 20,
                   "the runner to be missed")
        self.expect(ready, 503, self.ask(ready))

    def busy_reading(self):
        """Another process is recovering the log after a crash, and takes its
        time: until then nobody can read."""
        path = os.path.join(self.s.data, "db", "churns.sqlite-shm")
        asked = [op for op in self.by_id.values()
                 if "503" in op.responses and op.method == "get"]
        with open(path, "r+b", buffering=0) as f:
            for lock in (WAL_WRITE, WAL_RECOVER):
                fcntl.lockf(f, fcntl.LOCK_EX, 1, lock)
            header = os.pread(f.fileno(), WAL_HEADER_BYTES, 0)
            os.pwrite(f.fileno(), bytes(b ^ 0xff for b in header), 0)
            try:
                with concurrent.futures.ThreadPoolExecutor(4) as pool:
                    answers = list(pool.map(self.ask, asked))
            finally:
                os.pwrite(f.fileno(), header, 0)
        for op, answer in zip(asked, answers):
            self.expect(op, 503, answer)

    # --- files that churns-api sends itself --------------------------------------

    def sent_by_us(self):
        """The same answers without the help of a web server, and 412."""
        s = self.s
        self.done = s.submit(image=png_of(5000))["id"]
        self.picture = "input_tart.jpg"
        op = self.by_id["getRunFile"]
        whole = self.ask(op)
        self.expect(op, 200, whole)
        self.expect(op, 206, self.ask(op, headers={"Range": "bytes=0-9"}))
        self.expect(op, 416, self.ask(op, headers={"Range": "bytes=999999-"}))
        self.expect(op, 304, self.ask(op, headers={
            "If-None-Match": whole.headers["ETag"]}))
        self.expect(op, 412, self.ask(op, headers={"If-Match": '"other"'}))

    # --- the last word ------------------------------------------------------------

    def last_word(self):
        declared = {(op.id, status) for op in self.by_id.values()
                    for status in op.responses}
        for (name, status), reason in NOT_WALKED.items():
            print("not walked: %s %s: %s" % (name, status, reason))
            self.assertIn((name, status), declared)
            self.assertNotIn((name, status), self.provoked)
        missing = declared - self.provoked - set(NOT_WALKED)
        self.assertEqual(sorted(missing), [], "declared, but nobody provokes it")
        for name, status, more, less in self.loose:
            with self.subTest(operation=name, status=status):
                self.assertEqual(more, set(), "a surplus member passes")
                self.assertEqual({m for m in less if not OPTIONAL.fullmatch(m)},
                                 set(), "a missing one passes")
        print("walked through %s: %d operations, %d answers" % (
            self.web, len(self.by_id), len(self.provoked)))


class WalkThroughNginx(Walk):
    web = "nginx"


# Members that the document says may be absent, where an answer had them.
OPTIONAL = re.compile(
    r".*(errors|warnings\[\*\]\.variant_index|error_details\.stage|"
    r"assessment_scores\.noise_and_grain_impact|assessment_(scores|justification)"
    r"\.(subject_preservation|text_rendering_quality)|\.dropped)")


# --- the cases: 200 and what is refused ---------------------------------------------

@case("createRun", 200)
def _(w, op):
    return w.submit_small()


@case("createRun", 200)
def _(w, op):
    """The second answer to a key is the first, said so."""
    key = str(uuid.uuid4())
    first = w.submit_small(key)
    w.expect(op, 200, first)
    w.assertNotIn("Idempotency-Replayed", first.headers)
    again = w.submit_small(key)
    w.assertEqual(again.headers["Idempotency-Replayed"], "true")
    w.assertEqual(again.body, first.body)
    return again


@case("createRun", 200)
def _(w, op):
    kind, body = multipart(
        [("platform_name", PLATFORM), ("template_overrides", '{"a": [1]}'),
         ("preset_type", "INPUT_TEMPLATE"), ("adaptation_prompt", "x"),
         ("mode", "custom_mode")],
        [("image_file", "a b.png", "text/plain", png_of(100))])
    return w.ask(op, body=body, headers={"Content-Type": kind})


JSON_BODY = {"Content-Type": "application/json"}


def sent_as_json(w, op, body):
    return w.ask(op, body=json.dumps(body).encode(), headers=JSON_BODY)


@case("createRun", 200)
def _(w, op):
    return sent_as_json(w, op, {
        "platform_name": PLATFORM, "prompt": "tart", "num_variants": 1,
        "render_text": False, "task_type": None, "unknown": [1, {}],
        "brand_kit": {"colors": [{"hex": "#fff", "role": "primary"}]},
        "template_overrides": {"a": 1}, "image_file": {
            "filename": "x.png",
            "data": base64.b64encode(png_of(100)).decode()}})


@case("createRun", 400)
def _(w, op):
    return sent_as_json(w, op, {"platform_name": "Nowhere"})


@case("createRun", 413)
def _(w, op):
    return sent_as_json(w, op, {"platform_name": [1] * 5000})


for _body in ([], {"platform_name": 1}, {"image_file": {"data": "?"}},
              {"platform_name": PLATFORM, "prompt": 5, "num_variants": "x"}):
    case("createRun", 422)(lambda w, op, b=_body: sent_as_json(w, op, b))
case("createRun", 422)(lambda w, op: w.ask(op, body=b"{", headers=JSON_BODY))


def form(w, op, **fields):
    return w.ask(op, body=urllib.parse.urlencode(fields).encode(), headers={
        "Content-Type": "application/x-www-form-urlencoded"})


@case("createRun", 400)
def _(w, op):
    answer = form(w, op, platform_name="Nowhere", num_variants="9",
                  creativity_level="4", language="xx", task_type="9. None",
                  mode="hard_mode", preset_id="x", brand_kit="[",
                  unified_brief='{"intentType": "none"}')
    w.assertEqual(len({e["field"] for e in answer.json["errors"]}), 10)
    return answer


@case("createRun", 400)
def _(w, op):
    return w.ask(op, body=b"--x", headers={
        "Content-Type": "multipart/form-data; boundary=AaB"})


@case("createRun", 400)
def _(w, op):
    return w.submit_small("k" * 201)


@case("createRun", 413)
def _(w, op):
    return form(w, op, platform_name=PLATFORM, prompt="x" * (2 * 1024 * 1024))


@case("createRun", 422)
def _(w, op):
    answer = form(w, op, num_variants="many", render_text="perhaps")
    w.assertEqual(len(answer.json["detail"]), 3)
    return answer


@case("createRun", 422)
def _(w, op):
    """A key that was used for something else."""
    key = str(uuid.uuid4())
    w.submit_small(key)
    return w.ask(op, body=b"platform_name=x&prompt=y".replace(
        b"x", urllib.parse.quote_plus(PLATFORM).encode()), headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "Idempotency-Key": key})


@case("createRun", 422)
def _(w, op):
    return w.ask(op, body=b"x", headers={"Content-Type": "text/plain"})


for _name in ("listRuns", "listRunsWithSlash"):
    for _query in ("", "page=2&page_size=1", "status=FAILED",
                   "mode=easy_mode&page_size=100", "mode=none", "page=1000000",
                   "cursor=", "q=TART&page_size=1", "platform=none",
                   "created_from=2026-01-01&created_to=2026-01-01T00:00:00Z"):
        case(_name, 200)(lambda w, op, q=_query: w.ask(op, q))
    for _query in ("page=0", "page=x", "page_size=0", "page_size=101",
                   "status=", "status=DONE", "page=1000001", "cursor=x",
                   "q=" + 201 * "x", "created_from=x", "created_to=2026-13-01"):
        case(_name, 422)(lambda w, op, q=_query: w.ask(op, q))


    @case(_name, 200)
    def _(w, op):
        first = w.ask(op, "page_size=1&mode=easy_mode")
        answer = w.ask(op, "cursor=%s&page_size=1" % first.json["next_cursor"])
        w.assertIsNone(answer.json["page"])
        return answer


def each_run(name, status=200):
    """Runs in all the states there are."""
    for state in ("done", "plain", "half", "dropped", "failed", "running"):
        case(name, status)(lambda w, op, s=state: w.ask(
            op, run_id=getattr(w, s)))


each_run("getRun")
each_run("getRunStatus")
each_run("listRunEvents")

for _state in ("done", "plain", "half", "dropped"):
    case("getRunResults", 200)(lambda w, op, s=_state: w.ask(
        op, run_id=getattr(w, s)))
for _state in ("failed", "running"):
    case("getRunResults", 400)(lambda w, op, s=_state: w.ask(
        op, run_id=getattr(w, s)))


@case("getRunResults", 404)
def _(w, op):
    """The run is there, its file is not."""
    run_id = w.s.submit(prompt="x")["id"]
    w.s.write_sql("UPDATE runs SET status = 'COMPLETED', completed_ms = 1 "
                  "WHERE id = '%s'" % run_id)
    return w.ask(op, run_id=run_id)


@case("getRunResults", 500)
def _(w, op):
    """The file is there, but is not what we wrote."""
    run_id = w.s.submit(prompt="x")["id"]
    w.s.write_sql("UPDATE runs SET status = 'COMPLETED', completed_ms = 1 "
                  "WHERE id = '%s'" % run_id)
    folder = os.path.join(w.s.data, "runs", run_id)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "pipeline_metadata.json"), "w",
              encoding="utf-8") as f:
        f.write("{")
    return w.ask(op, run_id=run_id)


case("listRunEvents", 200)(lambda w, op: w.ask(op, "after=3&limit=2"))
case("listRunEvents", 200)(lambda w, op: w.ask(op, "after=100000"))
for _query in ("after=-1", "after=x", "limit=0", "limit=501"):
    case("listRunEvents", 422)(lambda w, op, q=_query: w.ask(op, q))


@case("deleteRun", 204)
def _(w, op):
    run_id = w.s.submit(prompt="deleted")["id"]
    w.ask(w.by_id["cancelRun"], run_id=run_id)
    return w.ask(op, run_id=run_id)


case("deleteRun", 409)(lambda w, op: w.ask(op, run_id=w.running))


@case("cancelRun", 200)
def _(w, op):
    return w.ask(op, run_id=w.done)


@case("cancelRun", 200)
def _(w, op):
    """One that runs: its event is told, and as described."""
    run_id = w.s.submit(prompt="cancelled")["id"]
    answer = w.ask(op, run_id=run_id)
    events = w.by_id["listRunEvents"]
    w.expect(events, 200, w.ask(events, run_id=run_id))
    w.assertEqual(w.s.events(run_id)[-1]["data"]["error_details"],
                  {"type": "cancelled"})
    for name in ("getRun", "getRunStatus"):
        w.expect(w.by_id[name], 200, w.ask(w.by_id[name], run_id=run_id))
    return answer


for _file in (None, "input_tart.jpg", "pipeline_metadata.json"):
    case("getRunFile", 200)(lambda w, op, f=_file: w.ask(
        op, file_path=f or w.picture))
case("getRunFile", 206)(lambda w, op: w.ask(op, headers={
    "Range": "bytes=0-99"}))
case("getRunFile", 416)(lambda w, op: w.ask(op, headers={
    "Range": "bytes=999999999-"}))
case("getRunFile", 403)(lambda w, op: w.ask(
    op, file_path="a/..%2f..%2f..%2fx.png"))
for _file in ("none.png", "calls", "a/b/c.png"):
    case("getRunFile", 404)(lambda w, op, f=_file: w.ask(op, file_path=f))

case("getRoot", 200)(lambda w, op: w.ask(op, headers={
    "Accept": "application/json"}))
case("getRoot", 200)(lambda w, op: w.s.get("/", Accept="text/html"))
for _name in ("getHealth", "getReady", "getExecutorStats", "getApiStatus"):
    case(_name, 200)(lambda w, op: w.ask(op))
@case("getMetrics", 200)
def _(w, op):
    """Every figure of the document is there, and every line is a sample."""
    answer = w.ask(op)
    w.assertEqual(answer.headers["Content-Type"],
                  "text/plain; version=0.0.4; charset=utf-8")
    text = answer.body.decode()
    for name in re.findall(r"`(churns_\w+)`", op.node["description"]):
        w.assertIn("# TYPE %s " % name, text)
    for line in text.splitlines():
        w.assertRegex(line, r"^(# (HELP|TYPE) churns_\w+ .+|churns_\w+"
                      r"(\{\w+=\"[^\"]*\"(,\w+=\"[^\"]*\")*\})? [0-9.e+-]+)$")
    return answer


case("getRedoc", 307)(lambda w, op: w.ask(op))


if __name__ == "__main__":
    unittest.main()
