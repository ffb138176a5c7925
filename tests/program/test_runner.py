"""The runner in trouble: helpers that die, directories that vanish, neighbours
that stop for a while, wake-ups that get lost.  No run is lost, nothing is bought
twice for it, and what cannot be carried out ends with a reason in good time."""
import fcntl
import os
import shutil
import signal
import struct
import subprocess
import threading
import time
import unittest

from stack import BUILD, TERMINAL, Stack, wait_until

HELPER = """#!/bin/sh
case "$*" in %s) kill -%s $$;; esac
exec %s/churns-image "$@"
"""


def began(s, run_id, stage):
    return [e for e in s.events(run_id)
            if e["data"].get("stage_name") == stage]


def jobs(s):
    return s.sql("SELECT state, attempts, fence, lease_holder FROM jobs")


def told_once(test, s, run_id):
    told = [(e["data"]["stage_name"], e["data"]["status"])
            for e in s.events(run_id) if e["type"] == "stage_update"]
    test.assertEqual(len(told), len(set(told)), told)
    ended = [name for name, status in told if status != "RUNNING"]
    test.assertEqual(len(ended), len(set(ended)), told)


class Trouble(unittest.TestCase):
    def stack_with_helper(self, condition, how, **env):
        """Its picture helper dies of that signal when its words match."""
        s = Stack(runner=True, sim=True, env=env)
        helper = os.path.join(s.dir, "helper.sh")
        with open(helper, "w", encoding="utf-8") as f:
            f.write(HELPER % (condition, how, BUILD))
        os.chmod(helper, 0o755)
        s.extra["CHURNS_IMAGE_HELPER"] = helper
        return s

    def test_a_helper_that_is_always_killed_fails_the_run_soon(self):
        with self.stack_with_helper(
                "*finish*", "KILL", CHURNS_RUNNER_MAX_ATTEMPTS="2") as s:
            run_id = s.submit(num_variants="1")["id"]
            run = s.wait(run_id, 30)
            self.assertEqual(run["status"], "FAILED")
            self.assertIn("trouble on the server itself", run["error_message"])
            self.assertNotIn("signal", run["error_message"])
            details = s.events(run_id)[-1]["data"]["error_details"]
            self.assertEqual(details, {"type": "failed",
                                       "stage": "image_generation"})
            self.assertIn("killed by signal 9", s.log("runner"))
            told_once(self, s, run_id)
            # The picture was paid once; its answer was read back.
            self.assertEqual(s.counters()["calls"]["generate_content"], 1)

    def test_a_picture_that_crashes_the_helper_costs_its_variant_only(self):
        with self.stack_with_helper("*finish*strategy_1_*", "SEGV") as s:
            run = s.wait(s.submit(num_variants="2")["id"])
            self.assertEqual(run["status"], "COMPLETED", run["error_message"])
            states = [g["status"] for g in
                      s.results(run["id"])["generated_images"]]
            self.assertEqual(states, ["success", "error"])

    def test_files_of_a_deleted_run_are_found_again(self):
        """A crash in the middle of deleting, and a runner that was late."""
        with Stack(runner=True, sim=True) as s:
            ids = [s.submit(num_variants="1")["id"] for _ in range(2)]
            for run_id in ids:
                self.assertEqual(s.wait(run_id)["status"], "COMPLETED")
            folder = os.path.join(s.data, "runs")
            kept = os.path.join(s.dir, "kept")
            shutil.copytree(os.path.join(folder, ids[0]), kept)
            code, out, err = s.ctl("delete", ids[0])
            self.assertEqual((code, err), (0, ""), out)
            self.assertEqual(os.listdir(folder), [ids[1]])
            s.kill("runner")
            shutil.copytree(kept, os.path.join(folder, ids[0]))
            shutil.copytree(kept, os.path.join(folder, ".deleted-" + ids[0]))
            s.start("runner")
            wait_until(lambda: os.listdir(folder) == [ids[1]], 20,
                       "the files to be removed")
            # Only much later is nobody expected to make one more.
            marks = "SELECT files_removed AS f FROM runs ORDER BY deleted_ms"
            self.assertEqual(s.sql(marks), [{"f": 0}, {"f": 0}])
            s.kill("runner")
            s.write_sql("UPDATE runs SET deleted_ms = deleted_ms - 3600000 "
                        "WHERE deleted_ms > 0")
            s.start("runner")
            wait_until(lambda: s.sql(marks) == [{"f": 0}, {"f": 1}], 20,
                       "the mark")
            self.assertIn("files of deleted runs are gone", s.log("runner"))
            self.assertEqual(s.run(ids[1])["status"], "COMPLETED")
            self.assertEqual(len(s.results(ids[1])["generated_images"]), 1)

    def test_a_directory_that_is_gone_takes_nothing_back(self):
        env = {"CHURNS_RUNNER_MAX_ATTEMPTS": "2"}
        with Stack(runner=True, sim=True, env=env) as s:
            s.script(700)
            run_id = s.submit(num_variants="1")["id"]
            wait_until(lambda: began(s, run_id, "creative_expert"), 20,
                       "creative_expert")
            s.kill("runner")
            before = s.run(run_id)["stages"]
            folder = os.path.join(s.data, "runs", run_id)
            shutil.rmtree(folder)
            with open(folder, "w", encoding="utf-8"):
                pass
            s.start("runner")
            run = s.wait(run_id, 40)
            self.assertEqual(run["status"], "FAILED")
            told_once(self, s, run_id)
            for was, now in zip(before, run["stages"]):
                if was["status"] == "COMPLETED":
                    self.assertEqual(now, was)

    def test_a_row_that_cannot_be_read_ends_the_run(self):
        env = {"CHURNS_RUNNER_MAX_ATTEMPTS": "2"}
        with Stack(runner=True, sim=True, env=env) as s:
            s.script(700)
            run_id = s.submit(num_variants="1")["id"]
            wait_until(lambda: began(s, run_id, "creative_expert"), 20,
                       "creative_expert")
            s.kill("runner")
            subprocess.run(
                ["sqlite3", os.path.join(s.data, "db", "churns.sqlite"),
                 "PRAGMA ignore_check_constraints=1; UPDATE stages SET "
                 "status='WHAT' WHERE name='strategy'"], check=True)
            s.start("runner")
            wait_until(lambda: s.sql("SELECT status FROM runs")[0]["status"]
                       == "FAILED", 40, "the end")


class Stopping(unittest.TestCase):
    def test_sigterm_begins_no_call_and_buys_none_twice(self):
        env = {"MAX_PARALLEL_IMAGE_CALLS": "1"}
        with Stack(runner=True, sim=True, env=env) as s:
            run_id = s.submit(num_variants="4")["id"]
            wait_until(lambda: began(s, run_id, "creative_expert"), 20,
                       "creative_expert", pause=0.005)
            s.script(2500)
            pictures = ("SELECT * FROM model_calls WHERE stage = "
                        "'image_generation' ORDER BY sent_ms")
            wait_until(lambda: s.sql(pictures), 40, "a picture")
            time.sleep(0.2)
            at = time.time() * 1000
            self.assertEqual(s.kill("runner", signal.SIGTERM, 20), 0)
            self.assertLess(time.time() * 1000 - at, 5000)
            late = s.sql("SELECT stage, variant, state FROM model_calls "
                         "WHERE sent_ms > %d" % at)
            self.assertEqual(late, [])
            self.assertEqual({r["state"] for r in s.sql(pictures)},
                             {"ANSWERED"})
            self.assertEqual((jobs(s)[0]["state"], jobs(s)[0]["lease_holder"]),
                             ("PENDING", None))
            s.script(0)
            s.start("runner")
            self.assertEqual(s.wait(run_id)["status"], "COMPLETED")
            self.assertEqual(len(s.sql(pictures)), 4)
            self.assertEqual(s.counters()["calls"]["generate_content"], 4)


class Leases(unittest.TestCase):
    def test_a_missing_life_file_is_not_death(self):
        with Stack(runner=True, sim=True) as s:
            s.script(1500)
            s.start("runner2")
            run_id = s.submit(num_variants="1")["id"]
            wait_until(lambda: began(s, run_id, "strategy"), 20, "strategy")
            for name in os.listdir(s.run_dir):
                if name.endswith(".life"):
                    os.unlink(os.path.join(s.run_dir, name))
            time.sleep(2.5)
            s.script(0)
            self.assertEqual(s.wait(run_id)["status"], "COMPLETED")
            self.assertEqual(jobs(s)[0]["fence"], 1)
            for name in ("runner", "runner2"):
                self.assertNotIn("leases taken", s.log(name))

    def stop_for(self, seconds, *processes):
        for p in processes:
            p.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        for p in processes:
            p.send_signal(signal.SIGCONT)

    def test_runners_that_stood_still_keep_their_jobs(self):
        env = {"CHURNS_RUNNER_LEASE_S": "3", "CHURNS_RUNNER_RENEW_S": "1"}
        with Stack(runner=True, sim=True, env=env) as s:
            s.start("runner2")
            s.script(1000)
            ids = [s.submit(num_variants="1")["id"] for _ in range(4)]
            time.sleep(1)
            for _ in range(2):
                self.stop_for(4.5, s.processes["runner"],
                              s.processes["runner2"])
                time.sleep(1)
            s.script(0)
            for run_id in ids:
                self.assertEqual(s.wait(run_id)["status"], "COMPLETED")
            self.assertEqual({j["fence"] for j in jobs(s)}, {1})
            for name in ("runner", "runner2"):
                self.assertNotIn("job lost", s.log(name))

    def test_a_runner_that_is_stuck_loses_its_jobs_in_the_end(self):
        env = {"CHURNS_RUNNER_LEASE_S": "3", "CHURNS_RUNNER_RENEW_S": "1"}
        with Stack(runner=True, sim=True, env=env) as s:
            s.script(1000)
            run_id = s.submit(num_variants="1")["id"]
            wait_until(lambda: began(s, run_id, "strategy"), 20, "strategy")
            stuck = s.processes["runner"]
            stuck.send_signal(signal.SIGSTOP)
            s.start("runner2")
            s.script(0)
            self.assertEqual(s.wait(run_id, 40)["status"], "COMPLETED")
            stuck.send_signal(signal.SIGCONT)
            wait_until(lambda: "job lost" in s.log("runner")
                       or "job gone" in s.log("runner"), 20, "the loss")
            told_once(self, s, run_id)


class Wakes(unittest.TestCase):
    def test_a_cancel_among_many_wakes_is_noticed(self):
        with Stack(runner=True, sim=True) as s:
            s.script(8000)
            run_id = s.submit(num_variants="1")["id"]
            wait_until(lambda: s.counters()["in_flight"] >= 1, 20, "a call")
            runner = s.processes["runner"]
            runner.send_signal(signal.SIGSTOP)
            threads = [threading.Thread(target=s.submit,
                                        kwargs={"num_variants": "1"})
                       for _ in range(16)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            answer = s.request("POST", "/api/v1/runs/%s/cancel" % run_id)
            self.assertEqual(answer.status, 200, answer)
            runner.send_signal(signal.SIGCONT)
            start = time.monotonic()
            wait_until(lambda: "job cancelled" in s.log("runner"), 2,
                       "the cancel to be noticed")
            print("noticed after %.2f s" % (time.monotonic() - start))
            s.kill("runner")


class Waiting(unittest.TestCase):
    def test_it_starts_while_somebody_else_holds_the_write_turn(self):
        """Found by tests/chaos: a frozen worker had the turn, and a runner that
        was started then gave up with status 1."""
        env = {"CHURNS_STORE_LOCK_WAIT_MS": "200"}
        with Stack(sim=True, env=env) as s:
            turn = os.path.join(s.data, "db", "churns.sqlite.turn")
            # The first byte is the turn to write (src/store/turn.c).
            lock = struct.pack("hhlli", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
            with open(turn, "r+b") as f:
                fcntl.fcntl(f, fcntl.F_OFD_SETLKW, lock)
                runner = s.start("runner")
                wait_until(lambda: "ready" in s.log("runner"), 10,
                           "the runner to be ready")
            self.assertIsNone(runner.poll())
            run_id = s.submit(num_variants="1")["id"]
            self.assertEqual(s.wait(run_id)["status"], "COMPLETED")


class Leftovers(unittest.TestCase):
    def test_what_a_cancel_without_a_runner_left_is_removed(self):
        with Stack(runner=True, sim=True) as s:
            s.script(0, {"schema": "style_guidance_list", "fault": "stall",
                         "times": -1})
            run_id = s.submit(num_variants="1")["id"]
            wait_until(lambda: began(s, run_id, "style_guide"), 20,
                       "style_guide")
            wait_until(lambda: s.counters()["in_flight"] >= 1, 10, "the stall")
            s.kill("runner")
            self.assertIn("work", s.run_files(run_id))
            # As when it is killed while it writes the results.
            with open(os.path.join(s.data, "runs", run_id, ".tmp-0"), "w",
                      encoding="utf-8") as f:
                f.write("{")
            s.request("POST", "/api/v1/runs/%s/cancel" % run_id)
            self.assertEqual(s.sql("SELECT id FROM model_calls "
                                   "WHERE state = 'SENT'"), [])
            s.start("runner")
            wait_until(lambda: not {"work", "calls", ".tmp-0"} & set(
                s.run_files(run_id)), 10, "the leftovers to go")
            self.assertIn(s.run(run_id)["status"], TERMINAL)


class Faults(unittest.TestCase):
    def test_a_missing_schema_is_told_with_all_other_faults(self):
        def spoil(conf):
            os.unlink(os.path.join(conf, "schemas", "generated_image_result.json"))
            with open(os.path.join(conf, "prompts", "stranger.txt"), "w",
                      encoding="utf-8") as f:
                f.write("nobody knows me\n")
        s = Stack(web=False, api=False, conf=spoil)
        with s:
            runner = s.start("runner")
            self.assertEqual(runner.wait(10), 78)
            self.assertIn("generated_image_result.json: not there", s.log("runner"))
            self.assertIn("stranger.txt", s.log("runner"))


if __name__ == "__main__":
    unittest.main()
