"""Everything is killed, briefly; and the audit that judges what is left is shown
to see what it is there for.  At length: tests/chaos/run --kills 300."""
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import unittest

from stack import SRC

sys.path.insert(0, os.path.join(SRC, "tests", "chaos"))

import audit                    # noqa: E402
from campaign import Campaign   # noqa: E402

KILLS = 25
SECONDS = 45


class Chaos(unittest.TestCase):
    def test_nothing_is_lost_and_nothing_answered_is_paid_twice(self):
        campaign = Campaign(KILLS, "check", seconds=SECONDS, gap_s=0.6)
        violations = campaign.run()
        campaign.report(violations)
        self.assertEqual(violations, [])
        self.assertGreater(campaign.killed, KILLS // 2)
        self.assertGreater(len(campaign.world.runs), 10)
        campaign.clean_up()


# --- what the audit sees -----------------------------------------------------------

ONE = "(SELECT id FROM runs WHERE status = 'COMPLETED' " \
    "AND deleted_ms = 0 ORDER BY id LIMIT 1)"
ITS_JOB = "(SELECT id FROM jobs WHERE run_id = %s)" % ONE

# (law that must be broken, what is done to the database)
ROWS = [
    ("an_answered_post_has_its_run_and_job", "DELETE FROM runs WHERE id = "
     "(SELECT id FROM runs WHERE prompt LIKE '%op-%' LIMIT 1)"),
    ("an_answered_post_has_its_run_and_job",
     "DELETE FROM stages WHERE name = 'strategy'"),
    ("a_post_in_doubt_is_wholly_there_or_not_at_all",
     "UPDATE runs SET inputs = '{}' WHERE prompt LIKE '%op-%'"),
    ("every_job_has_ended_once", "UPDATE jobs SET state = 'PENDING' "
     "WHERE id = " + ITS_JOB),
    ("every_job_has_ended_once",
     "INSERT INTO events SELECT run_id, seq + 1, type, created_ms, data "
     "FROM events WHERE run_id = %s AND type = 'run_complete'" % ONE),
    ("events_are_gapless",
     "DELETE FROM events WHERE seq = 2 AND run_id = " + ONE),
    ("events_are_gapless",
     "UPDATE runs SET last_seq = last_seq + 1 WHERE id = " + ONE),
    ("stages_are_told_in_order",
     "UPDATE events SET data = replace(data, '\"COMPLETED\"', '\"RUNNING\"') "
     "WHERE seq = 2 AND run_id = " + ONE),
    ("stages_are_told_in_order",
     "UPDATE events SET data = json_set(data, '$.stage_order', 9) "
     "WHERE seq = 1 AND run_id = " + ONE),
    ("the_end_was_the_last_word",
     "UPDATE events SET seq = -1 WHERE type = 'run_complete'"),
    ("run_job_and_event_agree",
     "UPDATE events SET type = 'run_error' WHERE type = 'run_complete'"),
    ("run_job_and_event_agree",
     "UPDATE stages SET status = 'RUNNING' WHERE name = 'strategy'"),
    ("run_job_and_event_agree",
     "UPDATE runs SET status = 'FAILED' WHERE id = " + ONE),
    ("a_cancel_that_was_answered_holds",
     "UPDATE runs SET status = 'CANCELLED' WHERE id = " + ONE),
    ("nothing_was_sent_without_a_row_before_it",
     "DELETE FROM model_calls WHERE rowid = 1"),
    ("nothing_was_sent_without_a_row_before_it",
     "UPDATE model_calls SET sent_ms = sent_ms + 60000"),
    ("nothing_answered_was_bought_twice",
     "INSERT INTO model_calls (id, job_id, run_id, owner, stage, variant, "
     "purpose, attempt, ask, fence, state, idempotency_key, sent_ms) "
     "SELECT 'again', job_id, run_id, owner, stage, variant, purpose, 2, 1, "
     "fence, 'ANSWERED', idempotency_key, settled_ms + 1 FROM model_calls "
     "WHERE rowid = 1"),
    ("nothing_answered_was_bought_twice",
     "INSERT INTO model_calls (id, job_id, run_id, owner, stage, variant, "
     "purpose, attempt, ask, fence, state, idempotency_key, sent_ms) "
     "SELECT 'again', job_id, run_id, owner, stage, variant, purpose, 2, 1, "
     "fence + 1, 'UNKNOWN', idempotency_key, settled_ms + 1 FROM model_calls "
     "WHERE rowid = 1"),
    ("the_ledger_tells_what_the_provider_did",
     "UPDATE model_calls SET state = 'SENT' WHERE rowid = 1"),
    ("the_ledger_tells_what_the_provider_did",
     "UPDATE model_calls SET state = 'FAILED' WHERE rowid = 1"),
    ("every_cent_is_a_sum_over_the_ledger",
     "UPDATE runs SET cost_nano = cost_nano + 1 WHERE id = " + ONE),
    ("every_cent_is_a_sum_over_the_ledger",
     "UPDATE stages SET cost_nano = cost_nano + 1 WHERE name = 'strategy'"),
    ("kept_sums_are_those_of_the_ledger_and_nothing_is_reserved",
     "UPDATE spend_days SET cost_nano = cost_nano + 1"),
    ("kept_sums_are_those_of_the_ledger_and_nothing_is_reserved",
     "UPDATE spend_jobs SET reserved_nano = 7"),
    ("what_is_deleted_stays_gone_and_nothing_else_is",
     "UPDATE runs SET deleted_ms = 1 WHERE id = " + ONE),
    ("the_database_is_sound",
     "INSERT INTO lane_outputs (job_id, stage, variant, ok, started_ms, "
     "ended_ms) VALUES ('nobody', 's', 0, 1, 0, 0)"),
    ("the_counters_count", "UPDATE run_counts SET n = n + 1"),
    ("the_counters_count",
     "UPDATE job_counts SET n = 1 WHERE state = 'PENDING'"),
    ("only_killed_processes_left_their_rows",
     "INSERT INTO processes (id, role, pid, host, boot_id, started_ms, "
     "heartbeat_ms) VALUES ('p', 'runner', 1, 'h', 'b', 0, 0)"),
]


decoded = {}
decode = audit.png_fault


def decode_once(path):
    """The same pictures are looked at again and again here."""
    st = os.stat(path)
    key = (os.path.realpath(path), st.st_size, st.st_mtime_ns)
    if key not in decoded:
        decoded[key] = decode(path)
    return decoded[key]


def first_picture(data):
    runs = os.path.join(data, "runs")
    return next(os.path.join(runs, d, f) for d in sorted(os.listdir(runs))
                for f in os.listdir(os.path.join(runs, d))
                if "_image_strategy_" in f)


def cut_picture(data):
    path = first_picture(data)
    os.truncate(path, os.path.getsize(path) - 100)


def spoil_picture(data):
    with open(first_picture(data), "r+b") as f:
        f.seek(1000)
        f.write(b"\0\1\2\3")


def some_run_dir(data):
    runs = os.path.join(data, "runs")
    return os.path.join(runs, sorted(os.listdir(runs))[0])


FILES = [
    ("every_picture_is_there_and_whole",
     lambda data: os.unlink(first_picture(data))),
    ("every_picture_is_there_and_whole", cut_picture),
    ("every_picture_is_there_and_whole", spoil_picture),
    ("every_picture_is_there_and_whole",
     lambda data: [os.unlink(os.path.join(d, f)) for d, _, files in os.walk(
         data) for f in files if f == "pipeline_metadata.json"]),
    ("no_file_is_there_that_should_not_be",
     lambda data: os.mkdir(os.path.join(some_run_dir(data), "work"))),
    ("no_file_is_there_that_should_not_be",
     lambda data: open(os.path.join(some_run_dir(data), ".tmp-1"),
                       "w").close()),
    ("no_file_is_there_that_should_not_be",
     lambda data: open(os.path.join(data, "uploads", "up-1-x"), "w").close()),
    ("no_file_is_there_that_should_not_be",
     lambda data: [os.mkdir(os.path.join(data, "runs", "0" * 8 + "-0000-0000-"
                                         "0000-%012d" % i))
                   for i in range(50)]),
]


def edit(**changes):
    return lambda line: line.update(changes)


# (law, which lines of the journal, what becomes of them)
LINES = [
    ("one_key_is_one_run", lambda x: x["what"] == "post" and x.get("key") and
     x["replayed"], edit(id="another")),
    ("an_answered_post_has_its_run_and_job",
     lambda x: x["what"] == "post" and x["status"] == 200,
     edit(id="nowhere")),
    ("a_refused_post_left_nothing",
     lambda x: x["what"] == "post", edit(status=503, by_api=True)),
    ("a_file_that_was_named_was_served", lambda x: x["what"] == "file",
     edit(status=404, by_api=True)),
    ("what_was_seen_stays",
     lambda x: x["what"] == "saw" and x["state"] == "COMPLETED",
     edit(state="FAILED")),
    ("what_was_seen_stays",
     lambda x: x["what"] == "saw events" and len(x["events"]) > 2,
     edit(events=[[1, "stage_update", "image_eval", "FAILED"]])),
    ("what_is_deleted_stays_gone_and_nothing_else_is",
     lambda x: x["what"] == "saw" and x["state"] == "COMPLETED",
     edit(what="delete", status=204)),
    ("a_cancel_that_was_answered_holds",
     lambda x: x["what"] == "saw" and x["state"] == "COMPLETED",
     edit(what="cancel", status=200, message="The run was cancelled.")),
]


class Audit(unittest.TestCase):
    """A campaign without kills, whose state is then spoiled in many ways."""

    @classmethod
    def setUpClass(cls):
        audit.png_fault = decode_once
        cls.addClassCleanup(setattr, audit, "png_fault", decode)
        cls.campaign = Campaign(1, "calm", seconds=5, gap_s=100)
        violations = cls.campaign.run()
        assert not violations, violations
        cls.tmp = tempfile.mkdtemp(prefix="churns-audit.")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.tmp)
        cls.campaign.clean_up()

    def setUp(self):
        self.copy(files=False)

    def copy(self, files):
        """What is to be spoiled; the files of runs only when they are."""
        whole = self.campaign.stack.data
        self.data = os.path.join(self.tmp, "data")
        shutil.rmtree(self.data, ignore_errors=True)
        os.mkdir(self.data)
        for part in os.listdir(whole):
            if part == "runs" and not files:
                os.symlink(os.path.join(whole, part),
                           os.path.join(self.data, part))
            else:
                shutil.copytree(os.path.join(whole, part),
                                os.path.join(self.data, part))
        self.journal = os.path.join(self.tmp, "journal.jsonl")
        shutil.copy(self.campaign.journal.path, self.journal)

    def broken(self):
        world = audit.World(self.data, self.journal,
                            self.campaign.stack.sim_log,
                            self.campaign.planned(),
                            self.campaign.parts.ordered)
        try:
            return {v.law for v in audit.judge(world)}
        finally:
            world.db.close()

    def spoil_rows(self, sql):
        db = sqlite3.connect(os.path.join(self.data, "db", "churns.sqlite"))
        with db:
            changed = db.execute(sql).rowcount
        db.close()
        self.assertGreater(changed, 0, "nothing was spoiled by " + sql)

    def test_calm_is_without_violation(self):
        self.assertEqual(self.broken(), set())

    def test_rows(self):
        for law, sql in ROWS:
            with self.subTest(law=law, sql=sql):
                self.setUp()
                self.spoil_rows(sql)
                self.assertIn(law, self.broken())

    def test_files(self):
        for i, (law, spoil) in enumerate(FILES):
            with self.subTest(law=law, number=i):
                self.copy(files=True)
                spoil(self.data)
                self.assertIn(law, self.broken())

    def test_lines_of_the_journal(self):
        for i, (law, wanted, change) in enumerate(LINES):
            with self.subTest(law=law, number=i):
                self.setUp()
                with open(self.journal, encoding="utf-8") as f:
                    lines = [json.loads(x) for x in f]
                hit = [x for x in lines if wanted(x)]
                self.assertTrue(hit, "no such line")
                change(hit[0])
                with open(self.journal, "w", encoding="utf-8") as f:
                    f.writelines(json.dumps(x) + "\n" for x in lines)
                self.assertIn(law, self.broken())

    def test_every_law_can_be_broken(self):
        tried = {row[0] for row in ROWS + FILES + LINES}
        self.assertEqual({rule.__name__ for rule in audit.LAWS} - tried,
                         set())


if __name__ == "__main__":
    unittest.main()
