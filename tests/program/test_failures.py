"""Provider faults against the failure matrix of the specification: no run
without a picture is COMPLETED, nothing is invented, and what is degraded is
named in warnings."""
import unittest

from stack import Stack

FAST = {"LLM_MAX_RETRIES": "1", "CHURNS_CALLS_RETRY_BASE_MS": "20",
        "CHURNS_CALLS_RETRY_CAP_MS": "40", "LLM_TIMEOUT_SECONDS": "2",
        "IMAGE_TIMEOUT_SECONDS": "2"}
DOWN = {"fault": "status", "status": 500, "times": -1}


class Failures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack(runner=True, sim=True, env=FAST)
        cls.s = cls.stack.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.stack.__exit__(None, None, None)

    def setUp(self):
        self.s.sim("POST", "/sim/reset")

    def run_with(self, *faults, variants=1, photo=False, **form):
        self.s.script(0, *faults)
        run_id = self.s.submit(
            image=self.s.photo() if photo else None,
            num_variants=str(variants), **form)["id"]
        run = self.s.wait(run_id, 60)
        run["codes"] = {(w["stage"], w["code"]) for w in run["warnings"] or []}
        return run

    def stage(self, run, name):
        return next(st for st in run["stages"] if st["stage_name"] == name)

    def completed(self, run):
        self.assertEqual(run["status"], "COMPLETED", run["error_message"])
        return self.s.results(run["id"])

    def failed(self, run, stage):
        self.assertEqual(run["status"], "FAILED")
        self.assertTrue(run["error_message"])
        self.assertEqual(self.stage(run, stage)["status"], "FAILED")
        event = self.s.events(run["id"])[-1]
        self.assertEqual(event["type"], "run_error")
        after = [st["status"] for st in run["stages"]
                 if st["stage_order"] > self.stage(run, stage)["stage_order"]]
        self.assertEqual(set(after) - {"SKIPPED"}, set(), after)

    # --- the matrix -----------------------------------------------------------

    def test_image_analysis_fails_and_no_subject_is_invented(self):
        run = self.run_with(dict(DOWN, schema="image_analysis"), photo=True)
        r = self.completed(run)
        self.assertIsNone(r["image_analysis"])
        self.assertTrue({s for s, _ in run["codes"]} >= {"image_eval"})
        self.assertTrue(self.stage(run, "image_eval")["error_message"])

    def test_niches_and_goals_fail_and_come_from_the_pools_flagged(self):
        run = self.run_with(dict(DOWN, schema="niches_and_strategies"),
                            variants=2)
        r = self.completed(run)
        self.assertEqual(len(r["marketing_strategies"]), 2)
        self.assertTrue(r["marketing_strategies"][0]["target_niche"])
        self.assertLessEqual({("strategy", "niches_from_pool"),
                              ("strategy", "strategies_simulated")},
                             run["codes"])

    def test_goals_fail_and_the_clients_niche_stays(self):
        run = self.run_with(dict(DOWN, schema="marketing_strategies"),
                            variants=2, marketing_niche="late tea house")
        r = self.completed(run)
        self.assertEqual({s["target_niche"] for s in
                          r["marketing_strategies"]}, {"late tea house"})
        self.assertIn(("strategy", "strategies_simulated"), run["codes"])
        self.assertNotIn(("strategy", "niches_from_pool"), run["codes"])

    def test_styles_fail_and_are_neutral(self):
        run = self.run_with(dict(DOWN, schema="style_guidance_list"))
        r = self.completed(run)
        self.assertTrue(r["style_guidance"][0]["style_description"])
        self.assertIn("style_guide", {s for s, _ in run["codes"]})

    def test_one_concept_fails_and_the_others_go_on(self):
        run = self.run_with(
            dict(DOWN, schema="image_generation_prompt", contains="INDEX: 1"),
            variants=3)
        r = self.completed(run)
        self.assertEqual([g["strategy_index"] for g in r["generated_images"]
                          if g["status"] == "success"], [0, 2])
        self.assertEqual({w["variant_index"] for w in run["warnings"]
                          if w["stage"] == "creative_expert"}, {1})
        self.assertIn(("creative_expert", "server"), run["codes"])

    def test_all_concepts_fail_and_so_does_the_run(self):
        run = self.run_with(dict(DOWN, schema="image_generation_prompt"),
                            variants=2)
        self.failed(run, "creative_expert")
        self.assertEqual(self.s.counters()["calls"].get(
            "generate_content", 0), 0)

    def test_one_picture_fails_and_is_an_error_result(self):
        run = self.run_with({"kind": "generate_content", "fault": "policy",
                             "times": 1}, variants=2)
        r = self.completed(run)
        statuses = sorted(g["status"] for g in r["generated_images"])
        self.assertEqual(statuses, ["error", "success"])
        bad = next(g for g in r["generated_images"] if g["status"] == "error")
        self.assertTrue(bad["error_message"])
        self.assertIsNone(bad["image_path"])

    def test_all_pictures_fail_and_so_does_the_run(self):
        run = self.run_with(dict(DOWN, kind="generate_content"), variants=2)
        self.failed(run, "image_generation")
        self.assertEqual(self.s.get("/api/v1/runs/%s/results"
                                    % run["id"]).status, 400)

    def test_assessment_fails_and_no_score_is_invented(self):
        run = self.run_with(dict(DOWN, schema="image_assessment"))
        r = self.completed(run)
        self.assertFalse(r["image_assessments"])
        self.assertIn("image_assessment", {s for s, _ in run["codes"]})

    def test_everything_down_fails_the_run(self):
        run = self.run_with(dict(DOWN, kind="any"))
        self.assertEqual(run["status"], "FAILED")
        self.assertEqual(run["total_cost_usd"], None)

    # --- faults that one more try mends ------------------------------------------

    def mended(self, fault, kind="chat", **form):
        run = self.run_with(dict(fault, kind=kind, times=1), **form)
        self.completed(run)
        return run

    def test_429_with_retry_after(self):
        self.mended({"fault": "status", "status": 429, "retry_after": "1"})

    def test_500(self):
        self.mended({"fault": "status", "status": 500})

    def test_reset_in_the_middle_of_the_body(self):
        run = self.mended({"fault": "reset"})
        states = {r["state"] for r in self.s.sql(
            "SELECT state FROM model_calls WHERE run_id = '%s'" % run["id"])}
        self.assertEqual(states, {"ANSWERED", "UNKNOWN"})

    def test_a_stall_times_out_and_is_tried_once_more(self):
        run = self.mended({"fault": "stall"})
        self.assertIn("call_unknown", {c for _, c in run["codes"]})

    def test_truncated(self):
        self.mended({"fault": "truncated"})

    def test_fenced(self):
        run = self.run_with({"fault": "fenced", "kind": "chat", "times": -1})
        self.completed(run)
        self.assertEqual(run["warnings"], [])

    def test_chatty(self):
        run = self.run_with({"fault": "chatty", "kind": "chat", "times": -1})
        self.completed(run)
        self.assertEqual(run["warnings"], [])

    def test_wrong_schema_is_asked_again(self):
        self.mended({"fault": "wrong_schema"})

    def test_no_json_is_asked_again(self):
        self.mended({"fault": "no_json"})

    def test_empty_is_asked_again(self):
        self.mended({"fault": "empty"})

    def test_no_image_is_asked_again(self):
        self.mended({"fault": "no_image"}, kind="generate_content")

    def test_a_model_that_knows_no_json_schema(self):
        run = self.run_with({"fault": "unsupported_format", "kind": "chat",
                             "times": 1})
        self.completed(run)

    def test_policy_refusal_is_never_tried_again(self):
        run = self.run_with({"fault": "policy", "kind": "generate_content",
                             "times": -1})
        self.assertEqual(run["status"], "FAILED")
        self.assertEqual(self.s.counters()["calls"]["generate_content"], 1)

    def test_failed_attempts_are_in_the_ledger_and_the_sums_agree(self):
        run = self.mended({"fault": "wrong_schema"})
        total = self.s.sql("SELECT sum(cost_nano) AS n FROM model_calls "
                           "WHERE run_id = '%s'" % run["id"])[0]["n"]
        self.assertEqual(round(run["total_cost_usd"] * 1e9), total)


class Keys(unittest.TestCase):
    def test_each_missing_key_stops_the_runner_and_is_named(self):
        for name in ("OPENROUTER", "GEMINI"):
            env = {name + "_API_KEY": "", name + "_SIMULATED": "0"}
            with self.subTest(key=name), Stack(env=env) as s:
                runner = s.start("runner")
                self.assertEqual(runner.wait(10), 78)
                del s.processes["runner"]
                self.assertIn(name + "_API_KEY", s.log("runner"))
                ready = s.get("/health/ready")
                self.assertEqual(ready.status, 503)
                self.assertTrue(ready.json["reason"])

    def test_a_wrong_key_fails_the_run_and_says_so(self):
        env = dict(FAST, OPENROUTER_API_KEY="bad-key")
        with Stack(runner=True, sim=True, env=env) as s:
            run = s.wait(s.submit(num_variants="1")["id"])
            self.assertEqual(run["status"], "FAILED")
            self.assertNotIn("bad-key", run["error_message"])
            self.assertNotIn("bad-key", s.log("runner"))


if __name__ == "__main__":
    unittest.main()
