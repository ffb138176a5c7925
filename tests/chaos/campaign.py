"""One campaign: users, faults, a quiet end, and the verdict.

    start everything
    users act, the schedule hurts, the supervisor restarts    (so many kills)
    users stop, everything is thawed and mended
    drain: every job must end by itself
    one more run: the system still works
    SIGTERM to all: they end in order
    start and stop once more: what only a start sweeps is swept
    audit

The schedule and the users' choices come from the seed; when exactly they meet
is up to the machine.
"""
import collections
import json
import os
import random
import re
import shutil
import sqlite3
import sys
import time

import audit
from clients import Client, Shared, actions_of
from journal import Journal
from parts import Parts, schedule
from stack import Stack, TERMINAL, wait_until

BASE_LATENCY_MS = 60
QUIET_FILES_S = 10
LAST_RUN_S = 30
MAX_SHOWN = 20

# Bodies that a killed web server had taken in: it alone knows their names.
WEB_SERVERS_OWN = re.compile(r"^lighttpd-upload-\w+$")

# Short leases, short patience, quick retries: in a minute as much happens as
# otherwise in ten.
SETTINGS = {
    "CHURNS_RUNNER_LEASE_S": "2",
    "CHURNS_RUNNER_RENEW_S": "1",
    "CHURNS_RUNNER_POLL_MS": "300",
    "CHURNS_RUNNER_MAX_ATTEMPTS": "4",
    "CHURNS_STORE_LOCK_WAIT_MS": "1500",
    "CHURNS_CALLS_RETRY_BASE_MS": "30",
    "CHURNS_CALLS_RETRY_CAP_MS": "300",
    "CHURNS_CALLS_RETRY_AFTER_CAP_S": "1",
    "LLM_MAX_RETRIES": "3",
    "LLM_TIMEOUT_SECONDS": "3",
    "IMAGE_TIMEOUT_SECONDS": "5",
}


class ChaosStack(Stack):
    """The stack of the program tests, with a provider that writes down what it
    answers and begins at the pace of the campaign."""

    def __init__(self, env):
        super().__init__(runner=True, sim=True, push=True,
                         env=dict(SETTINGS, **env))
        self.sim_log = os.path.join(self.dir, "sim-calls.log")
        self.sim_script = os.path.join(self.dir, "sim-script.json")
        with open(self.sim_script, "w", encoding="utf-8") as f:
            json.dump({"latency_ms": BASE_LATENCY_MS}, f)

    def command(self, name):
        command = super().command(name)
        if name == "sim":
            command += ["--log", self.sim_log, "--script", self.sim_script]
        return command


class Campaign:
    def __init__(self, kills, seed, seconds=None, gap_s=0.8, clients=3,
                 drain_s=180, env=None, say=print):
        self.wanted = kills
        self.seed = seed
        self.seconds = seconds
        self.gap_s = gap_s
        self.n_clients = clients
        self.drain_s = drain_s
        self.say = say
        self.stack = ChaosStack(env or {})
        self.journal = Journal(os.path.join(self.stack.dir, "journal.jsonl"))
        self.parts = Parts(self.stack, self.journal, seed)
        self.hurts = collections.Counter()
        self.extra = []         # violations that are not in the data
        self.world = None

    # --- the acts -----------------------------------------------------------

    def run(self):
        """The violations."""
        try:
            self.stack.prepare()
            photo = self.stack.photo()
            self.parts.start_all()
            self.stack.wait_healthy()
            self.stack.wait_ready()
            self.parts.thread.start()
            shared = Shared(self.stack, self.journal, photo)
            self.trouble(shared)
            self.mend()
            if self.drain():
                self.last_run()
            self.end_in_order("after the campaign")
            self.start_and_stop_once_more()
            self.check_processes()
            violations = self.verdict()
            return violations + self.verify()
        finally:
            self.parts.closing = True
            self.parts.thaw_all()
            self.stack.stop_all()
            self.journal.close()

    def trouble(self, shared):
        actions = actions_of(self.stack)
        clients = [Client(shared, i, self.seed, actions)
                   for i in range(self.n_clients)]
        for c in clients:
            c.start()
        began = time.monotonic()
        plan = schedule(random.Random("%s/schedule" % self.seed), self.gap_s)
        end = began + (self.seconds or float("inf"))
        killed = 0
        while killed < self.wanted:
            wait, name, hurt, rng = next(plan)
            time.sleep(max(0, min(wait, end - time.monotonic())))
            if time.monotonic() >= end:
                break
            self.journal.write("harness", "hurt", name=name)
            self.hurts[name] += 1
            killed += hurt(self.parts, rng)
        for c in clients:
            c.stopping.set()
        for c in clients:
            c.join()
        self.took = time.monotonic() - began
        self.killed = killed
        self.actions = shared.actions

    def mend(self):
        """Everything runs again, and the provider is well."""
        self.parts.thaw_all()
        wait_until(lambda: all(self.parts.alive(n) for n in self.parts.names)
                   and not self.parts.due, 20, "everything to be restarted")
        wait_until(lambda: self.parts.script(0, [], append=False), 20,
                   "churns-sim")
        self.stack.wait_healthy()
        self.stack.wait_ready()
        self.journal.write("harness", "mended")

    def open_jobs(self):
        db = sqlite3.connect(os.path.join(self.stack.data, "db",
                                          "churns.sqlite"), timeout=10)
        try:
            return db.execute(
                "SELECT id, run_id, state, due_ms FROM jobs WHERE state IN "
                "('PENDING', 'RUNNING')").fetchall()
        finally:
            db.close()

    def drain(self):
        began = time.monotonic()
        try:
            wait_until(lambda: not self.open_jobs(), self.drain_s,
                       "every job to end", pause=0.2)
        except AssertionError as e:
            self.extra.append(audit.Violation("drain", None, "%s: %s" % (
                e, self.open_jobs()[:5])))
            return False
        self.drained = time.monotonic() - began
        self.journal.write("harness", "drained", seconds=self.drained)
        return True

    def last_run(self):
        """After all that one more request is as quick as ever."""
        began = time.monotonic()
        run = self.stack.submit(image=self.stack.photo(), num_variants="1",
                                prompt="the last one")
        done = self.stack.wait(run["id"], LAST_RUN_S)
        if done["status"] != "COMPLETED":
            self.extra.append(audit.Violation(
                "last_run", run["id"], "it is %s: %s" % (
                    done["status"], done.get("error_message"))))
        self.journal.write("harness", "last run", id=run["id"],
                           state=done["status"],
                           seconds=time.monotonic() - began)

    def end_in_order(self, when):
        for name, status in self.parts.stop_gently().items():
            # What a web server says about connections that it had to cut is
            # its own business, as long as it ends.
            if status is None if name == "web" else status != 0:
                self.extra.append(audit.Violation(
                    "ends_in_order", None, "%s ended with %s %s" % (
                        name, status, when)))

    def leftovers(self):
        runs = os.path.join(self.stack.data, "runs")
        found = [os.path.join(d, part) for d in os.listdir(runs)
                 for part in ("calls", "work")
                 if os.path.exists(os.path.join(runs, d, part))]
        return found + os.listdir(os.path.join(self.stack.data, "uploads"))

    def start_and_stop_once_more(self):
        """What killed processes left is swept by those that come after."""
        again = Parts(self.stack, self.journal, "again")
        again.sids |= self.parts.sids
        again.ordered |= self.parts.ordered
        again.strays += self.parts.strays
        again.kills, again.freezes = self.parts.kills, self.parts.freezes
        again.restarts = self.parts.restarts
        self.parts = again
        again.start_all()
        again.thread.start()
        self.stack.wait_healthy()
        self.stack.wait_ready()
        end = time.monotonic() + QUIET_FILES_S
        while time.monotonic() < end and [
                f for f in self.leftovers() if not self.is_orphan(f)]:
            time.sleep(0.1)
        self.end_in_order("at the very end")

    def is_orphan(self, path):
        """A directory without a row is for churnsctl verify."""
        db = sqlite3.connect(os.path.join(self.stack.data, "db",
                                          "churns.sqlite"))
        try:
            return not db.execute("SELECT 1 FROM runs WHERE id = ?", (
                path.split("/")[0],)).fetchone()
        finally:
            db.close()

    def check_processes(self):
        for name, pid, status in self.parts.strays:
            self.extra.append(audit.Violation(
                "nobody_dies_unordered", None, "%s (pid %d) ended with %s" % (
                    name, pid, status)))
        time.sleep(0.2)
        for pid, name, state in self.parts.stragglers():
            self.extra.append(audit.Violation(
                "no_process_is_left", None, "%d %s %s" % (pid, name, state)))
        for name in self.stack.logs:
            for line in self.stack.log(name).split("\n"):
                if re.search(r"Sanitizer: |runtime error: |Assertion|"
                             r"signal=(?!9\b|15\b|1\b)\d+", line):
                    self.extra.append(audit.Violation(
                        "logs_are_calm", None, "%s: %s" % (name, line)))
        run_dir = [f for f in os.listdir(self.stack.run_dir)
                   if f != "wake" and not WEB_SERVERS_OWN.match(f)]
        wake = os.listdir(os.path.join(self.stack.run_dir, "wake"))
        if run_dir or wake:
            self.extra.append(audit.Violation(
                "no_sign_of_life_is_left", None, "%s, wake: %s" % (
                    run_dir, wake)))

    # --- the verdict ----------------------------------------------------------

    def planned(self):
        """Names of the stages of a run, from the configuration."""
        with open(os.path.join(self.stack.conf, "stage_order.yml"),
                  encoding="utf-8") as f:
            text = f.read()
        section = re.search(r"^(?:generation|stages):\n((?:[ #-].*\n|\n)*)",
                            text, re.M)
        return set(re.findall(r"^\s*- (\w+)", section.group(1), re.M))

    def verdict(self):
        self.journal.write("harness", "audit")
        self.world = audit.World(
            self.stack.data, self.journal.path, self.stack.sim_log,
            self.planned(), self.parts.ordered)
        return self.extra + audit.judge(self.world)

    def verify(self):
        """The product's own look at it finds the same, and mends it."""
        found = []
        for args, wanted in ((), self.world.orphans), (("--repair",), []), \
                ((), []):
            status, out, err = self.stack.ctl("verify", "--json", "--grace",
                                              "0", *args)
            checks = {c["what"]: c for c in json.loads(out or "{}").get(
                "checks", [])}
            orphans = [f[5:] for f in checks.get("files without rows", {}).get(
                "faults", []) if f.startswith("runs/")]
            if status != 0 or (len(wanted) < 20 and
                               sorted(orphans) != sorted(wanted)):
                found.append(audit.Violation(
                    "verify_finds_the_same", None, "%s: status %d %s %s" % (
                        args, status, out, err)))
        return found

    def figures(self):
        w = self.world
        states = collections.Counter(r.row["status"] for r in w.runs.values())
        calls = collections.Counter(c["state"] for c in w.calls)
        posts = [x for x in w.journal if x["what"] == "post"]
        yield "seed %s: %d kills in %.0f s (%s), %d freezes (%s), %d " \
            "restarts" % (
                self.seed, self.killed, self.took,
                self.some(self.parts.kills),
                sum(self.parts.freezes.values()),
                self.some(self.parts.freezes), self.parts.restarts)
        yield "schedule: %s" % self.some(self.hurts)
        yield "requests: %d POSTs begun, %d answered 200 (%d of them " \
            "repeats), %d refused or failed, %d without an answer; %s" % (
                sum(w.begun.values()),
                sum(1 for p in posts if p["status"] == 200),
                sum(1 for p in posts if p["replayed"]),
                sum(1 for p in posts if p["status"] not in (200, None)),
                sum(w.begun.values()) - len([
                    p for p in posts if p["status"] is not None]) - len([
                        x for x in w.journal if x["what"] == "nonsense" and
                        x["status"] is not None]),
                self.some(self.actions))
        yield "runs: %d (%s), claims: %d" % (
            len(w.runs), self.some(states),
            sum(j["fence"] for j in w.jobs.values()))
        yield "calls: %d (%s), lines of the provider: %d, pictures " \
            "decoded: %d" % (len(w.calls), self.some(calls), w.sim_lines,
                             w.pictures)
        yield "answered more than once, their fate unknown when asked " \
            "again: %d keys" % len(w.unknowns)
        yield "pictures of completed runs that no result names: %d" % len(
            w.unnamed)
        yield "directories without a row (for churnsctl verify): %d" % len(
            w.orphans)
        if hasattr(self, "drained"):
            yield "drained after %.1f s" % self.drained

    @staticmethod
    def some(counts):
        return ", ".join("%s %d" % (k, v) for k, v in sorted(
            counts.items(), key=lambda kv: -kv[1]) if v) or "none"

    def report(self, violations):
        for line in self.figures():
            self.say(line)
        for v in violations[:MAX_SHOWN]:
            self.say("VIOLATION %s: run %s: %s" % (v.law, v.run, v.text))
        if len(violations) > MAX_SHOWN:
            self.say("... and %d more" % (len(violations) - MAX_SHOWN))
        self.say("%d violations" % len(violations))
        if violations:
            path = self.write_evidence(violations)
            for v in violations[:1]:
                for line in audit.evidence(self.world, v.run):
                    self.say(line)
            self.say("repeat with --seed %s; journal lines and events of all "
                     "of them: %s" % (self.seed, path))
        sys.stdout.flush()

    def write_evidence(self, violations):
        path = os.path.join(self.stack.dir, "violations.txt")
        with open(path, "w", encoding="utf-8") as f:
            for v in violations:
                f.write("VIOLATION %s: run %s: %s\n" % (v.law, v.run, v.text))
                for line in audit.evidence(self.world, v.run):
                    f.write(line + "\n")
        return path

    def clean_up(self):
        shutil.rmtree(self.stack.dir, ignore_errors=True)
