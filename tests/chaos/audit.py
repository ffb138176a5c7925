"""The conservation law: what must be true after everything was killed.

A World is what was left: the database, the files, the journal of the harness,
the log of churns-sim.  A law is a generator over it that yields a Violation for
each thing that must not be; law() puts it into LAWS, which is all there is to
adding one.  Laws look at rows and files with means of their own (Python's
sqlite3 and zlib), not with the programs under test.
"""
import collections
import json
import os
import re
import sqlite3
import struct
import zlib

from journal import read

TERMINAL = ("COMPLETED", "FAILED", "CANCELLED")
ENDS = ("run_complete", "run_error")
UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")

# In a run's directory, as documented: what was sent in, the pictures, the
# document, the frozen order.
KNOWN_FILES = re.compile(r"^(input_.*|logo\..*|pipeline_metadata\.json|"
                         r".*_image_strategy_\d+_\d+\.\w+)$")

Violation = collections.namedtuple("Violation", "law run text")

LAWS = []


def law(function):
    LAWS.append(function)
    return function


class Run:
    """A row with all that hangs on it."""

    def __init__(self, row):
        self.row = row
        self.id = row["id"]
        self.deleted = row["deleted_ms"] > 0
        self.jobs, self.events, self.calls = [], [], []
        self.stages = {}        # job id -> rows


class World:
    def __init__(self, data, journal_path, sim_log_path, planned,
                 ordered_pids=()):
        self.data = data
        self.planned = planned      # names of the stages of a generation
        self.ordered_pids = set(ordered_pids)
        self.journal = read(journal_path)
        self.db = sqlite3.connect(os.path.join(data, "db", "churns.sqlite"))
        self.db.row_factory = sqlite3.Row
        self.load_rows()
        self.load_posts()
        self.load_sim(sim_log_path)
        self.unknowns = []          # filled by the laws of the ledger
        self.orphans = []           # directories without a row
        self.pictures = 0
        self.named = collections.defaultdict(set)   # run -> its pictures
        self.unnamed = []           # pictures that no result names

    def living(self):
        """Runs that were not deleted; of those little is left to be judged."""
        return [r for r in self.runs.values() if not r.deleted]

    def rows(self, sql, *args):
        return self.db.execute(sql, args).fetchall()

    def load_rows(self):
        self.runs = {r["id"]: Run(r) for r in self.rows("SELECT * FROM runs")}
        self.jobs = {}
        for j in self.rows("SELECT * FROM jobs ORDER BY created_ms"):
            self.jobs[j["id"]] = j
            if j["run_id"] in self.runs:
                self.runs[j["run_id"]].jobs.append(j)
        for s in self.rows("SELECT * FROM stages ORDER BY job_id, ord"):
            job = self.jobs.get(s["job_id"])
            if job and job["run_id"] in self.runs:
                self.runs[job["run_id"]].stages.setdefault(
                    s["job_id"], []).append(s)
        for e in self.rows("SELECT * FROM events ORDER BY run_id, seq"):
            if e["run_id"] in self.runs:
                self.runs[e["run_id"]].events.append(e)
        self.calls = self.rows("SELECT * FROM model_calls "
                               "ORDER BY sent_ms, attempt")
        for c in self.calls:
            if c["run_id"] in self.runs:
                self.runs[c["run_id"]].calls.append(c)

    def load_posts(self):
        """mark -> answers in order, and runs that bear it."""
        self.posts = {}
        for line in self.journal:
            if line["what"] in ("post", "nonsense"):
                self.posts.setdefault(line["mark"], []).append(line)
        self.begun = collections.Counter(
            line["mark"] for line in self.journal
            if line["what"] in ("post begins", "nonsense begins"))
        for mark in self.begun:
            self.posts.setdefault(mark, [])
        self.by_mark = collections.defaultdict(list)
        for run in self.runs.values():
            found = re.search(r"\bop-\d+$", run.row["prompt"] or "")
            if found:
                self.by_mark[found.group()].append(run)

        self.asked_to_delete = {line["run"] for line in self.journal
                                if line["what"] == "delete begins"}

    def load_sim(self, path):
        """Request id -> what churns-sim wrote down of it."""
        self.sim = collections.defaultdict(
            lambda: {"arrived": [], "answering": [], "ended": []})
        self.sim_lines = 0
        if not os.path.exists(path):
            return
        with open(path, encoding="utf-8") as f:
            for text in f:
                if not text.endswith("\n"):
                    continue
                line = json.loads(text)
                self.sim_lines += 1
                self.sim[line["request"]][line["event"]].append(line)

    def run_dir(self, run_id):
        return os.path.join(self.data, "runs", run_id)

    def sim_answered(self, request_id):
        """yes, no, or perhaps (it was killed while it answered)."""
        s = self.sim.get(request_id)
        if s is None:
            return "no"
        if any(x["status"] == 200 and x["whole"] for x in s["ended"]):
            return "yes"
        if any(x["status"] == 200 and x["whole"] for x in s["answering"]) \
                and not s["ended"]:
            return "perhaps"
        return "no"


# --- answers and rows --------------------------------------------------------------

@law
def an_answered_post_has_its_run_and_job(w):
    for mark, answers in w.posts.items():
        for a in answers:
            if a["what"] != "post" or a["status"] != 200:
                continue
            run = w.runs.get(a.get("id"))
            if run is None:
                yield a.get("id"), "answered (line %d), but no row" % a["n"]
                continue
            if run.deleted:
                continue        # judged by another law
            if run not in w.by_mark[mark]:
                yield run.id, "answered with the run of another request"
            for problem in unwhole(w, run):
                yield run.id, problem


def unwhole(w, run):
    """What is missing of a submission."""
    generation = [j for j in run.jobs if j["kind"] == "generation"]
    if not generation:
        yield "no job"
        return
    names = {s["name"] for s in run.stages.get(generation[0]["id"], ())}
    if names != w.planned:
        yield "planned stages are missing: %s" % sorted(w.planned - names)
    form = json.loads(run.row["form"] or "{}")
    inputs = json.loads(run.row["inputs"] or "{}")
    if "prompt" not in inputs or not form:
        yield "the request was not kept"


@law
def a_post_in_doubt_is_wholly_there_or_not_at_all(w):
    for mark, answers in w.posts.items():
        runs = w.by_mark[mark]
        if len(runs) > 1:
            yield runs[0].id, "%s is there %d times" % (mark, len(runs))
        for run in runs:
            for problem in unwhole(w, run):
                yield run.id, problem
            photo = any(a.get("photo") for a in answers)
            path = os.path.join(w.run_dir(run.id), "input_tart.jpg")
            if photo and not os.path.exists(path):
                yield run.id, "its photo is not there"


@law
def a_refused_post_left_nothing(w):
    for mark, answers in w.posts.items():
        refused = all(a["by_api"] and a["status"] != 200 for a in answers)
        # Each time it was asked: one that got no answer may have stored it.
        if refused and len(answers) == w.begun[mark] and w.by_mark[mark]:
            yield w.by_mark[mark][0].id, "refused with %s, and there" % [
                a["status"] for a in answers]


@law
def one_key_is_one_run(w):
    for mark, answers in w.posts.items():
        # With the run goes what was kept for its key.
        ids = {a.get("id") for a in answers
               if a["status"] == 200} - w.asked_to_delete
        if len(ids) > 1:
            yield sorted(ids)[0], "%s was answered with %s" % (mark, ids)


@law
def a_cancel_that_was_answered_holds(w):
    asked = {line["run"] for line in w.journal
             if line["what"] == "cancel begins"}
    for line in w.journal:
        if line["what"] == "cancel" and line["status"] == 200 and \
                line.get("message") == "The run was cancelled.":
            run = w.runs.get(line["run"])
            if run is None or run.row["status"] != "CANCELLED":
                yield line["run"], "cancelled (line %d), and %s" % (
                    line["n"], run and run.row["status"])
    for run in w.runs.values():
        if run.row["status"] == "CANCELLED" and run.id not in asked:
            yield run.id, "cancelled, and nobody had asked for it"


@law
def what_is_deleted_stays_gone_and_nothing_else_is(w):
    gone = {}
    for line in w.journal:
        if line["what"] == "delete" and line["status"] == 204:
            gone[line["run"]] = line["n"]
            run = w.runs.get(line["run"])
            if run is None or not run.deleted:
                yield line["run"], "deleted (line %d), and there" % line["n"]
        if line["what"] in ("show", "events", "results", "file") and \
                line["status"] == 200 and \
                line["begun"] > gone.get(line.get("run"), 10 ** 9):
            yield line["run"], "seen after it was deleted (line %d)" % \
                line["n"]
    for run in w.runs.values():
        if not run.deleted:
            continue
        if run.id not in w.asked_to_delete:
            yield run.id, "deleted, and nobody had asked for it"
        if run.row["prompt"] or run.events or any(
                c["answer"] for c in run.calls):
            yield run.id, "deleted, and it has content"
        if os.path.exists(w.run_dir(run.id)):
            yield run.id, "deleted, and its files are there"


# --- ends and events -------------------------------------------------------------

@law
def every_job_has_ended_once(w):
    for job in w.jobs.values():
        if job["state"] not in TERMINAL:
            yield job["run_id"], "job %s is %s, due %s, attempts %d" % (
                job["id"], job["state"], job["due_ms"], job["attempts"])
        elif job["ended_ms"] == 0 or job["lease_holder"] is not None:
            yield job["run_id"], "job %s ended without a time, or with a " \
                "lease" % job["id"]
    for run in w.living():
        ends = [e for e in run.events if e["type"] in ENDS]
        wanted = [j for j in run.jobs
                  if j["kind"] == "generation" and j["state"] in TERMINAL]
        if len(ends) != len(wanted):
            yield run.id, "%d jobs ended, %d terminal events" % (
                len(wanted), len(ends))


@law
def events_are_gapless(w):
    for run in w.runs.values():
        seqs = [e["seq"] for e in run.events]
        if seqs != list(range(1, len(seqs) + 1)) or \
                run.row["last_seq"] != len(seqs):
            yield run.id, "events %s, last_seq %d" % (
                seqs, run.row["last_seq"])


@law
def stages_are_told_in_order(w):
    for run in w.living():
        yield from ((run.id, text) for text in stage_faults(run))


def stage_faults(run):
    told = {}                   # stage -> statuses so far
    last = {"RUNNING": 0, "COMPLETED": 0}
    for e in run.events:
        data = json.loads(e["data"])
        if e["type"] in ENDS:
            told, last = {}, {"RUNNING": 0, "COMPLETED": 0}
            continue
        if e["type"] != "stage_update" or "stage_name" not in data:
            continue
        name, status = data["stage_name"], data["status"]
        order = data["stage_order"]
        before = told.setdefault(name, [])
        allowed = {"RUNNING": [[]], "COMPLETED": [["RUNNING"]],
                   "FAILED": [["RUNNING"], []], "SKIPPED": [[]]}[status]
        if before not in allowed:
            yield "event %d tells %s %s after %s" % (
                e["seq"], name, status, before)
        if status in last:
            if order < last[status]:
                yield "event %d tells %s %s out of order" % (
                    e["seq"], name, status)
            last[status] = order
        before.append(status)


@law
def the_end_was_the_last_word(w):
    for run in w.runs.values():
        ends = [e for e in run.events if e["type"] in ENDS]
        if ends and ends[-1]["seq"] != run.row["last_seq"]:
            yield run.id, "events after the end"


@law
def run_job_and_event_agree(w):
    for run in w.living():
        status = run.row["status"]
        job = [j for j in run.jobs if j["kind"] == "generation"][-1:]
        ends = [e for e in run.events if e["type"] in ENDS]
        if not job or status not in TERMINAL or not ends:
            continue            # told by other laws
        data = json.loads(ends[-1]["data"])
        kind = (data.get("error_details") or {}).get("type")
        if job[0]["state"] != status:
            yield run.id, "run %s, job %s" % (status, job[0]["state"])
        if (ends[-1]["type"] == "run_complete") != (status == "COMPLETED"):
            yield run.id, "%s ended with %s" % (status, ends[-1]["type"])
        if (kind == "cancelled") != (status == "CANCELLED"):
            yield run.id, "%s, told as %s" % (status, kind)
        for s in run.stages.get(job[0]["id"], ()):
            if s["status"] == "RUNNING":
                yield run.id, "stage %s is still RUNNING" % s["name"]
            if status == "COMPLETED" and s["status"] == "PENDING":
                yield run.id, "completed without stage %s" % s["name"]


@law
def what_was_seen_stays(w):
    ended = {}
    told = collections.defaultdict(list)
    for line in w.journal:
        if line["what"] == "saw" and line["state"] in TERMINAL:
            first = ended.setdefault(line["run"], line["state"])
            if first != line["state"]:
                yield line["run"], "seen %s, later %s (line %d)" % (
                    first, line["state"], line["n"])
        if line["what"] == "saw events":
            told[line["run"]].append(line)
    for run_id, state in ended.items():
        run = w.runs.get(run_id)
        if run is None or run.row["status"] != state:
            yield run_id, "seen %s, now %s" % (
                state, run and run.row["status"])
    for run_id, lines in told.items():
        run = w.runs.get(run_id)
        if run is not None and run.deleted:
            continue
        now = []
        for e in run.events if run else ():
            data = json.loads(e["data"])
            now.append([e["seq"], e["type"], data.get("stage_name"),
                        data.get("status")])
        for line in lines:
            if line["events"] != now[:len(line["events"])]:
                yield run_id, "events seen at line %d are others now" % \
                    line["n"]


@law
def a_file_that_was_named_was_served(w):
    for line in w.journal:
        if line["what"] == "file" and line["by_api"] and \
                line["status"] == 404 and \
                line["run"] not in w.asked_to_delete:
            yield line["run"], "%s was named and is 404 (line %d)" % (
                line["path"], line["n"])


# --- the ledger and the provider ---------------------------------------------------

@law
def nothing_was_sent_without_a_row_before_it(w):
    rows = {c["id"]: c for c in w.calls}
    for request_id, s in w.sim.items():
        if request_id not in rows:
            yield None, "the provider got request %s, which no row knows" % \
                request_id
            continue
        row = rows[request_id]
        if len(s["arrived"]) > 1:
            yield row["run_id"], "call %s came %d times" % (
                request_id, len(s["arrived"]))
        if s["arrived"] and s["arrived"][0]["ms"] < row["sent_ms"]:
            yield row["run_id"], "call %s came before its row" % request_id


@law
def nothing_answered_was_bought_twice(w):
    """A key whose answer is in the ledger is never sent again.  It may be sent
    again while the fate of its last call is not known; such keys are listed."""
    keys = collections.defaultdict(list)
    for c in w.calls:
        keys[(c["job_id"], c["idempotency_key"])].append(c)
    for calls in keys.values():
        calls.sort(key=lambda c: c["attempt"])
        answered = [c for c in calls if w.sim_answered(c["id"]) == "yes"]
        if len(answered) > 1:
            w.unknowns.append((calls[0]["run_id"], [
                (c["id"], c["state"], c["attempt"], c["fence"])
                for c in answered]))
        for i, c in enumerate(calls):
            later = calls[i + 1:]
            if c["state"] != "ANSWERED" or not later:
                continue
            # Under one claim the ledger is read before anything is sent.
            # Under a later one the answer may have been booked by a holder
            # that had lost its job, after the question was asked again.
            again = later[0]
            if again["fence"] == c["fence"]:
                yield c["run_id"], "call %s was answered and sent again " \
                    "by the same claim as %s" % (c["id"], again["id"])
            elif c["settled_ms"] <= again["sent_ms"] and \
                    not frozen_at(w, c["settled_ms"]):
                yield c["run_id"], "call %s was answered at %d and sent " \
                    "again at %d as %s" % (c["id"], c["settled_ms"],
                                           again["sent_ms"], again["id"])


def frozen_at(w, ms, slack=300):
    """Was a runner frozen at that moment?  Then its clock had been read, and
    its write came later."""
    for line in w.journal:
        if line["what"] == "freeze" and line["part"] in (
                "runner", "runner2") and \
                ms - slack <= line["wall"] <= ms + slack:
            return True
    return False


@law
def the_ledger_tells_what_the_provider_did(w):
    for c in w.calls:
        answered = w.sim_answered(c["id"])
        if c["state"] == "ANSWERED" and answered == "no":
            yield c["run_id"], "call %s is ANSWERED, and the provider " \
                "knows nothing of it" % c["id"]
        if c["state"] == "SENT":
            yield c["run_id"], "call %s is still SENT" % c["id"]
        if c["state"] == "FAILED" and answered == "yes" and \
                fault_of(w, c["id"]) not in ("empty", "no_image"):
            yield c["run_id"], "call %s was answered (%s) and booked as " \
                "FAILED: %s" % (c["id"], fault_of(w, c["id"]), c["fault"])


def fault_of(w, request_id):
    return w.sim[request_id]["ended"][-1]["fault"]


@law
def every_cent_is_a_sum_over_the_ledger(w):
    for run in w.runs.values():
        spent = sum(c["cost_nano"] for c in run.calls)
        if run.row["status"] in TERMINAL and (
                run.row["cost_nano"] != spent or
                bool(run.row["has_cost"]) != (spent > 0)):
            yield run.id, "costs %d, the ledger says %d" % (
                run.row["cost_nano"], spent)
        for job_id, stages in run.stages.items():
            for s in stages:
                of = sum(c["cost_nano"] for c in run.calls
                         if c["job_id"] == job_id and c["stage"] == s["name"])
                if s["status"] in ("COMPLETED", "FAILED", "SKIPPED") and \
                        s["cost_nano"] != of:
                    yield run.id, "stage %s costs %d, the ledger says %d" % (
                        s["name"], s["cost_nano"], of)
    for c in w.calls:
        if c["state"] == "ANSWERED" and c["cost_nano"] <= 0:
            yield c["run_id"], "call %s was answered for nothing" % c["id"]


@law
def kept_sums_are_those_of_the_ledger_and_nothing_is_reserved(w):
    spent = sum(c["cost_nano"] for c in w.calls)
    doubt = sum(max(c["estimate_nano"] - c["cost_nano"], 0)
                for c in w.calls if c["state"] == "UNKNOWN")
    for table in ("spend_days", "spend_jobs"):
        kept = w.rows("SELECT sum(calls), sum(cost_nano), sum(reserved_nano),"
                      " sum(unknown_nano) FROM " + table)[0]
        if tuple(x or 0 for x in kept) != (len(w.calls), spent, 0, doubt):
            yield None, "%s has %s, the ledger %s" % (
                table, tuple(kept), (len(w.calls), spent, 0, doubt))


# --- files -------------------------------------------------------------------------

def png_fault(path):
    """What is wrong with a picture; None when it decodes."""
    with open(path, "rb") as f:
        data = f.read()
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        return "no PNG"
    at, pixels, header = 8, [], None
    while at + 12 <= len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + size]
        crc = data[at + 8 + size:at + 12 + size]
        if len(crc) < 4 or struct.unpack(">I", crc)[0] != zlib.crc32(
                kind + body):
            return "a damaged chunk %r" % kind
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            pixels.append(body)
        elif kind == b"IEND":
            break
        at += 12 + size
    else:
        return "cut off"
    width, height, depth, colours = header[:4]
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colours]
    wanted = height * (1 + (width * depth * channels + 7) // 8)
    try:
        got = len(zlib.decompress(b"".join(pixels)))
    except zlib.error as e:
        return str(e)
    return None if got == wanted else "%d bytes of pixels, not %d" % (
        got, wanted)


@law
def every_picture_is_there_and_whole(w):
    for run in w.living():
        if run.row["status"] != "COMPLETED":
            continue
        path = os.path.join(w.run_dir(run.id), "pipeline_metadata.json")
        try:
            with open(path, encoding="utf-8") as f:
                images = json.load(f)["processing_context"][
                    "generated_image_results"]
        except (OSError, ValueError, KeyError) as e:
            yield run.id, "completed without results: %r" % e
            continue
        named = [i["result_path"] for i in images if i.get("result_path")]
        w.named[run.id].update(named)
        if not named:
            yield run.id, "completed without a picture"
        for name in named:
            picture = os.path.join(w.run_dir(run.id), name)
            if not os.path.exists(picture):
                yield run.id, "picture %s is named and not there" % name
                continue
            w.pictures += 1
            fault = png_fault(picture)
            if fault:
                yield run.id, "picture %s: %s" % (name, fault)


@law
def no_file_is_there_that_should_not_be(w):
    folder = os.path.join(w.data, "runs")
    doubtful = sum(1 for line in w.journal if line["what"] == "post" and
                   line.get("photo") and not (
                       line["by_api"] and line["status"] == 200))
    doubtful += sum(1 for line in w.journal
                    if line["what"] == "post begins" and line.get("photo")) - \
        sum(1 for line in w.journal
            if line["what"] == "post" and line.get("photo"))
    for name in sorted(os.listdir(folder)):
        if name not in w.runs:
            w.orphans.append(name)
            if not UUID.match(name):
                yield None, "runs/%s" % name
            continue
        for f in sorted(os.listdir(os.path.join(folder, name))):
            if not KNOWN_FILES.match(f):
                yield name, "left behind: %s" % f
            elif "_image_strategy_" in f and f not in w.named[name] and \
                    w.runs[name].row["status"] == "COMPLETED":
                w.unnamed.append((name, f))
    if len(w.orphans) > doubtful:
        yield None, "%d directories without a row after %d photos in doubt" \
            % (len(w.orphans), doubtful)
    uploads = os.listdir(os.path.join(w.data, "uploads"))
    if uploads:
        yield None, "uploads/ has %s" % uploads


# --- the database as a whole ---------------------------------------------------------

@law
def the_database_is_sound(w):
    for row in w.rows("PRAGMA integrity_check"):
        if row[0] != "ok":
            yield None, "integrity_check: %s" % row[0]
    for row in w.rows("PRAGMA foreign_key_check"):
        yield None, "foreign_key_check: %s" % list(row)


@law
def the_counters_count(w):
    real = collections.Counter(
        (r.row["owner"], r.row["status"], r.row["mode"],
         r.row["platform_name"] or "") for r in w.living())
    kept = {(r["owner"], r["status"], r["mode"], r["platform"]): r["n"]
            for r in w.rows("SELECT * FROM run_counts") if r["n"]}
    if dict(real) != kept:
        yield None, "run_counts says %s, there are %s" % (kept, dict(real))
    jobs = collections.Counter(j["state"] for j in w.jobs.values())
    for row in w.rows("SELECT * FROM job_counts"):
        if row["n"] != jobs[row["state"]]:
            yield None, "job_counts: %d jobs %s, there are %d" % (
                row["n"], row["state"], jobs[row["state"]])


@law
def only_killed_processes_left_their_rows(w):
    for row in w.rows("SELECT role, pid FROM processes"):
        if row["pid"] not in w.ordered_pids:
            yield None, "a %s (pid %d) that ended in order left its row" % (
                row["role"], row["pid"])


# --- the verdict ------------------------------------------------------------------

def judge(world):
    """All violations."""
    found = []
    for rule in LAWS:
        try:
            for run_id, text in rule(world):
                found.append(Violation(rule.__name__, run_id, text))
        except Exception as e:      # a law that cannot be read is broken, too
            found.append(Violation(rule.__name__, None,
                                   "could not be checked: %r" % e))
    return found


def evidence(world, run_id, limit=40):
    """The lines that show what happened to a run."""
    lines = []
    run = world.runs.get(run_id)
    mark = None
    if run:
        found = re.search(r"\bop-\d+$", run.row["prompt"] or "")
        mark = found and found.group()
        lines.append("run %s %s, jobs %s" % (run.id, run.row["status"], [
            (j["id"], j["state"], "fence %d" % j["fence"]) for j in run.jobs]))
        for e in run.events:
            lines.append("  event %d %s %s" % (
                e["seq"], e["type"], e["data"][:160]))
        for c in run.calls:
            lines.append("  call %s %s/%s v%d attempt %d fence %d %s sent %d "
                         "settled %d key %.8s provider: %s" % (
                             c["id"], c["stage"], c["purpose"], c["variant"],
                             c["attempt"], c["fence"], c["state"],
                             c["sent_ms"], c["settled_ms"],
                             c["idempotency_key"],
                             world.sim_answered(c["id"])))
    seen = [x for x in world.journal if run_id and (
        x.get("run") == run_id or x.get("id") == run_id or
        (mark and x.get("mark") == mark))]
    for x in seen[:limit]:
        lines.append("  journal %s" % json.dumps(x)[:300])
    return lines
