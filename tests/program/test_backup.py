"""churnsctl backup and restore: under load, into an empty place, and then life
goes on there."""
import json
import os
import shutil
import sys
import tempfile
import threading
import time
import unittest

from stack import SRC, Stack, wait_until

sys.path.insert(0, os.path.join(SRC, "tests", "chaos"))

from audit import png_fault     # noqa: E402


class Load(threading.Thread):
    """Runs that come one after another, with photos and without."""

    def __init__(self, s):
        super().__init__(daemon=True)
        self.s = s
        self.answered = []      # (when, id)
        self.stopping = threading.Event()

    def run(self):
        photo = self.s.photo()
        while not self.stopping.is_set():
            run = self.s.submit(image=photo if len(self.answered) % 2 else None,
                                num_variants="1")
            self.answered.append((time.monotonic(), run["id"]))
            self.stopping.wait(0.1)


class Backup(unittest.TestCase):
    def setUp(self):
        self.tmp = tempfile.mkdtemp(prefix="churns-backup.")
        self.addCleanup(shutil.rmtree, self.tmp)
        self.dir = os.path.join(self.tmp, "of-today")

    def backup(self, s, status=0):
        got, out, err = s.ctl("backup", "--json", self.dir)
        self.assertEqual(got, status, err)
        return json.loads(out) if status == 0 else err

    def restored(self, **more):
        """Another place, with what was in the backup and nothing running."""
        s = Stack(**more)
        self.addCleanup(shutil.rmtree, s.dir, True)
        self.addCleanup(s.stop_all)
        s.prepare()
        status, out, err = s.ctl("restore", "--json", self.dir)
        self.assertEqual(status, 0, err)
        return s, json.loads(out)

    def start(self, s):
        for name in ("sim", "runner", "api", "web"):
            s.start(name)
        s.wait_healthy()
        s.wait_ready()

    def check_whole(self, s, run_id):
        images = s.results(run_id)["generated_images"]
        self.assertTrue(images)
        for image in images:
            path = os.path.join(s.data, "runs", run_id, image["image_path"])
            self.assertIsNone(png_fault(path), path)
            answer = s.get("/api/v1/files/%s/%s" % (run_id,
                                                    image["image_path"]))
            self.assertEqual(answer.status, 200)
        events = s.events(run_id)
        self.assertEqual([e["seq"] for e in events],
                         list(range(1, len(events) + 1)))
        self.assertEqual([e["type"] for e in events].count("run_complete"), 1)

    def test_under_load_and_back_again(self):
        with Stack(runner=True, sim=True) as s:
            s.script(80)
            load = Load(s)
            load.start()
            wait_until(lambda: s.get("/api/v1/runs/?status=COMPLETED").json[
                "total"] >= 3, 30, "some runs to be completed")
            done = [r["id"] for r in s.get(
                "/api/v1/runs/?status=COMPLETED&page_size=100").json["runs"]]
            essence = {i: s.results(i) for i in done}
            began = time.monotonic()
            note = self.backup(s)
            took = time.monotonic() - began
            load.stopping.set()
            load.join()
            known = [i for when, i in load.answered if when <= began]
            files = {i: s.run_files(i) for i in done}
            for _, run_id in load.answered:
                s.wait(run_id)
            old_base = s.data
        self.assertGreater(len(known), len(done))
        self.assertGreaterEqual(note["runs"], len(known))
        self.assertGreater(note["open_runs"], 0)
        self.assertFalse(os.path.exists(self.dir + ".partial"))
        self.assertEqual(sorted(os.listdir(self.dir)),
                         ["backup.json", "db", "runs"])
        self.assertEqual(os.listdir(os.path.join(self.dir, "db")),
                         ["churns.sqlite"])
        print("backup of %d runs, %d of them open, beside %d requests/s: "
              "%.2f s" % (note["runs"], note["open_runs"],
                          len(load.answered) / max(took, 1), took))
        shutil.rmtree(old_base, ignore_errors=True)

        s, told = self.restored(runner=True, sim=True)
        self.assertEqual(told["runs"], note["runs"])
        self.assertFalse(told["migrate"])
        status, out, _ = s.ctl("verify")
        self.assertEqual(status, 0, out)
        self.start(s)
        self.assertEqual(s.get("/api/v1/runs/").json["total"], note["runs"])
        for run_id in known:
            self.assertEqual(s.wait(run_id, 60)["status"], "COMPLETED")
            self.check_whole(s, run_id)
        for run_id in done:
            self.assertEqual(s.results(run_id), essence[run_id])
            self.assertEqual(s.run_files(run_id), files[run_id])
        new = s.submit(num_variants="1")["id"]
        self.assertEqual(s.wait(new)["status"], "COMPLETED")
        wait_until(lambda: s.ctl("verify")[0] == 0, 10, "rows and files")

    def test_a_run_that_is_deleted_meanwhile_is_deleted_in_the_copy(self):
        """Deletions race with the backup: whichever of a run's rows and files
        were copied, those that come back agree."""
        with Stack(runner=True, sim=True) as s:
            ids = [s.submit(num_variants="1")["id"] for _ in range(6)]
            for run_id in ids:
                s.wait(run_id)
            stop = threading.Event()

            def delete():
                for run_id in ids:
                    if stop.wait(0.02):
                        return
                    s.request("DELETE", "/api/v1/runs/" + run_id)
            deleting = threading.Thread(target=delete)
            deleting.start()
            self.backup(s)
            stop.set()
            deleting.join()
        s, _ = self.restored()
        status, out, _ = s.ctl("verify")
        self.assertEqual(status, 0, out)

    def test_a_backup_replaces_nothing(self):
        with Stack() as s:
            os.mkdir(self.dir)
            self.assertIn("is there already", self.backup(s, 1))
            os.rmdir(self.dir)
            os.mkdir(self.dir + ".partial")
            self.assertIn("interrupted", self.backup(s, 1))
            self.assertTrue(os.path.isdir(self.dir + ".partial"))
            os.rmdir(self.dir + ".partial")
            note = self.backup(s)
            self.assertEqual((note["runs"], note["files"]), (0, 0))

    def test_a_backup_that_fails_leaves_nothing(self):
        with Stack(api=False, web=False) as s:
            self.assertIn("no database", self.backup(s, 1))
            self.assertEqual(os.listdir(self.tmp), [])
        with Stack() as s:
            self.dir = os.path.join(self.tmp, "not/there")
            self.assertIn("No such file", self.backup(s, 1))
            self.assertEqual(os.listdir(self.tmp), [])

    def test_a_restore_replaces_nothing_and_needs_all_programs_stopped(self):
        with Stack() as s:
            run_id = s.submit()["id"]
            self.backup(s)
            status, _, err = s.ctl("restore", self.dir)
            self.assertEqual(status, 1)
            self.assertIn("in use", err)
            s.kill("api", 15)
            status, _, err = s.ctl("restore", self.dir)
            self.assertEqual(status, 1)
            self.assertIn("churns.sqlite is there", err)
            shutil.rmtree(os.path.join(s.data, "db"))
            os.makedirs(os.path.join(s.data, "runs", "something"))
            status, _, err = s.ctl("restore", self.dir)
            self.assertEqual(status, 1)
            self.assertIn("not empty", err)
            self.assertTrue(os.path.isdir(os.path.join(
                s.data, "runs", "something")))
            shutil.rmtree(os.path.join(s.data, "runs"))
            status, out, err = s.ctl("restore", self.dir)
            self.assertEqual(status, 0, err)
            self.assertIn("1 runs of ", out)
            s.start("api")
            s.wait_healthy()
            self.assertEqual(s.run(run_id)["status"], "PENDING")

    def test_only_a_backup_is_restored(self):
        s = Stack()
        self.addCleanup(shutil.rmtree, s.dir, True)
        s.prepare()
        os.mkdir(self.dir)
        status, _, err = s.ctl("restore", self.dir)
        self.assertEqual(status, 1)
        self.assertIn("no backup", err)
        with open(os.path.join(self.dir, "backup.json"), "w",
                  encoding="utf-8") as f:
            f.write('{"format": 7}')
        status, _, err = s.ctl("restore", self.dir)
        self.assertEqual(status, 78)
        self.assertIn("another kind", err)
        self.assertEqual(s.ctl("restore")[0], 64)

    def test_a_file_that_is_missing_in_a_backup_is_told_by_verify(self):
        with Stack(runner=True, sim=True) as s:
            run_id = s.submit(num_variants="1")["id"]
            s.wait(run_id)
            self.backup(s)
        shutil.rmtree(os.path.join(self.dir, "runs", run_id))
        s, _ = self.restored()
        status, out, _ = s.ctl("verify")
        self.assertEqual(status, 1)
        self.assertIn(run_id, out)


if __name__ == "__main__":
    unittest.main()
