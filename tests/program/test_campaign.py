"""A real campaign all the way: form with photo, web server, runner, provider,
pictures on disk, an exact cost."""
import json
import os
import struct
import subprocess
import unittest

from money import check_money, nano
from stack import BUILD, Stack

STAGES = ["image_eval", "strategy", "style_guide", "creative_expert",
          "prompt_assembly", "image_generation", "image_assessment"]


class Campaign(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack(runner=True, sim=True)
        cls.s = cls.stack.__enter__()
        try:
            accepted = cls.s.submit(
                image=cls.s.photo(), num_variants="3", render_text="true",
                prompt="lemon tart, weekend special",
                task_type="4. Menu Spotlights",
                task_description='"LEMON WEEKEND" in friendly lettering')
            cls.accepted = accepted
            cls.run_id = accepted["id"]
            cls.ended = cls.s.wait(cls.run_id)
            cls.results = cls.s.results(cls.run_id) \
                if cls.ended["status"] == "COMPLETED" else None
            cls.events = cls.s.events(cls.run_id)
        except BaseException:
            cls.stack.__exit__(AssertionError, None, None)
            raise

    @classmethod
    def tearDownClass(cls):
        cls.stack.__exit__(None, None, None)

    def test_the_answer_is_a_pending_run(self):
        self.assertEqual(self.accepted["status"], "PENDING")
        self.assertIsNone(self.accepted["total_cost_usd"])

    def test_it_completes_without_warnings(self):
        self.assertEqual(self.ended["status"], "COMPLETED",
                         self.ended["error_message"])
        self.assertEqual(self.ended["warnings"], [])
        self.assertTrue(self.ended["simulated"])

    def test_every_stage_is_told_running_and_completed_in_order(self):
        told = [(e["data"]["stage_name"], e["data"]["stage_order"],
                 e["data"]["status"]) for e in self.events
                if e["type"] == "stage_update"]
        self.assertEqual(len(told), 14)
        for status in ("RUNNING", "COMPLETED"):
            self.assertEqual(
                [(n, o) for n, o, st in told if st == status],
                list(zip(STAGES, range(1, 8))))
        for name in STAGES:
            self.assertLess(
                [t[0::2] for t in told].index((name, "RUNNING")),
                [t[0::2] for t in told].index((name, "COMPLETED")))

    def test_events_are_gapless_and_end_once(self):
        self.assertEqual([e["seq"] for e in self.events],
                         list(range(1, len(self.events) + 1)))
        self.assertEqual([e["type"] for e in self.events
                          if e["type"] != "stage_update"], ["run_complete"])
        self.assertEqual(self.events[-1]["type"], "run_complete")
        self.assertEqual(self.events[-1]["data"]["run_id"], self.run_id)
        self.assertNotIn("job_id", self.events[-1]["data"])

    def test_three_variants_from_strategy_to_assessment(self):
        r = self.results
        self.assertEqual(len(r["marketing_strategies"]), 3)
        self.assertEqual(len(r["style_guidance"]), 3)
        self.assertEqual([c["source_strategy_index"]
                          for c in r["visual_concepts"]], [0, 1, 2])
        self.assertEqual([p["index"] for p in r["final_prompts"]], [0, 1, 2])
        self.assertEqual([(g["strategy_index"], g["status"])
                          for g in r["generated_images"]],
                         [(0, "success"), (1, "success"), (2, "success")])
        self.assertEqual([a["image_index"] for a in r["image_assessments"]],
                         [0, 1, 2])
        self.assertIn("main_subject", r["image_analysis"])
        self.assertEqual(r["refinements"], [])

    def test_the_strategies_speak_of_the_brief(self):
        said = json.dumps(self.results["marketing_strategies"] +
                          self.results["visual_concepts"]).lower()
        self.assertIn("lemon", said)
        self.assertIn("LEMON WEEKEND", json.dumps(
            self.results["visual_concepts"]))

    def test_pictures_are_real_and_carry_their_mark(self):
        folder = os.path.join(self.s.data, "runs", self.run_id)
        for image in self.results["generated_images"]:
            self.assertRegex(image["image_path"],
                             r"^edited_image_strategy_\d_\d{20}\.(png|jpg)$")
            with open(os.path.join(folder, image["image_path"]), "rb") as f:
                head = f.read(24)
            self.assertEqual(head[:8], b"\x89PNG\r\n\x1a\n")
            width, height = struct.unpack(">II", head[16:24])
            self.assertGreaterEqual(min(width, height), 512)
            mark = json.loads(subprocess.run(
                [os.path.join(BUILD, "churns-image"), "mark",
                 os.path.join(folder, image["image_path"])],
                check=True, capture_output=True).stdout)
            self.assertEqual(mark["run_id"], self.run_id)
            self.assertIn("trainedAlgorithmicMedia",
                          mark["digital_source_type"])
            self.assertTrue(mark["model"] and mark["prompt_hash"])

    def test_nothing_but_results_is_left_in_the_directory(self):
        names = self.s.run_files(self.run_id)
        for name in names:
            self.assertRegex(
                name, r"^(input_tart\.jpg|edited_image_strategy_\d_\d{20}\.png"
                r"|pipeline_metadata\.json|work)$")
        self.assertIn("input_tart.jpg", names)

    def test_the_cost_is_the_sum_of_the_ledger_to_the_nano_dollar(self):
        rows = self.s.sql("SELECT stage, cost_nano, state FROM model_calls")
        total = sum(r["cost_nano"] for r in rows)
        self.assertGreater(total, 0)
        self.assertEqual({r["state"] for r in rows}, {"ANSWERED"})
        self.assertEqual(nano(self.ended["total_cost_usd"]), total)
        self.assertEqual(nano(self.results["total_cost_usd"]), total)
        by_stage = {}
        for r in rows:
            by_stage[r["stage"]] = by_stage.get(r["stage"], 0) + r["cost_nano"]
        told = {c["stage_name"]: nano(c["cost_usd"])
                for c in self.results["stage_costs"]}
        self.assertEqual({k: v for k, v in told.items() if v}, by_stage)
        self.assertEqual(set(told), set(STAGES))
        self.assertEqual(check_money(self, self.s, self.run_id), total)

    def test_the_metadata_file_has_its_documented_parts(self):
        path = os.path.join(self.s.data, "runs", self.run_id,
                            "pipeline_metadata.json")
        with open(path, encoding="utf-8") as f:
            text = f.read()
        doc = json.loads(text)
        self.assertTrue(text.startswith('{\n  "'))
        self.assertEqual(
            list(doc)[:4], ["pipeline_settings", "request_details",
                            "user_inputs", "processing_context"])
        self.assertNotIn("base64,", text)
        self.assertNotIn(self.s.dir, text)
        context = doc["processing_context"]
        for key in ("image_analysis_result", "suggested_marketing_strategies",
                    "style_guidance_sets", "generated_image_prompts",
                    "final_assembled_prompts", "generated_image_results",
                    "image_assessment", "llm_call_usage", "cost_summary"):
            self.assertIn(key, context)
        for key in ("image_eval", "strategy_goal_gen", "style_guider",
                    "creative_expert_strategy_0", "image_assessment"):
            self.assertIn(key, context["llm_call_usage"])

    def test_a_picture_comes_through_the_web_server(self):
        name = self.results["generated_images"][0]["image_path"]
        url = "/api/v1/files/%s/%s" % (self.run_id, name)
        whole = self.s.get(url)
        self.assertEqual(whole.status, 200)
        self.assertEqual(whole.headers["Content-Type"], "image/png")
        with open(os.path.join(self.s.data, "runs", self.run_id, name),
                  "rb") as f:
            self.assertEqual(whole.body, f.read())
        part = self.s.get(url, Range="bytes=0-99")
        self.assertEqual((part.status, part.body), (206, whole.body[:100]))

    def test_no_key_is_in_any_log_row_or_answer(self):
        for name in ("api", "runner", "web"):
            self.assertNotIn("sim-key", self.s.log(name))
        with open(os.path.join(self.s.data, "db", "churns.sqlite"), "rb") as f:
            self.assertNotIn(b"sim-key", f.read())

    def test_the_metadata_and_scratch_of_the_provider_stay_private(self):
        for path in ("calls/x", "work/x", ".tmp-x"):
            self.assertEqual(self.s.get("/api/v1/files/%s/%s" % (
                self.run_id, path)).status, 404)


class WithoutPhoto(unittest.TestCase):
    def test_text_only_makes_generated_images_by_gemini(self):
        with Stack(runner=True, sim=True) as s:
            run = s.wait(s.submit(num_variants="1")["id"])
            self.assertEqual(run["status"], "COMPLETED", run["error_message"])
            r = s.results(run["id"])
            self.assertIsNone(r["image_analysis"])
            self.assertRegex(r["generated_images"][0]["image_path"],
                             r"^generated_image_strategy_0_\d{20}\.png$")
            calls = s.counters()["calls"]
            self.assertEqual(calls.get("generate_content"), 1)
            check_money(self, s, run["id"])

    def test_openai_makes_the_pictures_when_it_is_chosen(self):
        env = {"IMAGE_GENERATION_PROVIDER": "OpenAI"}
        with Stack(runner=True, sim=True, env=env) as s:
            run = s.wait(s.submit(
                num_variants="1",
                platform_name="Pinterest Pin (2:3 Vertical)")["id"])
            self.assertEqual(run["status"], "COMPLETED", run["error_message"])
            meta = s.get("/api/v1/files/%s/pipeline_metadata.json"
                         % run["id"]).json["processing_context"]
            record = meta["generated_image_results"][0]["generation_metadata"]
            self.assertEqual(record["provider"], "openai")
            self.assertEqual(record["model_id"], "gpt-image-1")
            self.assertEqual(record["output_resolution"], "1024x1536")
            self.assertEqual(
                meta["final_assembled_prompts"][0]["supported_aspect_ratio"],
                "2:3")
            edit = s.wait(s.submit(num_variants="1", image=s.photo())["id"])
            self.assertEqual(edit["status"], "COMPLETED",
                             edit["error_message"])
            for done in (run, edit):
                check_money(self, s, done["id"])
            calls = s.counters()["calls"]
            self.assertEqual((calls.get("generation"), calls.get("edit")),
                             (1, 1))


if __name__ == "__main__":
    unittest.main()
