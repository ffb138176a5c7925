"""churnsctl verify: do the rows and the files agree, what is told when they do
not, and that --repair takes nothing from anybody."""
import json
import os
import sqlite3
import time
import unittest

from stack import Stack, wait_until

NOBODY = "0b0d7e11-2f64-4b8e-9d55-0c9a2f3f1a11"


class Verify(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack(runner=True, sim=True)
        cls.s = cls.stack.__enter__()
        cls.photo_run = cls.s.submit(image=cls.s.photo(),
                                     num_variants="1")["id"]
        cls.plain_run = cls.s.submit(num_variants="1")["id"]
        for run_id in (cls.photo_run, cls.plain_run):
            assert cls.s.wait(run_id)["status"] == "COMPLETED"

    @classmethod
    def tearDownClass(cls):
        cls.stack.__exit__(None, None, None)

    def verify(self, *args, status=None):
        got, out, err = self.s.ctl("verify", "--json", *args)
        self.assertEqual(err, "")
        if status is not None:
            self.assertEqual(got, status, out)
        report = json.loads(out)
        self.assertEqual(report["ok"], got == 0)
        return {c["what"]: c for c in report["checks"]}

    def path(self, *parts):
        return os.path.join(self.s.data, *parts)

    def aside(self, *parts):
        """Take a file away until the test has ended."""
        path = self.path(*parts)
        os.rename(path, path + ".aside")
        self.addCleanup(os.rename, path + ".aside", path)

    def db(self, sql):
        db = sqlite3.connect(self.path("db", "churns.sqlite"), timeout=10)
        with db:
            db.execute(sql)
        db.close()

    def test_all_is_well(self):
        status, out, _ = self.s.ctl("verify")
        self.assertEqual(status, 0, out)
        self.assertRegex(out, r"(?m)^ok   database: ")
        self.assertRegex(out, r"(?m)^ok   rows: all \d+ rules hold$")
        self.assertRegex(out, r"(?m)^ok   files of runs: all \d+ files of \d+ "
                         "runs are there$")
        self.assertTrue(out.endswith("Rows and files agree.\n"), out)

    def test_rows_without_files(self):
        picture = next(f for f in self.s.run_files(self.photo_run)
                       if "_image_strategy_" in f)
        for name in ("input_tart.jpg", "pipeline_metadata.json", picture):
            with self.subTest(name=name):
                path = self.path("runs", self.photo_run, name)
                os.rename(path, path + "x")
                try:
                    found = self.verify(status=1)["files of runs"]
                finally:
                    os.rename(path + "x", path)
                self.assertEqual((found["level"], found["message"]),
                                 ("FAIL", "1 missing"))
                self.assertIn(name, found["faults"][0])
                self.assertIn(self.photo_run, found["faults"][0])
                self.assertIn("backup", found["faults"][-1])

    def test_a_link_is_not_the_file(self):
        name = "pipeline_metadata.json"
        self.aside("runs", self.plain_run, name)
        path = self.path("runs", self.plain_run, name)
        os.symlink("/etc/hostname", path)
        self.addCleanup(os.unlink, path)
        self.assertIn(name, self.verify(status=1)["files of runs"]
                      ["faults"][0])

    def test_files_without_rows(self):
        orphan = self.path("runs", NOBODY)
        upload = self.path("uploads", "up-1-x")
        trash = self.path("runs", ".deleted-" + NOBODY)
        os.makedirs(os.path.join(orphan, "calls"))
        os.mkdir(trash)
        with open(upload, "w", encoding="utf-8") as f:
            f.write("half")
        # Young ones may be of a request that is being stored just now.
        checks = self.verify(status=0)
        self.assertEqual(checks["files without rows"]["level"], "ok")
        self.verify("--repair", status=0)
        self.assertTrue(os.path.exists(orphan))
        hours_ago = time.time() - 7200
        for path in (orphan, upload, trash):
            os.utime(path, (hours_ago, hours_ago))
        checks = self.verify(status=0)
        told = checks["files without rows"]
        self.assertEqual(told["level"], "warn")
        self.assertEqual(sorted(told["faults"][:2]), [
            "runs/.deleted-" + NOBODY, "runs/" + NOBODY])
        self.assertIn("--repair", told["faults"][2])
        self.assertEqual(checks["unfinished uploads"]["faults"][0],
                         "uploads/up-1-x")
        for path in (orphan, upload, trash):
            self.assertTrue(os.path.exists(path), "not without --repair")
        checks = self.verify("--repair", status=0)
        self.assertEqual(checks["files without rows"]["message"], "3 removed")
        for path in (orphan, upload, trash):
            self.assertFalse(os.path.exists(path))
        self.assertEqual(self.verify(status=0)["files without rows"]
                         ["message"], "there are none")

    def test_strange_files_are_told_and_left(self):
        path = self.path("runs", "notes.txt")
        with open(path, "w", encoding="utf-8") as f:
            f.write("mine")
        self.addCleanup(os.unlink, path)
        told = self.verify("--repair", "--grace", "0",
                           status=0)["strange files"]
        self.assertEqual(told["faults"][0], "runs/notes.txt")
        self.assertTrue(os.path.exists(path))

    def test_leftovers_of_a_run_are_a_runners_business(self):
        path = self.path("runs", self.plain_run, "work")
        os.mkdir(path)
        self.addCleanup(os.rmdir, path)
        told = self.verify("--repair", "--grace", "0", status=0)["leftovers"]
        self.assertEqual(told["faults"][0], "runs/%s/work" % self.plain_run)

    def test_numbers_and_sums_are_counted_again(self):
        cost = self.s.run(self.plain_run)["total_cost_usd"]
        self.db("UPDATE run_counts SET n = n + 5")
        self.db("UPDATE runs SET cost_nano = 1 WHERE id = '%s'" %
                self.plain_run)
        checks = self.verify(status=1)
        self.assertEqual(checks["run-numbers"]["level"], "FAIL")
        self.assertEqual(checks["run-costs"]["faults"][0], self.plain_run)
        self.assertIn("--repair", checks["run-costs"]["faults"][-1])
        self.verify("--repair", status=0)
        self.verify(status=0)
        self.assertEqual(self.s.run(self.plain_run)["total_cost_usd"], cost)
        self.assertEqual(self.s.get("/api/v1/runs/").json["total"],
                         self.s.sql("SELECT count(*) AS n FROM runs")[0]["n"])

    def test_what_people_were_told_is_not_repaired(self):
        self.db("UPDATE runs SET last_seq = last_seq + 1 WHERE id = '%s'" %
                self.plain_run)
        try:
            told = self.verify("--repair", status=1)["events-gapless"]
            self.assertEqual(told["faults"][0], self.plain_run)
        finally:
            self.db("UPDATE runs SET last_seq = last_seq - 1 WHERE id = '%s'"
                    % self.plain_run)
        self.verify(status=0)

    def test_it_works_beside_running_jobs(self):
        self.s.script(150)
        try:
            ids = [self.s.submit(image=self.s.photo(), num_variants="1")["id"]
                   for _ in range(4)]
            while self.s.run(ids[-1])["status"] in ("PENDING", "RUNNING"):
                self.verify("--repair", "--grace", "60", status=0)
        finally:
            self.s.script(0)
        for run_id in ids:
            self.assertEqual(self.s.wait(run_id)["status"], "COMPLETED")
        self.verify(status=0)

    def test_a_paid_answer_that_is_gone_is_told(self):
        self.s.script(0, {"schema": "image_assessment", "fault": "stall",
                          "times": 1, "stall_ms": 20000})
        run_id = self.s.submit(num_variants="1")["id"]
        calls = self.path("runs", run_id, "calls")
        wait_until(lambda: os.path.isdir(calls) and os.listdir(calls) and
                   self.s.counters()["in_flight"], 20, "the assessment")
        os.rename(calls, calls + ".aside")
        try:
            told = self.verify(status=0)["paid answers"]
            self.assertEqual(told["level"], "warn")
            self.assertIn(run_id, told["faults"][0])
        finally:
            os.rename(calls + ".aside", calls)
        self.s.request("POST", "/api/v1/runs/%s/cancel" % run_id)
        wait_until(lambda: not os.path.exists(calls), 10, "the cancel")

    def test_wrong_use(self):
        for args in (("--grace", "-1"), ("--grace", "soon"), ("x",)):
            self.assertEqual(self.s.ctl("verify", *args)[0], 64, args)

    def test_without_a_database(self):
        with Stack(web=False, api=False) as s:
            status, _, err = s.ctl("verify")
            self.assertEqual(status, 1)
            self.assertIn("no database", err)


class Damage(unittest.TestCase):
    def test_a_damaged_file_is_told_with_what_to_do(self):
        with Stack(api=True) as s:
            for _ in range(20):
                s.submit()
            s.kill("api", 15)
            path = os.path.join(s.data, "db", "churns.sqlite")
            db = sqlite3.connect(path)
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            page = db.execute("SELECT rootpage FROM sqlite_schema WHERE "
                              "name = 'jobs_by_run'").fetchone()[0]
            db.close()
            with open(path, "r+b") as f:
                f.seek((page - 1) * 4096)
                f.write(b"\x5a" * 512)
            status, out, _ = s.ctl("verify")
            self.assertEqual(status, 1)
            self.assertRegex(out, r"(?m)^FAIL database: \d+ damaged places")
            self.assertIn("restore the last backup", out)


if __name__ == "__main__":
    unittest.main()
