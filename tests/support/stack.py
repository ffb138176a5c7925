"""A whole Churns on loopback for one test: real web server, real programs.

    with Stack(runner=True, sim=True, web="nginx") as s:
        run = s.submit(prompt="lemon tart", num_variants="2")
        run = s.wait(run["id"])

The web server (lighttpd unless told otherwise, by web= or CHURNS_TEST_WEB) has
the configuration of deploy/, made by deploy/web-config.  Started by root it is
www-data and reads what its group may, as in production.

State lives in a temporary directory that is removed when the test succeeded;
CHURNS_KEEP=1 keeps it.  CHURNS_BUILD names the build directory, CHURNS_SRC the
source tree.
"""
import grp
import http.client
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse
import uuid

SRC = os.environ.get("CHURNS_SRC") or os.path.dirname(os.path.dirname(
    os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("CHURNS_BUILD") or os.path.join(SRC, "build")
WEB_SERVERS = ("lighttpd", "nginx", "apache")
WEB_USER = "www-data"
# How each sends files: api.sendfile.
SENDFILE = {"lighttpd": "x-sendfile", "nginx": "x-accel",
            "apache": "x-sendfile"}
TERMINAL = ("COMPLETED", "FAILED", "CANCELLED")
PLATFORM = "Instagram Post (1:1 Square)"
OURS = re.compile(r"^(CHURNS_|OPENROUTER_|OPENAI_|GEMINI_|LLM_|IMAGE_|IMG_EVAL_|"
                  r"STRATEGY_|STYLE_|CREATIVE_EXPERT_|CAPTION_|MAX_PARALLEL_|"
                  r"PRESENTATION_MODE|LOG_LEVEL|ENV$)")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(condition, seconds, what, pause=0.02):
    """The condition's first true value; an error that names what was awaited."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited %s s in vain for %s" % (seconds, what))
        time.sleep(pause)


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "<%d %r>" % (self.status, self.body[:500])


def multipart(fields, files=()):
    """(content type, body) of a form; files: (name, filename, type, bytes)."""
    boundary = "b" + uuid.uuid4().hex
    parts = []
    for name, value in fields:
        parts.append(('--%s\r\nContent-Disposition: form-data; name="%s"'
                      '\r\n\r\n%s\r\n' % (boundary, name, value)).encode())
    for name, filename, ctype, data in files:
        parts.append(('--%s\r\nContent-Disposition: form-data; name="%s"; '
                      'filename="%s"\r\nContent-Type: %s\r\n\r\n' % (
                          boundary, name, filename, ctype)).encode())
        parts.append(data + b"\r\n")
    parts.append(("--%s--\r\n" % boundary).encode())
    return "multipart/form-data; boundary=" + boundary, b"".join(parts)


class Stack:
    """Starts what is asked for, in order sim, runner, api, push, web.

    web: the name of a server, True for the usual one, False for none.
    web_edit: function(text) that gives another text of its configuration.
    """

    def __init__(self, web=True, api=True, runner=False, sim=False, env=None,
                 conf=None, keep=False, data="data", push=False,
                 web_edit=None):
        self.want = {"web": bool(web), "api": api, "runner": runner, "sim": sim,
                     "push": push}
        self.web = web if isinstance(web, str) else os.environ.get(
            "CHURNS_TEST_WEB", WEB_SERVERS[0])
        self.web_edit = web_edit
        self.extra = dict(env or {})
        self.conf_edits = conf      # function(conf dir) called before start
        self.keep = keep or bool(os.environ.get("CHURNS_KEEP"))
        self.processes = {}
        self.logs = {}
        self.dir = tempfile.mkdtemp(prefix="churns-test.")
        self.data = os.path.join(self.dir, data)
        self.run_dir = os.path.join(self.dir, "run")
        self.conf = os.path.join(self.dir, "conf")
        self.port = free_port()
        self.sim_port = free_port()
        self.base = "http://127.0.0.1:%d" % self.port

    # --- life ------------------------------------------------------------

    def __enter__(self):
        try:
            self.prepare()
            for name in ("sim", "runner", "api", "push", "web"):
                if self.want[name]:
                    self.start(name)
            if self.want["web"] and self.want["api"]:
                self.wait_healthy()
            if self.want["web"] and self.want["api"] and self.want["runner"]:
                self.wait_ready()
        except BaseException:
            self.keep = True
            self.stop_all()
            print(self.tails())
            raise
        return self

    def __exit__(self, kind, value, trace):
        self.stop_all()
        if kind is None:
            self.check_logs()
        if kind is not None:
            print("state kept in", self.dir)
            print(self.tails())
        elif not self.keep:
            shutil.rmtree(self.dir, ignore_errors=True)
        return False

    def prepare(self):
        os.makedirs(self.data, exist_ok=True)
        os.makedirs(self.run_dir, exist_ok=True)
        os.chmod(self.dir, 0o755)
        shutil.copytree(os.path.join(SRC, "conf"), self.conf)
        if self.conf_edits:
            self.conf_edits(self.conf)
        sim = "http://127.0.0.1:%d" % self.sim_port
        values = {
            "CHURNS_DATA_DIR": self.data,
            "CHURNS_RUN_DIR": self.run_dir,
            "CHURNS_API_LISTEN": os.path.join(self.run_dir, "api.sock"),
            "CHURNS_PUSH_LISTEN": os.path.join(self.run_dir, "push.sock"),
            "CHURNS_IMAGE_HELPER": os.path.join(BUILD, "churns-image"),
            "CHURNS_API_SENDFILE": SENDFILE[self.web],
            "OPENROUTER_BASE_URL": sim + "/openrouter/v1",
            "OPENAI_BASE_URL": sim + "/openai/v1",
            "GEMINI_BASE_URL": sim + "/gemini/v1beta",
        }
        for name in ("OPENROUTER", "OPENAI", "GEMINI"):
            values[name + "_API_KEY"] = "sim-key"
            values[name + "_SIMULATED"] = "1"
        values.update(self.extra)
        self.env_file = os.path.join(self.dir, "settings.env")
        with open(self.env_file, "w", encoding="utf-8") as f:
            for name, value in values.items():
                if value is not None:
                    f.write("%s='%s'\n" % (name, value))
        os.chmod(self.env_file, 0o600)
        self.prepare_web()

    def prepare_web(self):
        """Configuration, directory and rights of the web server."""
        tmp = os.path.join(self.dir, "web")
        www = os.path.join(self.dir, "www")
        os.makedirs(tmp)
        shutil.copytree(os.path.join(SRC, "src/www"), www)
        cors = shutil.copy(os.path.join(SRC, "deploy/lighttpd/cors.lua"),
                           self.dir)
        user = pwd.getpwuid(os.geteuid()).pw_name
        group = grp.getgrgid(os.getegid()).gr_name
        if os.geteuid() == 0:
            user = group = WEB_USER
            shutil.chown(tmp, user, group)
            # What is made below belongs to the web server's group, too.
            for folder in (self.data, self.run_dir):
                shutil.chown(folder, "root", group)
                os.chmod(folder, 0o2750)
        made = subprocess.run(
            [os.path.join(SRC, "deploy/web-config"), "--alone", self.web,
             "PORT=%d" % self.port, "TMP=" + tmp, "WWW=" + www,
             "SOCKET=" + os.path.join(self.run_dir, "api.sock"),
             "PUSH=" + os.path.join(self.run_dir, "push.sock"),
             "RUNS=" + os.path.join(self.data, "runs"),
             "USER=" + user, "GROUP=" + group,
             "CORS=" + cors, "SIM_PORT=%d" % self.sim_port],
            stdout=subprocess.PIPE, check=True).stdout.decode("utf-8")
        if self.web_edit:
            made = self.web_edit(made)
        self.web_conf = os.path.join(self.dir, self.web + ".conf")
        with open(self.web_conf, "w", encoding="utf-8") as f:
            f.write(made)

    def web_command(self, *more):
        """The web server in the foreground, or with other options."""
        conf = self.web_conf
        name, options = {
            "lighttpd": ("lighttpd", ["-f", conf] + list(more or ["-D"])),
            "nginx": ("nginx", ["-e", "stderr", "-c", conf] + list(more)),
            "apache": ("apache2", ["-f", conf] + list(more or
                                                      ["-DFOREGROUND"])),
        }[self.web]
        return [shutil.which(name) or "/usr/sbin/" + name] + options

    def environment(self):
        return {k: v for k, v in os.environ.items() if not OURS.match(k)}

    def command(self, name):
        ours = ["--conf", self.conf, "--env", self.env_file]
        return {
            "sim": [self.program("churns-sim"), "--quiet", "--listen",
                    "127.0.0.1:%d" % self.sim_port],
            "runner": [self.program("churns-runner")] + ours,
            "runner2": [self.program("churns-runner")] + ours,
            "api": [self.program("churns-api")] + ours,
            "push": [self.program("churns-push")] + ours,
            "web": self.web_command(),
        }[name]

    @staticmethod
    def program(name):
        return os.path.join(BUILD, name)

    def start(self, name, env=None, prefix=(), wait=True):
        path = os.path.join(self.dir, name + ".log")
        self.logs[name] = path
        seen = len(self.log(name))
        environment = self.environment()
        if name == "web":
            environment["TMPDIR"] = os.path.join(self.dir, "web")
        environment.update(env or {})
        with open(path, "ab") as log:
            self.processes[name] = subprocess.Popen(
                list(prefix) + self.command(name), stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, env=environment,
                start_new_session=True)
        if not wait:
            return self.processes[name]
        if name == "sim":
            wait_until(lambda: self.connects(self.sim_port), 10, "churns-sim")
        if name in ("api", "push"):
            # Whoever comes before it listens would be refused.
            process = self.processes[name]
            wait_until(lambda: process.poll() is not None or
                       "ready to serve" in self.log(name)[seen:], 10,
                       "churns-%s to listen" % name)
        if name == "web":
            process = self.processes[name]
            wait_until(lambda: process.poll() is not None or
                       self.connects(self.port), 10, "the web server")
        return self.processes[name]

    def ctl(self, *args, timeout=60):
        """Runs churnsctl; (status, stdout, stderr)."""
        done = subprocess.run(
            [self.program("churnsctl"), args[0], "--conf", self.conf, "--env",
             self.env_file] + list(args[1:]), env=self.environment(),
            capture_output=True, text=True, timeout=timeout, check=False)
        return done.returncode, done.stdout, done.stderr

    def kill(self, name, how=signal.SIGKILL, wait=10):
        """Signal a program and (wait not None) collect its exit status."""
        process = self.processes[name]
        try:
            process.send_signal(how)
        except ProcessLookupError:
            pass
        if wait is None:
            return None
        status = process.wait(wait)
        del self.processes[name]
        return status

    def stop_all(self):
        for how, patience in ((signal.SIGTERM, 8), (signal.SIGKILL, 5)):
            for process in self.processes.values():
                if process.poll() is None:
                    process.send_signal(how)
            end = time.monotonic() + patience
            while time.monotonic() < end and any(
                    p.poll() is None for p in self.processes.values()):
                time.sleep(0.02)
        # Workers whose parent was killed on purpose.
        for process in self.processes.values():
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        self.processes.clear()

    def check_logs(self):
        """A program that a sanitizer stopped may have been replaced unseen."""
        for name in self.logs:
            for sign in ("Sanitizer: ", "runtime error: "):
                if sign in self.log(name):
                    print(self.tails(200))
                    raise AssertionError("%s: %s" % (name, sign))

    def log(self, name):
        try:
            with open(self.logs[name], encoding="utf-8", errors="replace") as f:
                return f.read()
        except (KeyError, FileNotFoundError):
            return ""

    def tails(self, lines=25):
        return "\n".join("--- %s\n%s" % (
            name, "\n".join(self.log(name).split("\n")[-lines:]))
            for name in self.logs)

    @staticmethod
    def connects(port):
        with socket.socket() as s:
            s.settimeout(1)
            return s.connect_ex(("127.0.0.1", port)) == 0

    def wait_healthy(self):
        def healthy():
            try:
                return self.get("/health").status == 200
            except (OSError, http.client.HTTPException):
                return False
        wait_until(healthy, 15, "GET /health")

    def wait_ready(self, seconds=15):
        wait_until(lambda: self.get("/health/ready").status == 200, seconds,
                   "GET /health/ready")

    # --- requests ----------------------------------------------------------

    def request(self, method, path, body=None, headers=None, port=None,
                timeout=60):
        connection = http.client.HTTPConnection(
            "127.0.0.1", port or self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.request("GET", path, headers={
            k.replace("_", "-"): v for k, v in headers.items()})

    def post_form(self, path, fields, files=(), headers=None):
        """multipart when there are files, else urlencoded."""
        if isinstance(fields, dict):
            fields = list(fields.items())
        if files:
            ctype, body = multipart(fields, files)
        else:
            ctype = "application/x-www-form-urlencoded"
            body = urllib.parse.urlencode(fields).encode()
        return self.request("POST", path, body, dict(
            {"Content-Type": ctype}, **(headers or {})))

    def submit(self, image=None, **fields):
        """POST /api/v1/runs that must succeed; the Run."""
        fields.setdefault("platform_name", PLATFORM)
        fields.setdefault("prompt", "lemon tart, weekend special")
        files = [("image_file", "tart.jpg", "image/jpeg", image)] if image else ()
        answer = self.post_form("/api/v1/runs", fields, files)
        assert answer.status == 200, answer
        return answer.json

    def run(self, run_id):
        answer = self.get("/api/v1/runs/" + run_id)
        assert answer.status == 200, answer
        return answer.json

    def wait(self, run_id, seconds=60, status=TERMINAL):
        return wait_until(
            lambda: (lambda r: r if r["status"] in status else None)(
                self.run(run_id)), seconds, "run %s to be %s" % (run_id, status))

    def results(self, run_id):
        answer = self.get("/api/v1/runs/%s/results" % run_id)
        assert answer.status == 200, answer
        return answer.json

    def events(self, run_id, after=0):
        rows = []
        while True:
            answer = self.get("/api/v1/runs/%s/events?after=%d" % (
                run_id, rows[-1]["seq"] if rows else after))
            assert answer.status == 200, answer
            page = answer.json
            if not page["events"]:
                return rows
            rows += page["events"]

    # --- the provider --------------------------------------------------------

    def sim(self, method, path, body=None):
        answer = self.request(
            method, path, json.dumps(body) if body is not None else None,
            {"Content-Type": "application/json"} if body is not None else {},
            port=self.sim_port)
        assert answer.status == 200, answer
        return answer.json

    def script(self, latency_ms=0, *faults):
        return self.sim("POST", "/sim/script",
                        {"latency_ms": latency_ms, "faults": list(faults)})

    def counters(self):
        return self.sim("GET", "/sim/counters")

    def photo(self):
        """Bytes of a photo-like JPEG; drawn once per build, since a good one
        takes seconds."""
        program = self.program("churns-sim")
        path = os.path.join(BUILD, "test-photo-%d.jpg" % os.stat(
            program).st_mtime_ns)
        if not os.path.exists(path):
            made = "%s.%d" % (path, os.getpid())
            subprocess.run([program, "--make-photo", made], check=True,
                           stdout=subprocess.DEVNULL)
            os.replace(made, path)
        with open(path, "rb") as f:
            return f.read()

    def run_files(self, run_id):
        folder = os.path.join(self.data, "runs", run_id)
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []

    def sql(self, query):
        """Rows of the database, read with the sqlite3 shell: a second opinion."""
        path = os.path.join(self.data, "db", "churns.sqlite")
        done = subprocess.run(["sqlite3", "-json", "-readonly", path, query],
                              capture_output=True, text=True, check=True)
        return json.loads(done.stdout) if done.stdout.strip() else []

    def write_sql(self, statement):
        """Change the database behind everybody's back."""
        path = os.path.join(self.data, "db", "churns.sqlite")
        subprocess.run(["sqlite3", path, ".timeout 5000", statement],
                       check=True, capture_output=True)
