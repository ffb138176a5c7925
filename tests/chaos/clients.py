"""What users do while everything around them dies.

Each client is a thread with an RNG of its own.  An action is written to the
journal when it begins and when it is answered (or not); the audit knows nothing
of a client but those lines.

To add an action: a method of Client, and a row in ACTIONS.  available() may ask
the server whether it knows the action at all, so that one harness serves
versions with and without it.
"""
import base64
import http.client
import itertools
import json
import random
import threading
import time
import uuid

from follow import Refused, Stream
from stack import PLATFORM, TERMINAL, multipart

TIMEOUT_S = 15
THINK_S = 0.35          # mean pause between actions
MAX_OPEN = 30           # runs not known to have ended: then none is added
FOLLOW_S = (1.0, 8.0)   # how long the events of a run are followed
ENDS = ("run_complete", "run_error")
REPEAT_PAUSE_S = (0.0, 0.5)

FOODS = ["lemon tart", "oat flat white", "espresso martini", "rye loaf",
         "mango lassi", "pumpkin soup", "plum cake", "matcha roll"]

operations = itertools.count(1)


class Shared:
    """What clients know together."""

    def __init__(self, stack, journal, photo):
        self.stack = stack
        self.journal = journal
        self.photo = photo
        self.lock = threading.Lock()
        self.runs = []          # ids that were answered
        self.ended = set()      # of these, known to have ended
        self.actions = {}       # name -> how often it was begun

    def add_run(self, run_id):
        with self.lock:
            if run_id not in self.runs:
                self.runs.append(run_id)

    def note_end(self, run_id):
        with self.lock:
            self.ended.add(run_id)

    def some_run(self, rng, prefer_open):
        """An id, of a recent run rather than an old one; None: there is none."""
        with self.lock:
            ids = self.runs
            if prefer_open and rng.random() < 0.8:
                ids = [r for r in ids if r not in self.ended]
            ids = ids[-40:]
        return rng.choice(ids) if ids else None

    def n_open(self):
        with self.lock:
            return len(self.runs) - len(self.ended)


class Told:
    """An answer, or why there is none."""

    def __init__(self, answer=None, error=None):
        self.error = error
        self.status = answer.status if answer else None
        # Only churns-api says this; the web server's own errors promise
        # nothing about what happened behind it.
        self.by_api = bool(answer and answer.headers.get("X-Request-Id"))
        self.replayed = bool(
            answer and answer.headers.get("Idempotency-Replayed"))
        self.body = answer.body if answer else b""

    @property
    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def final(self):
        """Somebody who knows has spoken: nothing is to be gained by asking
        again."""
        return self.by_api and self.status < 500

    def for_journal(self):
        return {"status": self.status, "by_api": self.by_api,
                "error": self.error}


class Client(threading.Thread):
    def __init__(self, shared, number, seed, actions):
        super().__init__(daemon=True)
        self.shared = shared
        self.name = "client-%d" % number
        self.rng = random.Random("%s/%d" % (seed, number))
        self.seed = seed
        self.actions = actions
        self.stopping = threading.Event()

    def run(self):
        names = [a[0] for a in self.actions]
        weights = [a[1] for a in self.actions]
        while not self.stopping.is_set():
            name = self.rng.choices(names, weights)[0]
            with self.shared.lock:
                self.shared.actions[name] = \
                    self.shared.actions.get(name, 0) + 1
            getattr(self, name)()
            self.stopping.wait(self.rng.expovariate(1 / THINK_S))

    # --- one request --------------------------------------------------------

    def ask(self, op, what, method, path, body=None, headers=None, **note):
        """One request, with a line before and a line after; the Told."""
        journal = self.shared.journal
        begun = journal.write(self.name, what + " begins", op=op,
                              method=method, path=path, **note)
        try:
            told = Told(self.shared.stack.request(
                method, path, body, headers, timeout=TIMEOUT_S))
        except (OSError, http.client.HTTPException) as e:
            told = Told(error="%s: %s" % (type(e).__name__, e))
        more = dict(note)
        if told.json is not None and isinstance(told.json, dict):
            more.update({k: told.json[k] for k in (
                "id", "detail", "message", "last_seq") if k in told.json})
        journal.write(self.name, what, op=op, begun=begun,
                      replayed=told.replayed, path=path,
                      **told.for_journal(), **more)
        return told

    # --- posting ------------------------------------------------------------

    def form(self, op):
        """Fields with a mark that finds the row again."""
        mark = "op-%d" % op
        return mark, {
            "platform_name": PLATFORM,
            "prompt": "%s, seed %s %s" % (self.rng.choice(FOODS), self.seed,
                                          mark),
            "num_variants": str(self.rng.choice((1, 1, 1, 2))),
        }

    def post_once(self, op, mark, fields, photo, key):
        if photo:
            ctype, body = multipart(list(fields.items()), [
                ("image_file", "tart.jpg", "image/jpeg", self.shared.photo)])
        else:
            ctype, body = multipart(list(fields.items()))
        headers = {"Content-Type": ctype}
        if key:
            headers["Idempotency-Key"] = key
        told = self.ask(op, "post", "POST", "/api/v1/runs", body, headers,
                        mark=mark, photo=photo, key=key)
        if told.status == 200 and told.json:
            self.shared.add_run(told.json["id"])
        return told

    def may_post(self):
        return self.shared.n_open() < MAX_OPEN

    def post(self, photo=False):
        """Without a key: an answer that is lost leaves one in doubt."""
        if self.may_post():
            op = next(operations)
            mark, fields = self.form(op)
            self.post_once(op, mark, fields, photo, None)

    def post_photo(self):
        self.post(photo=True)

    def post_keyed(self, photo=False):
        """With a key: repeated until somebody who knows has answered."""
        if not self.may_post():
            return
        op = next(operations)
        mark, fields = self.form(op)
        key = "key-%s" % uuid.UUID(int=self.rng.getrandbits(128))
        told = self.post_once(op, mark, fields, photo, key)
        while not told.final and not self.stopping.is_set():
            self.stopping.wait(self.rng.uniform(*REPEAT_PAUSE_S))
            told = self.post_once(op, mark, fields, photo, key)
        # A client that does not trust its own memory.
        if self.rng.random() < 0.3:
            self.post_once(op, mark, fields, photo, key)

    def post_keyed_photo(self):
        self.post_keyed(photo=True)

    def post_twins(self):
        """The same request twice at the same time."""
        if not self.may_post():
            return
        op = next(operations)
        mark, fields = self.form(op)
        key = "key-%s" % uuid.UUID(int=self.rng.getrandbits(128))
        twin = threading.Thread(target=self.post_once, args=(
            op, mark, fields, True, key))
        twin.start()
        self.post_once(op, mark, fields, True, key)
        twin.join()

    def post_json(self):
        """The other shape of a request, with its photo in it."""
        if not self.may_post():
            return
        op = next(operations)
        mark, fields = self.form(op)
        key = "key-%s" % uuid.UUID(int=self.rng.getrandbits(128))
        body = json.dumps(dict(
            fields, num_variants=int(fields["num_variants"]), image_file={
                "filename": "tart.jpg", "content_type": "image/jpeg",
                "data": base64.b64encode(self.shared.photo).decode()}))
        told = None
        while told is None or not (told.final or self.stopping.is_set()):
            told = self.ask(op, "post", "POST", "/api/v1/runs", body, {
                "Content-Type": "application/json", "Idempotency-Key": key},
                mark=mark, photo=True, key=key)
            if told.status == 200 and told.json:
                self.shared.add_run(told.json["id"])

    def post_nonsense(self):
        """Refused by the rules, or by the key of another request."""
        op = next(operations)
        mark, fields = self.form(op)
        self.ask(op, "nonsense", "POST", "/api/v1/runs",
                 *self.encode(dict(fields, num_variants="77")), mark=mark)

    @staticmethod
    def encode(fields):
        ctype, body = multipart(list(fields.items()))
        return body, {"Content-Type": ctype}

    # --- the rest -----------------------------------------------------------

    def cancel(self):
        run_id = self.shared.some_run(self.rng, True)
        if run_id:
            self.ask(next(operations), "cancel", "POST",
                     "/api/v1/runs/%s/cancel" % run_id, run=run_id)

    def delete(self):
        """It may have ended or not: then it is refused."""
        run_id = self.shared.some_run(self.rng, False)
        if run_id:
            self.ask(next(operations), "delete", "DELETE",
                     "/api/v1/runs/" + run_id, run=run_id)
            self.shared.note_end(run_id)

    def show(self):
        """What a client sees of a run, for the audit to compare."""
        run_id = self.shared.some_run(self.rng, True)
        if not run_id:
            return
        op = next(operations)
        told = self.ask(op, "show", "GET", "/api/v1/runs/" + run_id,
                        run=run_id)
        if told.status != 200 or not told.json:
            return
        state = told.json.get("status")
        self.shared.journal.write(self.name, "saw", op=op, run=run_id,
                                  state=state)
        if state in TERMINAL:
            self.shared.note_end(run_id)

    def events(self):
        run_id = self.shared.some_run(self.rng, False)
        if not run_id:
            return
        op = next(operations)
        told = self.ask(op, "events", "GET",
                        "/api/v1/runs/%s/events?limit=500" % run_id,
                        run=run_id)
        if told.status == 200 and told.json:
            self.shared.journal.write(
                self.name, "saw events", op=op, run=run_id,
                events=[[e["seq"], e["type"],
                         e["data"].get("stage_name"), e["data"].get("status")]
                        for e in told.json["events"]])

    def follow(self):
        """Live, coming back after each interruption, as a browser does."""
        run_id = self.shared.some_run(self.rng, True)
        if not run_id:
            return
        op = next(operations)
        journal = self.shared.journal
        journal.write(self.name, "follow begins", op=op, run=run_id)
        got, breaks = [], 0
        end = time.monotonic() + self.rng.uniform(*FOLLOW_S)
        while time.monotonic() < end and not self.stopping.is_set() and \
                not (got and got[-1][1] in ENDS):
            try:
                self.hear(run_id, got, end)
            except (OSError, ValueError, Refused) as e:
                breaks += 1
                journal.write(self.name, "follow breaks", op=op, run=run_id,
                              error="%s: %s" % (type(e).__name__, e))
                self.stopping.wait(0.2)
        journal.write(self.name, "saw events", op=op, run=run_id, events=got,
                      breaks=breaks)

    def hear(self, run_id, got, end):
        stack = self.shared.stack
        with Stream(stack, run_id, after=None if got else 0,
                    last_id=got[-1][0] if got else None, timeout=3,
                    where=("127.0.0.1", stack.port)) as es:
            while time.monotonic() < end and not self.stopping.is_set():
                try:
                    e = es.event(0.5)
                except TimeoutError:
                    continue
                if e is None:
                    return
                m = e["message"]
                if m.get("seq") is not None:
                    got.append([m["seq"], m["type"],
                                m["data"].get("stage_name"),
                                m["data"].get("status")])

    def list(self):
        op = next(operations)
        told = self.ask(op, "list", "GET", "/api/v1/runs/?page_size=%d" %
                        self.rng.choice((5, 20, 100)))
        if told.status == 200 and told.json:
            for run in told.json["runs"]:
                if run["status"] in TERMINAL:
                    self.shared.note_end(run["id"])

    def look_at_results(self):
        run_id = self.shared.some_run(self.rng, False)
        if not run_id:
            return
        op = next(operations)
        told = self.ask(op, "results", "GET",
                        "/api/v1/runs/%s/results" % run_id, run=run_id)
        if told.status != 200 or not told.json:
            return
        for image in told.json["generated_images"]:
            if image["image_path"]:
                self.ask(op, "file", "GET", "/api/v1/files/%s/%s" % (
                    run_id, image["image_path"]), run=run_id)


def always(_stack):
    return True


def knows(method, path, unless, **request):
    """Available unless the server answers with that status."""
    def ask(stack):
        return stack.request(method, path, **request).status != unless
    return ask


UNKNOWN_RUN = "/api/v1/runs/7b0f5c1e-2f64-4b8e-9d55-0c9a2f3f1a11"


# (method of Client, weight, available)
ACTIONS = [
    ("post", 8, always),
    ("post_photo", 4, always),
    ("post_keyed", 10, always),
    ("post_keyed_photo", 8, always),
    ("post_twins", 3, always),
    ("post_json", 3, knows("POST", "/api/v1/runs", 415, body="{}", headers={
        "Content-Type": "application/json"})),
    ("post_nonsense", 2, always),
    ("cancel", 7, always),
    ("delete", 4, knows("DELETE", UNKNOWN_RUN, 405)),
    ("show", 16, always),
    ("events", 8, always),
    ("follow", 8, always),
    ("list", 8, always),
    ("look_at_results", 8, always),
]


def actions_of(stack):
    return [(name, weight) for name, weight, available in ACTIONS
            if available(stack)]
