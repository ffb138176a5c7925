"""Killing the runner in the middle changes nothing but the time."""
import json
import os
import re
import signal
import time
import unittest

from stack import Stack, wait_until

STAGES = ["image_eval", "strategy", "style_guide", "creative_expert",
          "prompt_assembly", "image_generation", "image_assessment"]


def essence(results):
    """What a run made, without ids, times and file stamps."""
    text = json.dumps({k: results[k] for k in (
        "image_analysis", "marketing_strategies", "style_guidance",
        "visual_concepts", "final_prompts", "generated_images",
        "image_assessments")}, sort_keys=True)
    return re.sub(r"_\d{20}\.", "_STAMP.", text)


class Kill(unittest.TestCase):
    def began(self, s, run_id, stage):
        return any(e["data"].get("stage_name") == stage
                   for e in s.events(run_id))

    def check_ended_once(self, s, run_id, kills):
        events = s.events(run_id)
        self.assertEqual([e["seq"] for e in events],
                         list(range(1, len(events) + 1)))
        terminal = [e["type"] for e in events
                    if e["type"] in ("run_complete", "run_error")]
        self.assertEqual(terminal, ["run_complete"])
        told = [(e["data"]["stage_name"], e["data"]["status"])
                for e in events if e["type"] == "stage_update"]
        self.assertEqual(len(told), len(set(told)), "told twice: %s" % told)
        answered_twice = [k for k, v in s.counters()["keys"].items()
                          if v["answered"] > 1]
        unknown = s.sql("SELECT idempotency_key FROM model_calls "
                        "WHERE state = 'UNKNOWN' OR fault IS NOT NULL")
        known_lost = {r["idempotency_key"] for r in unknown}
        # A call in flight at the kill may have been answered into the void:
        # those are listed as unknown, and there are no others.
        self.assertLessEqual(set(answered_twice), known_lost)
        lost = s.sql("SELECT count(*) AS n FROM model_calls WHERE "
                     "state = 'SENT' AND run_id = '%s'" % run_id)[0]["n"]
        self.assertEqual(lost, 0)
        if not kills:
            self.assertEqual(answered_twice, [])

    def test_kill_at_each_stage(self):
        with Stack(runner=True, sim=True) as s:
            form = dict(num_variants="2", prompt="espresso martini, friday")
            whole = s.submit(image=s.photo(), **form)["id"]
            self.assertEqual(s.wait(whole)["status"], "COMPLETED")
            self.check_ended_once(s, whole, 0)
            wanted = essence(s.results(whole))
            for stage in STAGES:
                with self.subTest(stage=stage):
                    s.sim("POST", "/sim/reset")
                    s.script(120)
                    run_id = s.submit(image=s.photo(), **form)["id"]
                    wait_until(lambda: self.began(s, run_id, stage), 30, stage,
                               pause=0.005)
                    s.kill("runner")
                    s.start("runner")
                    run = s.wait(run_id)
                    self.assertEqual(run["status"], "COMPLETED",
                                     run["error_message"])
                    self.assertEqual(essence(s.results(run_id)), wanted)
                    self.check_ended_once(s, run_id, 1)
                    pictures = [n for n in s.run_files(run_id)
                                if "_image_strategy_" in n]
                    self.assertEqual(len(pictures), 2, pictures)

    def test_an_answered_call_is_read_back_not_bought_again(self):
        with Stack(runner=True, sim=True) as s:
            # The first two stages are answered, then everything stalls.
            s.script(0, {"schema": "style_guidance_list", "fault": "stall",
                         "times": 1})
            run_id = s.submit(num_variants="1")["id"]
            wait_until(lambda: self.began(s, run_id, "style_guide"), 20,
                       "style_guide")
            wait_until(lambda: s.counters()["in_flight"] >= 1, 10, "the stall")
            before = s.counters()["calls"]["chat"]
            s.kill("runner")
            s.start("runner")
            self.assertEqual(s.wait(run_id)["status"], "COMPLETED")
            rows = s.sql("SELECT purpose, state, attempt FROM model_calls "
                         "ORDER BY sent_ms, attempt")
            by_purpose = {}
            for r in rows:
                by_purpose.setdefault(r["purpose"].split("/")[0], []).append(
                    r["state"])
            self.assertEqual(by_purpose["strategy_goals"], ["ANSWERED"])
            self.assertEqual(by_purpose["style_guide"],
                             ["UNKNOWN", "ANSWERED"])
            warnings = [w["code"] for w in s.run(run_id)["warnings"]]
            self.assertIn("call_unknown", warnings)
            self.assertGreater(s.counters()["calls"]["chat"], before)

    def test_it_goes_on_within_two_seconds(self):
        with Stack(runner=True, sim=True) as s:
            s.script(1500)
            run_id = s.submit(num_variants="1")["id"]
            wait_until(lambda: self.began(s, run_id, "strategy"), 20,
                       "strategy")
            s.kill("runner")
            s.start("runner")
            began = time.monotonic()
            holder = s.sql("SELECT lease_holder FROM jobs")[0]["lease_holder"]
            wait_until(lambda: s.sql("SELECT lease_holder FROM jobs")[0][
                "lease_holder"] not in (None, holder), 2.0,
                "the new runner to have the job")
            print("resumed after %.2f s" % (time.monotonic() - began))
            s.script(0)
            self.assertEqual(s.wait(run_id)["status"], "COMPLETED")

    def test_a_second_runner_takes_over(self):
        with Stack(runner=True, sim=True) as s:
            s.script(300)
            s.start("runner2")
            ids = [s.submit(num_variants="1")["id"] for _ in range(6)]
            wait_until(lambda: self.began(s, ids[0], "strategy"), 20,
                       "strategy")
            s.kill("runner")
            for run_id in ids:
                self.assertEqual(s.wait(run_id)["status"], "COMPLETED")
                self.check_ended_once(s, run_id, 1)

    def test_sigterm_hands_the_lease_back_uncounted(self):
        with Stack(runner=True, sim=True) as s:
            s.script(0, {"schema": "marketing_strategies", "fault": "stall",
                         "times": 1})
            run_id = s.submit(num_variants="1")["id"]
            # Not an earlier call: after that none would be begun any more.
            wait_until(lambda: s.sql("SELECT 1 FROM model_calls WHERE purpose "
                                     "= 'strategy_goals'"), 20, "the call")
            wait_until(lambda: s.counters()["in_flight"] >= 1, 20, "the stall")
            began = time.monotonic()
            self.assertEqual(s.kill("runner", signal.SIGTERM, 15), 0)
            self.assertLess(time.monotonic() - began, 10)
            job = s.sql("SELECT state, attempts, lease_holder FROM jobs")[0]
            self.assertEqual((job["state"], job["lease_holder"]),
                             ("PENDING", None))
            self.assertLessEqual(job["attempts"], 1)
            self.assertEqual([n for n in os.listdir(s.run_dir)
                              if n.endswith(".life")], [])
            s.start("runner")
            self.assertEqual(s.wait(run_id)["status"], "COMPLETED")

    def test_killing_the_api_after_its_answer_loses_nothing(self):
        with Stack(runner=True, sim=True) as s:
            for _ in range(5):
                run_id = s.submit(num_variants="1")["id"]
                os.killpg(s.processes["api"].pid, signal.SIGKILL)
                s.processes.pop("api").wait()
                s.start("api")
                s.wait_healthy()
                self.assertEqual(s.wait(run_id)["status"], "COMPLETED")


class Cancel(unittest.TestCase):
    def test_a_running_run_stops_within_200_ms(self):
        with Stack(runner=True, sim=True) as s:
            s.script(0, {"schema": "marketing_strategies", "fault": "stall",
                         "times": -1})
            run_id = s.submit(num_variants="1")["id"]
            wait_until(lambda: s.counters()["in_flight"] >= 1, 20, "the stall")
            began = time.monotonic()
            answer = s.request("POST", "/api/v1/runs/%s/cancel" % run_id)
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(s.run(run_id)["status"], "CANCELLED")
            wait_until(lambda: s.counters()["in_flight"] == 0, 5,
                       "the transfer to be aborted", pause=0.01)
            print("transfer aborted %.0f ms after the cancel" % (
                (time.monotonic() - began) * 1000))
            events = s.events(run_id)
            self.assertEqual(events[-1]["type"], "run_error")
            self.assertEqual(events[-1]["data"]["error_details"],
                             {"type": "cancelled"})
            time.sleep(0.5)
            self.assertEqual(len(s.events(run_id)), len(events))
            stages = s.run(run_id)["stages"]
            self.assertNotIn("RUNNING", [st["status"] for st in stages])
            again = s.request("POST", "/api/v1/runs/%s/cancel" % run_id)
            self.assertEqual(again.status, 200)
            self.assertIn("CANCELLED", again.json["message"])

    def test_a_waiting_run_is_cancelled_without_a_runner(self):
        with Stack() as s:
            run_id = s.submit()["id"]
            s.request("POST", "/api/v1/runs/%s/cancel" % run_id)
            self.assertEqual(s.run(run_id)["status"], "CANCELLED")
            self.assertEqual(s.run(run_id)["total_cost_usd"], None)

    def test_an_unknown_run_is_404(self):
        with Stack() as s:
            self.assertEqual(s.request(
                "POST", "/api/v1/runs/7b0f5c1e-2f64-4b8e-9d55-0c9a2f3f1a11"
                "/cancel").status, 404)

    def test_the_deadline_fails_the_run(self):
        env = {"CHURNS_RUNNER_RUN_DEADLINE_S": "2"}
        with Stack(runner=True, sim=True, env=env) as s:
            s.script(0, {"kind": "any", "fault": "stall", "times": -1})
            run_id = s.submit(num_variants="1")["id"]
            run = s.wait(run_id, 20)
            self.assertEqual(run["status"], "FAILED")
            self.assertEqual(s.events(run_id)[-1]["data"]["error_details"]
                             ["type"], "timeout")


if __name__ == "__main__":
    unittest.main()
