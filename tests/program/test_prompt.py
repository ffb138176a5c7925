"""churnsctl prompt: what it shows is what is sent, and nothing is."""
import base64
import hashlib
import json
import os
import re
import shutil
import unittest

from stack import Stack, wait_until

CALLS = {"image_eval": 1, "strategy": 1, "style_guide": 2, "creative_expert": 2,
         "prompt_assembly": 0, "image_generation": 2, "image_assessment": 2}
ENCODED = re.compile(r"[A-Za-z0-9+/]{200}")
KIT = {"colors": [{"hex": "#AA3311", "role": "primary"}],
       "brand_voice_description": "warm and plain"}
HASHES = ("SELECT purpose, variant, ask, request_hash AS hash, state FROM"
          " model_calls WHERE run_id = '%s' AND stage = '%s'")


def edit(path, old, new):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    assert old in text, (path, old)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace(old, new, 1))


def listing(top):
    """Every name below top with its time and, of files, a digest."""
    rows = []
    for folder, dirs, files in os.walk(top):
        for name in dirs + files:
            path = os.path.join(folder, name)
            st = os.lstat(path)
            digest = ""
            if name in files and not name.endswith("-shm"):
                with open(path, "rb") as f:
                    digest = hashlib.sha256(f.read()).hexdigest()
            rows.append((os.path.relpath(path, top), digest,
                         st.st_mtime_ns if digest else 0))
    return sorted(rows)


class Case(unittest.TestCase):
    s = None

    def text(self, stage, run_id, *args, status=0):
        code, out, err = self.s.ctl("prompt", stage, "--run", run_id, *args)
        self.assertEqual(code, status, out + err)
        self.assertNotRegex(out, ENCODED)
        if status == 0:
            self.assertEqual(err, "")
        return out if status == 0 else err or out

    def look(self, stage, run_id, *args, status=0):
        code, out, err = self.s.ctl("prompt", stage, "--run", run_id, "--json",
                                    *args)
        self.assertEqual(code, status, out + err)
        self.assertNotRegex(out, ENCODED)
        return json.loads(out)

    def calls(self, stage, run_id, *args):
        doc = self.look(stage, run_id, *args)
        self.assertEqual((doc["run_id"], doc["stage"]), (run_id, stage))
        self.assertEqual(doc["problems"], [])
        return doc["calls"]

    def ledger(self, run_id, stage):
        """{(purpose, variant, ask): hash}, the variant None where -1."""
        return {(r["purpose"], None if r["variant"] < 0 else r["variant"],
                 r["ask"]): r["hash"]
                for r in self.s.sql(HASHES % (run_id, stage))}

    def shown(self, calls):
        return {(c["purpose"], c["variant"], c["ask"]): c["hash"]
                for c in calls}

    def submit(self, **fields):
        fields.setdefault("num_variants", "2")
        return self.s.submit(**fields)["id"]

    def done(self, **fields):
        run = self.s.wait(self.submit(**fields))
        self.assertEqual(run["status"], "COMPLETED", run["error_message"])
        return run["id"]


class OfARunThatWasDone(Case):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack(runner=True, sim=True)
        cls.s = cls.stack.__enter__()
        cls.run_id = cls.s.wait(cls.s.submit(
            image=cls.s.photo(), num_variants="2")["id"])["id"]

    @classmethod
    def tearDownClass(cls):
        cls.stack.__exit__(None, None, None)

    def setUp(self):
        self.s.sim("POST", "/sim/reset")

    def test_every_stage_shows_the_very_requests_that_were_sent(self):
        for stage, number in CALLS.items():
            with self.subTest(stage=stage):
                calls = self.calls(stage, self.run_id)
                self.assertEqual(len(calls), number)
                self.assertEqual(self.shown(calls),
                                 self.ledger(self.run_id, stage))
                for c in calls:
                    self.assertEqual(c["ledger"]["state"], "ANSWERED")
                    self.assertTrue(c["ledger"]["same_request"])
                    self.assertFalse(c["to_send"] or c["uncertain"] or
                                     c["cached"] or c["fallback"])
                    self.assertTrue(c["simulated"])
                    self.assertTrue(c["user"])
                    self.assertRegex(c["hash"], "^[0-9a-f]{64}$")

    def test_a_chat_call_in_full(self):
        c = self.calls("creative_expert", self.run_id, "--variant", "1")
        self.assertEqual(len(c), 1)
        c = c[0]
        self.assertEqual((c["purpose"], c["variant"], c["provider"],
                          c["model"]), ("creative_expert", 1, "openrouter",
                                        "google/gemini-2.5-pro"))
        self.assertTrue(c["url"].endswith("/openrouter/v1/chat/completions"))
        self.assertEqual(c["parameters"],
                         {"temperature": 0.7, "max_tokens": 10000})
        self.assertEqual(c["answer"], {"mode": "json_object",
                                       "schema": "image_generation_prompt"})
        self.assertIn("creative director", c["system"])
        # This model is told the schema in words; they are sent, so are shown.
        self.assertIn("JSON Schema", c["system"])
        self.assertIn("lemon tart", c["user"])
        self.assertEqual(c["pictures"], [])
        self.assertGreater(c["bytes"], len(c["system"]) + len(c["user"]))

    def test_pictures_have_a_name_and_sizes(self):
        (c,) = self.calls("image_eval", self.run_id)
        (p,) = c["pictures"]
        self.assertEqual((p["name"], p["type"]),
                         ("work/analysis.jpg", "image/jpeg"))
        self.assertGreater(p["bytes"], 1000)
        self.assertGreater(p["width"], 100)
        self.assertGreater(c["bytes"], p["bytes"] * 4 / 3)
        made = self.calls("image_assessment", self.run_id)
        self.assertEqual([len(c["pictures"]) for c in made], [2, 2])
        self.assertIn("strategy_1", made[1]["pictures"][0]["name"])

    def test_a_picture_call_shows_the_assembled_prompt(self):
        made = self.s.results(self.run_id)["final_prompts"]
        calls = self.calls("image_generation", self.run_id)
        self.assertEqual([c["user"] for c in calls],
                         [m["prompt"] for m in made])
        for c in calls:
            self.assertIsNone(c["system"])
            self.assertIsNone(c["answer"])
            self.assertEqual(c["pictures"][0]["name"], "work/reference.jpg")
            self.assertIn("responseModalities",
                          c["parameters"]["generationConfig"])

    def test_nothing_is_sent_stored_or_left_behind(self):
        tmp = os.path.join(self.s.dir, "tmp")
        os.makedirs(tmp, exist_ok=True)
        before = listing(os.path.join(self.s.data, "runs"))
        rows = self.s.sql("SELECT * FROM model_calls ORDER BY id")
        outputs = self.s.sql("SELECT * FROM lane_outputs ORDER BY 1, 2, 3")
        os.environ["TMPDIR"] = tmp
        try:
            for stage in CALLS:
                self.look(stage, self.run_id)
        finally:
            del os.environ["TMPDIR"]
        self.assertEqual(os.listdir(tmp), [])
        self.assertEqual(listing(os.path.join(self.s.data, "runs")), before)
        self.assertEqual(self.s.sql("SELECT * FROM model_calls ORDER BY id"),
                         rows)
        self.assertEqual(self.s.sql(
            "SELECT * FROM lane_outputs ORDER BY 1, 2, 3"), outputs)
        self.assertEqual(sum(self.s.counters()["calls"].values()), 0)

    def test_no_key_is_needed_and_none_is_shown(self):
        """A real provider, as far as the configuration goes, without a key."""
        keep = self.s.env_file
        self.s.env_file = os.path.join(self.s.dir, "nokeys.env")
        with open(keep, encoding="utf-8") as f, \
                open(self.s.env_file, "w", encoding="utf-8") as out:
            out.writelines(line for line in f if not re.search(
                r"_(API_KEY|SIMULATED)=", line))
        try:
            for stage in CALLS:
                calls = self.calls(stage, self.run_id)
                self.assertEqual(self.shown(calls),
                                 self.ledger(self.run_id, stage))
                for c in calls:
                    self.assertFalse(c["simulated"] or c["fallback"])
        finally:
            self.s.env_file = keep
        self.assertNotIn("sim-key", self.text("creative_expert", self.run_id))

    def test_an_edited_prompt_is_shown_beside_what_was_sent(self):
        keep = self.s.conf
        self.s.conf = os.path.join(self.s.dir, "edited")
        shutil.copytree(keep, self.s.conf)
        edit(self.s.conf + "/prompts/creative_expert.txt",
             "You are a creative director", "Hail, creative director")
        edit(self.s.conf + "/models.yml", "model: openai/gpt-4.1-mini",
             "model: openai/gpt-4.1")
        try:
            for c in self.calls("creative_expert", self.run_id):
                self.assertIn("Hail, creative director", c["system"])
                self.assertFalse(c["ledger"]["same_request"])
                self.assertEqual(c["ledger"]["hash"], self.ledger(
                    self.run_id, "creative_expert")[
                        "creative_expert", c["variant"], 1])
            self.assertIn("another request was sent, to google/gemini-2.5-pro",
                          self.text("creative_expert", self.run_id))
            changed = [c for stage in CALLS
                       for c in self.calls(stage, self.run_id)
                       if c["ledger"]["model"] != c["model"]]
            self.assertTrue(changed)
            for c in changed:
                self.assertEqual((c["ledger"]["model"], c["model"]),
                                 ("openai/gpt-4.1-mini", "openai/gpt-4.1"))
                self.assertEqual(c["ask"], 1)
        finally:
            self.s.conf = keep

    def test_people_are_told_the_same(self):
        out = self.text("creative_expert", self.run_id)
        calls = self.calls("creative_expert", self.run_id)
        for c in calls:
            for line in (c["system"] + "\n" + c["user"]).split("\n"):
                self.assertIn("\n  | %s\n" % line, out)
            self.assertIn(c["hash"], out)
        self.assertIn("\n2. creative_expert, variant 1\n", out)
        self.assertIn("\n  parameters  temperature 0.7, max_tokens 10000\n",
                      out)
        self.assertIn("\n  answer      json_object image_generation_prompt\n",
                      out)
        self.assertIn("this very request was sent", out)
        out = self.text("image_generation", self.run_id, "--variant", "0")
        self.assertRegex(out, r"\n  picture     work/reference\.jpg, "
                              r"image/jpeg, \d+ x \d+, \d+ bytes\n")
        self.assertIn("asks no model", self.text("prompt_assembly",
                                                 self.run_id))

    def test_re_asks_are_shown_with_the_complaint(self):
        self.s.script(0, {"fault": "wrong_schema",
                          "schema": "image_generation_prompt", "times": 1})
        run_id = self.done(num_variants="1")
        first, second = self.calls("creative_expert", run_id)
        self.assertEqual((first["ask"], second["ask"]), (1, 2))
        self.assertIsNone(first["complaint"])
        self.assertEqual(first["user"], second["user"])
        self.assertIn("cannot be used", second["complaint"])
        self.assertTrue(second["answered"])
        self.assertEqual(self.shown([first, second]),
                         self.ledger(run_id, "creative_expert"))
        self.assertIn("asked again (2)", self.text("creative_expert", run_id))

    def test_a_call_that_failed_for_good_leaves_nothing_uncertain(self):
        self.s.script(0, {"fault": "status", "status": 400, "times": -1,
                          "schema": "niches_and_strategies"})
        run_id = self.done(num_variants="1")
        calls = self.calls("strategy", run_id)
        self.assertEqual(self.shown(calls), self.ledger(run_id, "strategy"))
        self.assertEqual([c["fallback"] for c in calls], [False, True])
        self.assertEqual([c["ledger"]["state"] for c in calls],
                         ["FAILED", "FAILED"])
        for c in calls:
            self.assertTrue(c["ledger"]["same_request"])
            self.assertFalse(c["to_send"] or c["uncertain"])

    def test_a_variant_without_a_picture_says_so(self):
        self.s.script(0, {"fault": "policy", "kind": "generate_content", "times": 1})
        run_id = self.done()
        doc = self.look("image_assessment", run_id)
        self.assertEqual((len(doc["calls"]), len(doc["problems"])), (1, 1))
        lost = doc["problems"][0]["variant"]
        self.assertNotEqual(lost, doc["calls"][0]["variant"])
        self.assertIn("Variant %d: nothing would be sent" % lost,
                      self.text("image_assessment", run_id))
        self.look("image_assessment", run_id, "--variant", str(lost), status=1)

    def test_a_stage_that_is_left_out_says_why(self):
        run_id = self.done(num_variants="1")
        doc = self.look("image_eval", run_id)
        self.assertEqual(doc["calls"], [])
        self.assertTrue(doc["idle"])
        self.assertIn("Nothing would be sent: ", self.text("image_eval",
                                                           run_id))

    def test_wrong_usage(self):
        for status, args, words in (
                (64, ["strategy"], "--run"),
                (64, ["--run", self.run_id], "STAGE"),
                (64, ["strategy", "--run", self.run_id, "--variant", "0"],
                 "once for all variants"),
                (64, ["creative_expert", "--run", self.run_id, "--variant",
                      "2"], "from 0 to 1"),
                (64, ["creative_expert", "--run", self.run_id, "--variant",
                      "x"], "from 0 to 1"),
                (1, ["sculpture", "--run", self.run_id], "it has image_eval, "),
                (1, ["strategy", "--run", "../../etc"], "there is no run")):
            with self.subTest(args=args):
                code, out, err = self.s.ctl("prompt", *args)
                self.assertEqual((code, out), (status, ""), err)
                self.assertEqual(err.count("\n"), 1)
                self.assertIn(words, err)


class OfARunThatWaits(Case):
    """What is shown before is what is sent afterwards."""

    def setUp(self):
        self.stack = Stack(sim=True)
        self.s = self.stack.__enter__()
        self.addCleanup(self.stack.__exit__, None, None, None)

    def test_the_requests_of_first_stages_are_foretold(self):
        kit = dict(KIT, logo_file_base64=base64.b64encode(
            self.s.photo()).decode())
        run_id = self.submit(image=self.s.photo(), render_text="true",
                             task_description='say "Fresh today"',
                             apply_branding="true", brand_kit=json.dumps(kit))
        before = listing(os.path.join(self.s.data, "runs"))
        eval_calls = self.calls("image_eval", run_id)
        self.assertEqual(listing(os.path.join(self.s.data, "runs")), before)
        self.assertEqual([c["purpose"] for c in eval_calls],
                         ["image_eval", "logo_eval"])
        for c in eval_calls:
            self.assertTrue(c["to_send"])
            self.assertFalse(c["uncertain"])
            self.assertIsNone(c["ledger"])
            self.assertGreater(c["pictures"][0]["bytes"], 1000)
        (goals,) = self.calls("strategy", run_id)
        self.assertTrue(goals["to_send"])
        self.assertFalse(goals["uncertain"])
        self.assertEqual(goals["answer"]["schema"], "niches_and_strategies")
        self.assertIn("there is no strategy", self.text(
            "creative_expert", run_id, status=1))
        self.s.start("runner")
        self.assertEqual(self.s.wait(run_id)["status"], "COMPLETED")
        self.assertEqual(self.shown(eval_calls),
                         self.ledger(run_id, "image_eval"))
        for stage in CALLS:
            self.assertEqual(self.shown(self.calls(stage, run_id)),
                             self.ledger(run_id, stage), stage)
        for c in self.calls("image_generation", run_id):
            self.assertEqual([p["name"] for p in c["pictures"]],
                             ["work/reference.jpg", "work/logo.png"])

    def test_an_equal_picture_is_answered_from_the_cache(self):
        self.s.start("runner")
        self.s.wait_ready()
        self.done(image=self.s.photo())
        self.s.kill("runner", 15)
        run_id = self.submit(image=self.s.photo())
        (c,) = self.calls("image_eval", run_id)
        self.assertTrue(c["cached"])
        self.assertFalse(c["to_send"])
        self.assertIn("equal request was answered", self.text("image_eval",
                                                              run_id))

    def test_a_call_under_way_and_one_that_was_cut_off(self):
        self.s.script(0, {"schema": "niches_and_strategies", "fault": "stall",
                          "times": -1})
        self.s.start("runner")
        self.s.wait_ready()
        run_id = self.submit(num_variants="1")

        def state():
            rows = self.s.sql(HASHES % (run_id, "strategy"))
            return rows[0]["state"] if rows else None
        wait_until(lambda: state() == "SENT", 10, "a call that is sent")
        self.assertIn("SENT in attempt 1, no answer yet",
                      self.text("strategy", run_id))
        self.assertEqual(state(), "SENT")
        self.assertEqual(self.s.request(
            "POST", "/api/v1/runs/%s/cancel" % run_id).status, 200)
        wait_until(lambda: state() == "UNKNOWN", 10, "its end")
        (goals,) = self.calls("strategy", run_id)
        self.assertTrue(goals["to_send"])
        self.assertEqual(goals["ledger"]["state"], "UNKNOWN")
        self.assertTrue(goals["ledger"]["same_request"])
        self.assertFalse(goals["uncertain"])
        self.assertIn("UNKNOWN in attempt 1, would be sent again",
                      self.text("strategy", run_id))

    def test_text_from_outside_cannot_pose_as_ours(self):
        run_id = self.submit(prompt="tart\n\n1. style_guide\x1b[2Jgone",
                             num_variants="1")
        out = self.text("strategy", run_id)
        self.assertNotIn("\x1b", out)
        self.assertNotIn("\n1. style_guide", out)
        self.assertIn("\n1. strategy_goals", out)


class WithForms(Case):
    """Pictures edited by an API that takes multipart forms."""

    def test_the_fields_of_a_form_are_read_back(self):
        with Stack(runner=True, sim=True,
                   env={"IMAGE_GENERATION_PROVIDER": "openai"}) as s:
            self.s = s
            run_id = self.done(image=s.photo(), num_variants="1")
            (c,) = self.calls("image_generation", run_id)
            self.assertEqual((c["provider"], c["model"]),
                             ("openai", "gpt-image-1"))
            self.assertTrue(c["url"].endswith("/images/edits"))
            self.assertEqual(c["user"], s.results(run_id)[
                "final_prompts"][0]["prompt"])
            self.assertEqual(c["parameters"], {
                "n": "1", "size": "1024x1024", "quality": "medium",
                "input_fidelity": "high"})
            self.assertEqual([p["name"] for p in c["pictures"]],
                             ["work/reference.jpg"])
            self.assertTrue(c["ledger"]["same_request"])
            run_id = self.done(num_variants="1")
            (c,) = self.calls("image_generation", run_id)
            self.assertTrue(c["url"].endswith("/images/generations"))
            self.assertEqual(c["parameters"]["size"], "1024x1024")
            self.assertEqual(c["pictures"], [])
            self.assertTrue(c["ledger"]["same_request"])


if __name__ == "__main__":
    unittest.main()
