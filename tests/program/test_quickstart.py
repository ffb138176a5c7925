"""The first command of the README, as a stranger uses it."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest
import urllib.request

from stack import BUILD, SRC, Stack, wait_until

WEB_PROGRAMS = {"lighttpd": "lighttpd", "nginx": "nginx", "apache": "apache2"}
QUICKSTART = os.path.join(SRC, "deploy/quickstart")


def processes_of(folder):
    """pid -> command line of everything that mentions folder."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                line = f.read().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if folder in line and int(pid) != os.getpid():
            found[int(pid)] = line
    return found


class Quickstart(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="churns-quick.")
        os.chmod(self.dir, 0o755)       # the web server is somebody else
        self.tmp = os.path.join(self.dir, "tmp")
        os.mkdir(self.tmp)
        self.state = os.path.join(self.dir, "a & b's \u00e4")
        self.env = dict(os.environ, CHURNS_BUILD=BUILD, TMPDIR=self.tmp)

    def tearDown(self):
        for pid in processes_of(self.dir):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.dir, ignore_errors=True)

    def start(self, *options):
        self.out = open(os.path.join(self.dir, "out"), "w+b")
        self.addCleanup(self.out.close)
        return subprocess.Popen(
            [QUICKSTART, "--no-install", "--port", "0"] + list(options),
            stdout=self.out, stderr=self.out, env=self.env,
            stdin=subprocess.DEVNULL)

    def said(self):
        with open(os.path.join(self.dir, "out"), encoding="utf-8") as f:
            return f.read()

    def test_once_prints_the_result_and_leaves_nothing_running(self):
        process = self.start("--once", "--dir", self.state)
        self.assertEqual(process.wait(120), 0, self.said())
        said = self.said()
        self.assertRegex(said, r"(?m)^run [0-9a-f-]{36} COMPLETED$")
        pictures = re.findall(r"(?m)^picture (.*)$", said)
        self.assertEqual(len(pictures), 2)
        for path in pictures:
            self.assertTrue(path.startswith(self.state + "/"))
            self.assertGreater(os.path.getsize(path), 10000)
        self.assertRegex(said, r"(?m)^cost USD 0\.\d+ \(simulated\)$")
        self.assertEqual(processes_of(self.dir), {})
        self.assertEqual(os.listdir(self.tmp), [])

    def test_it_stays_revives_what_dies_and_stops_all(self):
        """With each web server, twice in the same directory but for the port."""
        for web, name in WEB_PROGRAMS.items():
            with self.subTest(web=web):
                self.stay(web, name)

    def stay(self, web, web_program):
        process = self.start("--web", web, "--dir", self.state)
        wait_until(lambda: "Churns is at work" in self.said() or
                   process.poll() is not None, 120, "the sample to end")
        self.assertIsNone(process.poll(), self.said())
        base = re.search(r"the page +(http://\S+?)/?\n", self.said()).group(1)

        def status(path):
            try:
                return urllib.request.urlopen(base + path, timeout=5).status
            except OSError as e:
                return getattr(e, "code", 0)
        run_id = re.search(r"(?m)^run (\S+) COMPLETED$", self.said()).group(1)
        stream = "/api/v1/runs/%s/stream?after=0" % run_id
        for path in ("/", "/health/ready", "/api/v1/runs/", "/sim/counters",
                     "/docs", stream):
            self.assertEqual(status(path), 200, path)
        state = self.state
        for name in ("churns-runner", "churns-push", web_program):
            before = {pid for pid, line in processes_of(state).items()
                      if name in line.split(" ")[0]}
            self.assertTrue(before, name)
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: status("/health/ready") == 200 and
                       status(stream) == 200 and
                       {pid for pid, line in processes_of(state).items()
                        if name in line.split(" ")[0]} - before, 20,
                       name + " to be back")
        api = {pid for pid, line in processes_of(state).items()
               if "churns-api" in line.split(" ")[0]}
        for pid in api:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: status("/health/ready") == 200, 20,
                   "the API to be back")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(20), 0)
        self.assertEqual(processes_of(state), {})
        self.assertIn("What it made is in " + state, self.said())

    def test_what_was_for_play_is_removed(self):
        process = self.start()
        wait_until(lambda: "Churns is at work" in self.said() or
                   process.poll() is not None, 120, "the sample to end")
        self.assertEqual(len(os.listdir(self.tmp)), 1)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(20), 0)
        self.assertEqual(os.listdir(self.tmp), [])
        self.assertEqual(processes_of(self.tmp), {})

    def test_a_port_in_use_is_said_plainly(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            done = subprocess.run(
                [QUICKSTART, "--no-install", "--once", "--port",
                 str(s.getsockname()[1])],
                capture_output=True, text=True, env=self.env, timeout=120,
                check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("in use", done.stderr)
        self.assertEqual(os.listdir(self.tmp), [])

    def test_a_web_server_nobody_knows_is_refused(self):
        done = subprocess.run([QUICKSTART, "--web", "iis"], capture_output=True,
                              text=True, env=self.env, timeout=20, check=False)
        self.assertEqual(done.returncode, 64)
        self.assertIn("--web", done.stderr)

    def test_real_base_urls_come_from_an_env_file(self):
        with Stack(api=False, web=False, sim=True) as s:
            path = os.path.join(self.dir, "real.env")
            sim = "http://127.0.0.1:%d" % s.sim_port
            with open(path, "w", encoding="utf-8") as f:
                for name, tail in (("OPENROUTER", "/v1"), ("OPENAI", "/v1"),
                                   ("GEMINI", "/v1beta")):
                    f.write("%s_BASE_URL=%s/%s%s\n%s_API_KEY=k-%s\n" % (
                        name, sim, name.lower(), tail, name, name))
            process = self.start("--once", "--env", path, "--dir", self.state)
            self.assertEqual(process.wait(120), 0, self.said())
            self.assertNotIn("(simulated)", self.said())
            self.assertGreater(s.counters()["calls"]["chat"], 4)


if __name__ == "__main__":
    unittest.main()
