"""Provider faults against the failure matrix of the specification: no run
without a picture is COMPLETED, nothing is invented, and what is degraded is
named in warnings."""
import base64
import json
import struct
import unittest
import zlib

from money import check_money
from stack import Stack, wait_until

FAST = {"LLM_MAX_RETRIES": "1", "CHURNS_CALLS_RETRY_BASE_MS": "20",
        "CHURNS_CALLS_RETRY_CAP_MS": "40", "LLM_TIMEOUT_SECONDS": "2",
        "IMAGE_TIMEOUT_SECONDS": "2"}
DOWN = {"fault": "status", "status": 500, "times": -1}


def logo(grey):
    """A PNG of one tone: each is another logo, which nobody has seen yet."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(
            ">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes([grey] * 64) for _ in range(64))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(
        ">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)) +
        chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


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
        if faults:
            self.s.script(0, *faults)
        run_id = self.s.submit(
            image=self.s.photo() if photo else None,
            num_variants=str(variants), **form)["id"]
        run = self.s.wait(run_id, 60)
        check_money(self, self.s, run_id)
        run["codes"] = {(w["stage"], w["code"]) for w in run["warnings"] or []}
        return run

    @staticmethod
    def kit(grey):
        return json.dumps({
            "brand_voice_description": "warm and plain",
            "colors": [{"hex": "#AA3311", "role": "primary"}],
            "logo_file_base64": base64.b64encode(logo(grey)).decode()})

    def told(self, run, results):
        """Warnings of the run detail and of its results are the same."""
        self.assertEqual(run["warnings"], results["warnings"])
        for w in run["warnings"]:
            self.assertLessEqual({"stage", "code", "message"}, set(w))
            self.assertTrue(w["message"])

    def stage(self, run, name):
        return next(st for st in run["stages"] if st["stage_name"] == name)

    def completed(self, run):
        self.assertEqual(run["status"], "COMPLETED", run["error_message"])
        results = self.s.results(run["id"])
        self.told(run, results)
        return results

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

    def test_image_analysis_fails_and_the_instruction_alone_counts(self):
        run = self.run_with(dict(DOWN, schema="image_analysis"), photo=True,
                            image_instruction="put it on a green plate")
        r = self.completed(run)
        self.assertIsNone(r["image_analysis"])
        self.assertIn(("image_eval", "image_analysis_failed"), run["codes"])
        self.assertEqual(r["final_prompts"][0]["assembly_type"],
                         "instructed_edit")
        self.assertIn("put it on a green plate",
                      r["final_prompts"][0]["prompt"])

    def test_logo_analysis_fails_and_the_logo_is_used_all_the_same(self):
        run = self.run_with(dict(DOWN, schema="logo_analysis"),
                            apply_branding="true", brand_kit=self.kit(90))
        r = self.completed(run)
        self.assertIn(("image_eval", "logo_analysis_failed"), run["codes"])
        self.assertEqual(r["final_prompts"][0]["assembly_type"],
                         "logo_only_edit")
        self.assertIsNone(run["brand_kit"]["logo_analysis"])

    def test_a_logo_that_is_no_picture_is_left_out_and_told(self):
        run = self.run_with(apply_branding="true", brand_kit=json.dumps(
            {"logo_file_base64": base64.b64encode(b"no picture").decode()}))
        r = self.completed(run)
        self.assertEqual(run["codes"], {("image_eval", "logo_unusable")})
        self.assertEqual(r["final_prompts"][0]["assembly_type"],
                         "full_generation")

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

    # --- the money of runs that are not ordinary ----------------------------------

    def cost_of(self, run):
        return check_money(self, self.s, run["id"])

    def test_a_re_ask_is_paid_for_twice(self):
        once = self.cost_of(self.run_with())
        twice = self.cost_of(self.run_with(
            {"fault": "wrong_schema", "schema": "image_generation_prompt",
             "times": 1}))
        self.assertGreater(twice, once)

    def test_an_analysis_that_was_bought_is_not_bought_again(self):
        form = dict(photo=True, image_instruction="put it on a blue plate",
                    apply_branding="true", brand_kit=self.kit(160))
        first = self.run_with(**form)
        self.s.sim("POST", "/sim/reset")
        second = self.run_with(**form)
        self.assertEqual(self.completed(first)["image_analysis"],
                         self.completed(second)["image_analysis"])
        for run, calls in ((first, 2), (second, 0)):
            self.assertEqual(len(self.s.sql(
                "SELECT id FROM model_calls WHERE run_id = '%s' AND stage ="
                " 'image_eval'" % run["id"])), calls)
        self.assertLess(self.cost_of(second), self.cost_of(first))
        self.assertEqual(second["warnings"], [])

    def test_a_fall_back_is_booked_at_its_own_price(self):
        run = self.run_with(dict(DOWN, schema="style_guidance_list",
                                 model="google/gemini-2.5-pro"))
        self.completed(run)
        self.cost_of(run)
        models = {r["model"] for r in self.s.sql(
            "SELECT model FROM model_calls WHERE run_id = '%s' AND stage ="
            " 'style_guide' AND state = 'ANSWERED'" % run["id"])}
        self.assertEqual(models, {"openai/gpt-4.1"})

    def test_what_was_spent_before_a_cancel_stays_spent(self):
        self.s.script(0, {"kind": "generate_content", "fault": "latency",
                          "latency_ms": 20000, "times": -1})
        run_id = self.s.submit(num_variants="2")["id"]
        wait_until(lambda: [r for r in self.s.sql(
            "SELECT id FROM model_calls WHERE run_id = '%s' AND state ="
            " 'SENT' AND stage = 'image_generation'" % run_id)], 30,
            "a picture to be on its way")
        self.assertEqual(self.s.request(
            "POST", "/api/v1/runs/%s/cancel" % run_id).status, 200)
        self.assertEqual(self.s.wait(run_id)["status"], "CANCELLED")
        self.assertGreater(check_money(self, self.s, run_id), 0)
        states = {(r["stage"], r["state"]) for r in self.s.sql(
            "SELECT stage, state FROM model_calls WHERE run_id = '%s'"
            % run_id)}
        self.assertIn(("image_generation", "UNKNOWN"), states)
        self.assertIn(("creative_expert", "ANSWERED"), states)

    def test_a_failed_run_keeps_what_it_spent(self):
        run = self.run_with(dict(DOWN, kind="generate_content"), variants=2)
        self.failed(run, "image_generation")
        self.assertGreater(self.cost_of(run), 0)


class Budgets(unittest.TestCase):
    """What a run may cost holds, whatever its calls would have cost."""

    def test_a_run_ends_with_what_its_budget_allows(self):
        env = dict(FAST, CHURNS_BUDGET_RUN_USD="0.000001")
        with Stack(runner=True, sim=True, env=env) as s:
            run = s.wait(s.submit(num_variants="2")["id"])
            self.assertEqual(run["status"], "FAILED")
            self.assertIn("budget", run["error_message"].lower())
            self.assertIn(run["total_cost_usd"], (None, 0))
            check_money(self, s, run["id"])

    def test_a_budget_that_suffices_changes_nothing(self):
        env = dict(FAST, CHURNS_BUDGET_RUN_MAX_USD="50")
        with Stack(runner=True, sim=True, env=env) as s:
            run = s.wait(s.submit(num_variants="1")["id"])
            self.assertEqual(run["status"], "COMPLETED")
            self.assertGreater(run["total_cost_usd"], 0)


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
