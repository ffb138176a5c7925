"""The processes of churns-api: how they start, are replaced, reload and end.

No request that was accepted may be lost by any of it, and no upload that was
cut may leave its file.
"""
import os
import re
import signal
import socket
import stat
import subprocess
import threading
import time
import unittest

from fastcgi import Request
from stack import BUILD, PLATFORM, Stack, multipart, wait_until

MIB = 1024 * 1024
BIG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x0a\0\0\0\x0a" + os.urandom(4 * MIB)
FORM = [("platform_name", PLATFORM), ("prompt", "tart")]


def edit(path, old, new):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    assert old in text, (path, old)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace(old, new, 1))


class Case(unittest.TestCase):
    def stack(self, **options):
        """Runs until the test ends; its logs are shown when that failed."""
        s = Stack(**options)
        s.__enter__()
        self.addCleanup(s.__exit__, None, None, None)
        self.s = s
        return s

    def socket_path(self):
        return os.path.join(self.s.run_dir, "api.sock")

    def uploads(self):
        return os.listdir(os.path.join(self.s.data, "uploads"))

    def workers(self):
        """Pids of the worker processes."""
        pid = self.s.processes["api"].pid
        with open("/proc/%d/task/%d/children" % (pid, pid),
                  encoding="ascii") as f:
            return [int(p) for p in f.read().split()]

    def half_an_upload(self):
        """A POST that stops in its middle; (request, rest of the body)."""
        ctype, body = multipart(FORM, [("image_file", "x.png", "image/png",
                                        BIG)])
        request = Request(self.socket_path(), "POST", "/api/v1/runs",
                          {"Content-Type": ctype}, len(body))
        self.addCleanup(request.close)
        half = len(body) // 2
        request.write(body[:half])
        wait_until(self.uploads, 5, "the upload to begin")
        return request, body[half:]

    def start_alone(self):
        """churns-api without a web server, until it answers."""
        self.stack(web=False)
        wait_until(self.answers, 10, "churns-api")

    def answers(self):
        try:
            return Request(self.socket_path(), "GET", "/health").finish()[0] == 200
        except OSError:
            return False


class Load:
    """Requests without pause from several threads while something happens."""

    def __init__(self, s, threads=4):
        self.s = s
        self.stop = threading.Event()
        self.statuses = []
        self.faults = []
        self.threads = [threading.Thread(target=self.work, args=(i,))
                        for i in range(threads)]

    def work(self, i):
        while not self.stop.is_set():
            try:
                if i % 2:
                    answer = self.s.post_form("/api/v1/runs", FORM)
                else:
                    answer = self.s.get("/api/v1/runs?page_size=1")
                self.statuses.append(answer.status)
                if answer.status != 200:
                    self.faults.append(answer)
            except OSError as e:
                self.faults.append(e)

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for t in self.threads:
            t.join()


class Starting(Case):
    def run_api(self, *args, conf=None, env=None):
        s = self.stack(web=False, api=False, conf=conf, env=env)
        return subprocess.run(s.command("api") + list(args),
                              env=s.environment(), capture_output=True,
                              text=True, timeout=20, check=False)

    def test_help_and_version_and_usage(self):
        for args, status, says in ((["--help"], 0, "usage: churns-api"),
                                   (["--version"], 0, "churns-api 1"),
                                   (["--no-such"], 64, "usage: churns-api"),
                                   (["extra"], 64, "extra")):
            done = subprocess.run([os.path.join(BUILD, "churns-api")] + args,
                                  capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, status)
            self.assertIn(says, done.stdout + done.stderr)

    def test_all_faults_of_a_configuration_are_named_with_their_lines(self):
        def spoil(conf):
            edit(os.path.join(conf, "churns.yml"), "  workers: 2",
                 "  workers: many")
            edit(os.path.join(conf, "churns.yml"), "  threads: 8",
                 "  no_such: 8")
            edit(os.path.join(conf, "stage_order.yml"), "  - caption",
                 "  - no_such_stage")
            edit(os.path.join(conf, "platforms.yml"), "platforms:",
                 "platform:")
            with open(os.path.join(conf, "schemas", "x.json"), "w",
                      encoding="ascii") as f:
                f.write("{")
        done = self.run_api(conf=spoil)
        self.assertEqual(done.returncode, 78)
        for pattern in (r"churns\.yml:\d+: .*workers",
                        r"churns\.yml:\d+: .*no_such",
                        r"platforms\.yml:\d+: ",
                        r"schemas/x\.json: "):
            self.assertRegex(done.stderr, pattern)
        self.assertNotIn("worker started", done.stderr)

    def test_a_stage_that_does_not_exist_ends_the_start(self):
        done = self.run_api(conf=lambda conf: edit(
            os.path.join(conf, "stage_order.yml"), "  - caption",
            "  - no_such_stage"))
        self.assertEqual(done.returncode, 78)
        self.assertRegex(done.stderr, r"stage_order\.yml:\d+: .*no_such_stage")

    def test_a_data_directory_that_cannot_be_ends_the_start(self):
        done = self.run_api(env={"CHURNS_DATA_DIR": "/dev/null/x"})
        self.assertEqual(done.returncode, 78)
        self.assertIn("data_dir", done.stderr)

    def test_a_database_that_is_none_ends_the_start(self):
        def spoil(conf):
            db = os.path.join(os.path.dirname(conf), "data", "db")
            os.makedirs(db)
            with open(os.path.join(db, "churns.sqlite"), "w",
                      encoding="ascii") as f:
                f.write("this is no database\n" * 100)
        began = time.monotonic()
        done = self.run_api(conf=spoil)
        self.assertEqual(done.returncode, 78)
        self.assertIn("churns.sqlite", done.stderr)
        self.assertLess(time.monotonic() - began, 5)

    def test_a_socket_in_use_is_not_taken(self):
        self.start_alone()
        done = subprocess.run(self.s.command("api"), env=self.s.environment(),
                              capture_output=True, text=True, timeout=20,
                              check=False)
        self.assertEqual(done.returncode, 78)
        self.assertIn("api.sock", done.stderr)
        self.assertTrue(self.answers())

    def test_a_socket_left_behind_is(self):
        self.start_alone()
        self.s.kill("api")
        self.assertTrue(os.path.exists(self.socket_path()))
        self.s.start("api")
        wait_until(self.answers, 10, "churns-api")
        self.assertIsNone(self.s.processes["api"].poll())

    def test_the_socket_is_for_the_group_alone(self):
        self.start_alone()
        mode = stat.S_IMODE(os.stat(self.socket_path()).st_mode)
        self.assertEqual(mode, 0o660)
        self.assertEqual(self.s.kill("api", signal.SIGTERM), 0)
        self.assertFalse(os.path.exists(self.socket_path()))

    def test_a_socket_may_be_given(self):
        """As a web server that starts it does: fd 0 is listening."""
        s = self.stack(web=False, api=False)
        path = os.path.join(s.run_dir, "given.sock")
        with socket.socket(socket.AF_UNIX) as given:
            given.bind(path)
            given.listen()
            api = subprocess.Popen(s.command("api"), stdin=given,
                                   env=s.environment(),
                                   stderr=subprocess.DEVNULL)
            try:
                self.assertEqual(Request(path, "GET", "/health").finish()[0],
                                 200)
            finally:
                api.terminate()
                self.assertEqual(api.wait(10), 0)
        self.assertTrue(os.path.exists(path))

    def test_a_host_and_port_may_be_given(self):
        s = self.stack(web=False, api=False)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        api = subprocess.Popen(
            s.command("api") + ["--listen", "127.0.0.1:%d" % port],
            env=s.environment(), stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: s.connects(port), 10, "the port")
        finally:
            api.terminate()
            self.assertEqual(api.wait(10), 0)

    def test_no_key_is_in_its_memory(self):
        self.stack(web=False, env={"OPENROUTER_API_KEY": "KEY-in-a-file-4711"})
        wait_until(self.answers, 10, "churns-api")
        for pid in self.workers() + [self.s.processes["api"].pid]:
            found = False
            with open("/proc/%d/maps" % pid, encoding="utf-8") as maps, \
                    open("/proc/%d/mem" % pid, "rb") as mem:
                for line in maps:
                    if " rw" not in line or "[v" in line:
                        continue
                    begin, end = (int(x, 16) for x in
                                  line.split()[0].split("-"))
                    if end - begin > 64 * MIB:
                        continue
                    try:
                        mem.seek(begin)
                        found |= b"KEY-in-a-file-4711" in mem.read(end - begin)
                    except OSError:
                        pass
            self.assertFalse(found)


class Replacing(Case):
    def test_a_killed_worker_is_replaced_and_its_upload_is_gone(self):
        self.stack()
        before = self.workers()
        self.half_an_upload()
        name = self.uploads()[0]
        pid = int(re.match(r"up-(\d+)-", name).group(1))
        self.assertIn(pid, before)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(self.workers()) == 2 and pid not in
                   self.workers(), 10, "a new worker")
        wait_until(lambda: not self.uploads(), 5, "the file to go")
        self.assertEqual(self.s.post_form("/api/v1/runs", FORM).status, 200)
        self.assertEqual(os.listdir(os.path.join(self.s.data, "runs")), [])

    def test_the_next_start_removes_uploads_of_the_dead(self):
        self.start_alone()
        self.half_an_upload()
        self.half_an_upload()
        self.assertEqual(len(self.uploads()), 2)
        workers = self.workers()
        os.killpg(self.s.processes["api"].pid, signal.SIGKILL)
        self.s.kill("api")
        wait_until(lambda: not any(os.path.exists("/proc/%d" % p)
                                   for p in workers), 8, "the workers to end")
        self.assertEqual(len(self.uploads()), 2)
        os.unlink(self.socket_path())
        self.s.start("api")
        wait_until(self.answers, 10, "churns-api")
        self.assertEqual(self.uploads(), [])

    def test_an_upload_in_hand_survives_the_start_of_another(self):
        """A second instance on the same data sweeps only what is dead."""
        self.start_alone()
        request, rest = self.half_an_upload()
        other = subprocess.Popen(
            self.s.command("api") + ["--listen", os.path.join(
                self.s.run_dir, "other.sock")],
            env=self.s.environment(), stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: os.path.exists(os.path.join(
                self.s.run_dir, "other.sock")), 10, "the other")
            request.write(rest)
            self.assertEqual(request.finish()[0], 200)
        finally:
            other.terminate()
            self.assertEqual(other.wait(10), 0)

    def test_a_client_that_goes_away_leaves_nothing(self):
        self.start_alone()
        request, _ = self.half_an_upload()
        request.close()
        wait_until(lambda: not self.uploads(), 10, "the file to go")
        self.assertTrue(self.answers())
        self.assertEqual(os.listdir(os.path.join(self.s.data, "runs")), [])

    def test_workers_retire_without_losing_a_request(self):
        self.stack(env={"CHURNS_API_MAX_REQUESTS": "50"})
        before = set(self.workers())
        with Load(self.s) as load:
            wait_until(lambda: not before & set(self.workers()), 30,
                       "both workers to be replaced")
            time.sleep(1)
        self.assertEqual(load.faults, [])
        self.assertGreater(len(load.statuses), 100)
        self.assertIn("reason=requests", self.s.log("api"))

    def test_workers_end_when_their_parent_is_killed(self):
        self.start_alone()
        workers = self.workers()
        self.s.kill("api")
        wait_until(lambda: not any(os.path.exists("/proc/%d" % p)
                                   for p in workers), 8, "the workers to end")


class Reloading(Case):
    def reload(self):
        """SIGHUP, and wait until every worker is a new one."""
        before = set(self.workers())
        self.s.processes["api"].send_signal(signal.SIGHUP)
        wait_until(lambda: len(self.workers()) == 2 and
                   not before & set(self.workers()), 15, "new workers")

    def test_reloading_under_load_loses_no_request(self):
        self.stack()
        with Load(self.s, 8) as load:
            for _ in range(4):
                time.sleep(0.3)
                self.reload()
        self.assertEqual(load.faults, [])
        self.assertGreater(len(load.statuses), 100)
        print("%d requests during four reloads, none lost" % len(load.statuses))
        total = self.s.get("/api/v1/runs").json["total"]
        self.assertEqual(total, len(self.s.sql("SELECT id FROM runs")))

    def test_a_request_in_hand_is_finished_by_the_old_worker(self):
        self.stack()
        request, rest = self.half_an_upload()
        self.s.processes["api"].send_signal(signal.SIGHUP)
        wait_until(lambda: "configuration loaded anew" in self.s.log("api"),
                   10, "the reload")
        request.write(rest)
        self.assertEqual(request.finish()[0], 200)

    def test_new_settings_are_in_force(self):
        self.stack()
        prompt = [("platform_name", PLATFORM), ("prompt", "x" * 200)]
        self.assertEqual(self.s.post_form("/api/v1/runs", prompt).status, 200)
        ids = {w["executors"]["generation"]["id"] for w in self.api_rows()}
        edit(os.path.join(self.s.conf, "churns.yml"), "max_brief_chars: 4000",
             "max_brief_chars: 100")
        self.reload()
        self.assertEqual(self.s.post_form("/api/v1/runs", prompt).status, 400)
        self.assertFalse(ids & {w["executors"]["generation"]["id"]
                                for w in self.api_rows()})

    def api_rows(self):
        pids = set(self.workers())
        return wait_until(lambda: (lambda rows: rows if {
            r["pid"] for r in rows} >= pids else None)([
                p for p in self.s.get("/health/executor-stats").json[
                    "processes"] if p["pid"] in pids]), 10, "the rows")

    def test_a_faulty_configuration_changes_nothing(self):
        self.stack()
        before = self.workers()
        edit(os.path.join(self.s.conf, "churns.yml"), "  workers: 2",
             "  workers: none")
        edit(os.path.join(self.s.conf, "stage_order.yml"), "  - caption",
             "  - caption\n  - no_such_stage\nno_such_mode: []")
        self.s.processes["api"].send_signal(signal.SIGHUP)
        wait_until(lambda: "new configuration refused" in self.s.log("api"),
                   10, "the refusal")
        self.assertEqual(self.workers(), before)
        self.assertEqual(self.s.post_form("/api/v1/runs", FORM).status, 200)
        for pattern in (r"churns\.yml:\d+: ", r"stage_order\.yml:\d+: "):
            self.assertRegex(self.s.log("api"), pattern)
        edit(os.path.join(self.s.conf, "churns.yml"), "  workers: none",
             "  workers: 3")
        edit(os.path.join(self.s.conf, "stage_order.yml"),
             "\n  - no_such_stage\nno_such_mode: []", "")
        self.s.processes["api"].send_signal(signal.SIGHUP)
        wait_until(lambda: len(self.workers()) == 3 and
                   not set(before) & set(self.workers()), 15, "new workers")


class Stopping(Case):
    def test_a_request_in_hand_is_finished(self):
        self.start_alone()
        request, rest = self.half_an_upload()
        self.s.processes["api"].send_signal(signal.SIGTERM)
        time.sleep(0.5)
        # Nobody accepts any more, but this one is still heard.
        self.assertIsNone(self.s.processes["api"].poll())
        request.write(rest)
        status, _, body = request.finish()
        self.assertEqual(status, 200)
        began = time.monotonic()
        self.assertEqual(self.s.processes["api"].wait(10), 0)
        self.assertLess(time.monotonic() - began, 3)
        self.assertIn(b'"PENDING"', body)
        self.assertEqual(len(self.s.sql("SELECT id FROM runs")), 1)
        self.assertEqual(self.uploads(), [])

    def test_a_request_that_does_not_end_is_not_waited_for_long(self):
        self.start_alone()
        self.half_an_upload()
        began = time.monotonic()
        self.assertEqual(self.s.kill("api", signal.SIGTERM, 12), 0)
        self.assertGreater(time.monotonic() - began, 3)
        self.assertLess(time.monotonic() - began, 9)

    def test_stopping_when_idle_is_quick_and_leaves_no_row(self):
        self.start_alone()
        wait_until(lambda: self.s.sql("SELECT id FROM processes"), 5, "rows")
        began = time.monotonic()
        self.assertEqual(self.s.kill("api", signal.SIGTERM), 0)
        self.assertLess(time.monotonic() - began, 2)
        self.assertEqual(self.s.sql("SELECT id FROM processes"), [])

    def test_ctrl_c_is_the_same(self):
        self.start_alone()
        self.assertEqual(self.s.kill("api", signal.SIGINT), 0)

    def test_connections_that_say_nothing_hold_up_nobody(self):
        self.start_alone()
        silent = []
        for _ in range(3):
            c = socket.socket(socket.AF_UNIX)
            c.connect(self.socket_path())
            self.addCleanup(c.close)
            silent.append(c)
        self.assertTrue(self.answers())
        began = time.monotonic()
        self.assertEqual(self.s.kill("api", signal.SIGTERM, 12), 0)
        self.assertLess(time.monotonic() - began, 9)


if __name__ == "__main__":
    unittest.main()
