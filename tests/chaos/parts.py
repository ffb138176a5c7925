"""The programs under test, and what can be done to them.

The harness is their supervisor: it starts what has died, a moment later, and
writes down every death.  A death that nobody ordered is a violation by itself.

To add a part: a row in PARTS.  To add a way of hurting: a function below that
takes the Parts and an RNG and does one thing, and a row in HURTS.
"""
import http.client
import json
import os
import random
import signal
import threading
import time

RESTART_DELAY_S = (0.0, 0.4)
LOOK_S = 0.02
# Longer than a lease and the looks it takes to call its holder stuck.
FREEZE_S = (0.1, 7.0)

# Names of Stack.start(), in the order in which they are started.
PARTS = ["sim", "runner", "runner2", "api", "push", "web"]


def children(pid):
    """Pids of the direct children of pid."""
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid),
                  encoding="ascii") as f:
            return [int(x) for x in f.read().split()]
    except OSError:
        return []


def name_of(pid):
    try:
        with open("/proc/%d/comm" % pid, encoding="utf-8") as f:
            return f.read().strip()
    except OSError:
        return ""


class Parts:
    def __init__(self, stack, journal, seed):
        self.stack = stack
        self.journal = journal
        self.rng = random.Random("%s/restarts" % seed)
        self.lock = threading.RLock()
        self.names = list(PARTS)
        self.ordered = set()    # pids that we have killed or stopped
        self.sids = set()       # sessions of everything we ever started
        self.kills = {}         # name -> how many SIGKILLs
        self.freezes = {}
        self.frozen = {}        # pid -> when it goes on, monotonic
        self.strays = []        # deaths that nobody ordered
        self.due = {}           # name -> when to start it again
        self.closing = False
        self.restarts = 0
        self.thread = threading.Thread(target=self.supervise, daemon=True)

    def script(self, latency_ms, faults, append):
        """Tell churns-sim; it may be dead or frozen just now."""
        try:
            self.stack.request(
                "POST", "/sim/script", json.dumps(
                    {"latency_ms": latency_ms, "faults": faults,
                     "append": append}),
                {"Content-Type": "application/json"},
                port=self.stack.sim_port, timeout=1)
            told = True
        except (OSError, http.client.HTTPException):
            told = False
        self.journal.write("harness", "script", latency_ms=latency_ms,
                           faults=faults, told=told)
        return told

    # --- starting and watching ----------------------------------------------

    def start_all(self):
        for name in self.names:
            self.start(name)

    def start(self, name):
        with self.lock:
            process = self.stack.start(name, wait=False)
            self.sids.add(process.pid)
            self.journal.write("harness", "start", part=name, pid=process.pid)

    def alive(self, name):
        process = self.stack.processes.get(name)
        return process if process and process.poll() is None else None

    def supervise(self):
        while not self.closing:
            with self.lock:
                for name in self.names:
                    self.look_at(name)
                self.thaw_due()
            time.sleep(LOOK_S)

    def look_at(self, name):
        now = time.monotonic()
        process = self.stack.processes.get(name)
        if process is not None and process.poll() is not None:
            self.note_death(name, process.pid, process.returncode)
            del self.stack.processes[name]
            self.due[name] = now + self.rng.uniform(*RESTART_DELAY_S)
        if name in self.due and self.due[name] <= now:
            del self.due[name]
            self.restarts += 1
            self.start(name)

    def note_death(self, name, pid, status):
        ordered = pid in self.ordered
        self.journal.write("harness", "death", part=name, pid=pid,
                           status=status, ordered=ordered)
        if not ordered:
            self.strays.append((name, pid, status))

    # --- hurting --------------------------------------------------------------

    def kill(self, pid, name):
        """SIGKILL; False when it was gone before."""
        self.ordered.add(pid)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        self.frozen.pop(pid, None)
        self.kills[name] = self.kills.get(name, 0) + 1
        self.journal.write("harness", "kill", part=name, pid=pid)
        return True

    def freeze(self, pid, name, seconds):
        try:
            os.kill(pid, signal.SIGSTOP)
        except ProcessLookupError:
            return False
        self.freezes[name] = self.freezes.get(name, 0) + 1
        self.frozen[pid] = time.monotonic() + seconds
        self.journal.write("harness", "freeze", part=name, pid=pid,
                           seconds=round(seconds, 3))
        return True

    def thaw_due(self, everything=False):
        now = time.monotonic()
        for pid, when in list(self.frozen.items()):
            if everything or when <= now:
                del self.frozen[pid]
                try:
                    os.kill(pid, signal.SIGCONT)
                    self.journal.write("harness", "thaw", pid=pid)
                except ProcessLookupError:
                    pass

    def thaw_all(self):
        with self.lock:
            self.thaw_due(everything=True)

    def terminate(self, name, patience=15):
        """SIGTERM and the exit status; None when it would not end."""
        with self.lock:
            process = self.stack.processes.get(name)
            if process is None:
                return 0
            self.ordered.add(process.pid)
            try:
                process.send_signal(signal.SIGTERM)
            except ProcessLookupError:
                pass
        end = time.monotonic() + patience
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        return process.returncode

    def stop_gently(self):
        """All of them by SIGTERM, from the outside in; {name: status}."""
        self.closing = True
        self.thread.join()
        self.thaw_all()
        statuses = {}
        for name in reversed(self.names):
            if name in self.stack.processes:
                statuses[name] = self.terminate(name)
                self.journal.write("harness", "stopped", part=name,
                                   status=statuses[name])
                if statuses[name] is not None:
                    del self.stack.processes[name]
        return statuses

    def stragglers(self):
        """Processes of our sessions that are still there: (pid, name)."""
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                with open("/proc/%s/stat" % entry, encoding="utf-8",
                          errors="replace") as f:
                    text = f.read()
            except OSError:
                continue
            fields = text[text.rindex(")") + 2:].split()
            if int(fields[3]) in self.sids:
                found.append((int(entry), name_of(int(entry)), fields[0]))
        return found


# --- what is done to them -------------------------------------------------------
#
# Each returns how many processes it killed.

def kill_part(name):
    def hurt(parts, _rng):
        process = parts.alive(name)
        return int(bool(process) and parts.kill(process.pid, name))
    return hurt


def kill_web(parts, _rng):
    """The web server with all its processes: those of one whose master is
    gone would keep its port."""
    process = parts.alive("web")
    if not process:
        return 0
    pids = children(process.pid)
    return sum(parts.kill(pid, "web") for pid in [process.pid] + pids)


def kill_worker(parts, rng):
    """One of churns-api's workers; its parent replaces it."""
    process = parts.alive("api")
    pids = children(process.pid) if process else []
    return int(bool(pids) and parts.kill(rng.choice(pids), "api-worker"))


def kill_api_whole(parts, _rng):
    process = parts.alive("api")
    if not process:
        return 0
    pids = [process.pid] + children(process.pid)
    return sum(parts.kill(pid, "api" if pid == process.pid else "api-worker")
               for pid in pids)


def kill_helper(parts, _rng):
    """A churns-image that is at work, if there is one."""
    for name in ("runner", "runner2"):
        process = parts.alive(name)
        for pid in children(process.pid) if process else []:
            if name_of(pid).startswith("churns-image"):
                return int(parts.kill(pid, "image"))
    return 0


def kill_runners(parts, rng):
    return kill_part("runner")(parts, rng) + kill_part("runner2")(parts, rng)


def kill_all(parts, rng):
    """As when the machine is reset, as far as processes can tell."""
    killed = kill_api_whole(parts, rng) + kill_web(parts, rng)
    for name in parts.names:
        if name not in ("api", "web"):
            killed += kill_part(name)(parts, rng)
    return killed


def kill_soon_after_start(parts, rng):
    """A runner in the middle of taking over from its dead self."""
    name = rng.choice(["runner", "runner2"])
    killed = kill_part(name)(parts, rng)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        process = parts.alive(name)
        if process and process.pid not in parts.ordered:
            time.sleep(rng.uniform(0.0, 0.25))
            return killed + int(parts.kill(process.pid, name))
        time.sleep(0.01)
    return killed


def term_part(name):
    """An orderly restart in the middle of everything."""
    def hurt(parts, _rng):
        process = parts.alive(name)
        if process:
            parts.ordered.add(process.pid)
            parts.journal.write("harness", "term", part=name, pid=process.pid)
            process.send_signal(signal.SIGTERM)
        return 0
    return hurt


def freeze_part(name):
    def hurt(parts, rng):
        process = parts.alive(name)
        if process:
            parts.freeze(process.pid, name, rng.uniform(*FREEZE_S))
        return 0
    return hurt


def freeze_worker(parts, rng):
    """It may hold the write turn: everybody else has to wait for it."""
    process = parts.alive("api")
    pids = children(process.pid) if process else []
    if pids:
        parts.freeze(rng.choice(pids), "api-worker", rng.uniform(*FREEZE_S))
    return 0


def freeze_then_kill(parts, rng):
    """The other runner begins to doubt it, then it is really dead."""
    name = rng.choice(["runner", "runner2"])
    process = parts.alive(name)
    if not process:
        return 0
    parts.freeze(process.pid, name, 60)
    time.sleep(rng.uniform(0.2, 3.0))
    return int(parts.kill(process.pid, name))


SIM_FAULTS = [
    {"fault": "status", "status": 429, "retry_after": "1"},
    {"fault": "status", "status": 500},
    {"fault": "status", "status": 503},
    {"fault": "reset"},
    {"fault": "stall", "stall_ms": 400},
    {"fault": "stall", "stall_ms": 6000},
    {"fault": "truncated"},
    {"fault": "empty"},
    {"fault": "no_json"},
    {"fault": "wrong_schema"},
    {"fault": "no_image"},
    {"fault": "no_usage"},
    {"fault": "latency", "latency_ms": 1200},
]


def trouble_provider(parts, rng):
    """Some calls of the next moments go wrong, and the pace changes."""
    faults = [dict(rng.choice(SIM_FAULTS), skip=rng.randrange(6),
                   times=rng.choice((1, 1, 1, 2, 5)),
                   kind=rng.choice(("any", "any", "chat", "generation",
                                    "edit")))
              for _ in range(rng.randrange(1, 5))]
    parts.script(rng.choice((20, 60, 120, 250)), faults, append=True)
    return 0


# (name, weight, function).  Names are what the report counts.
HURTS = [
    ("kill a runner", 10, kill_part("runner")),
    ("kill the other runner", 10, kill_part("runner2")),
    ("kill both runners", 4, kill_runners),
    ("kill a runner that just started", 4, kill_soon_after_start),
    ("kill a worker", 10, kill_worker),
    ("kill the API's parent", 5, kill_part("api")),
    ("kill the whole API", 5, kill_api_whole),
    ("kill the web server", 4, kill_web),
    ("kill push", 4, kill_part("push")),
    ("kill the provider", 5, kill_part("sim")),
    ("kill a picture helper", 4, kill_helper),
    ("kill everything", 3, kill_all),
    ("freeze and kill a runner", 4, freeze_then_kill),
    ("freeze a runner", 7, freeze_part("runner")),
    ("freeze the other runner", 7, freeze_part("runner2")),
    ("freeze a worker", 6, freeze_worker),
    ("freeze the provider", 3, freeze_part("sim")),
    ("freeze the web server", 2, freeze_part("web")),
    ("freeze push", 2, freeze_part("push")),
    ("restart a runner", 3, term_part("runner")),
    ("restart the API", 2, term_part("api")),
    ("restart push", 1, term_part("push")),
    ("trouble at the provider", 14, trouble_provider),
]


def schedule(rng, gap_s):
    """Endless: (seconds to wait, name, function, RNG of its own)."""
    weights = [h[1] for h in HURTS]
    while True:
        name, _, hurt = rng.choices(HURTS, weights)[0]
        wait = min(rng.expovariate(1.0 / gap_s), 4 * gap_s)
        yield wait, name, hurt, random.Random(rng.random())
