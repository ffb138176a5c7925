"""Every way in which a provider can go wrong, for every kind of call: a text, a
picture that is looked at, one that is made and one that is edited, on both
wires.  A fault that happens once is mended and leaves no trace in the result;
one that stays means what the failure matrix says.  The money agrees after each.
"""
import os
import unittest

from money import check_money
from stack import Stack

FAST = {"LLM_MAX_RETRIES": "1", "CHURNS_CALLS_RETRY_BASE_MS": "20",
        "CHURNS_CALLS_RETRY_CAP_MS": "40", "LLM_TIMEOUT_SECONDS": "1",
        "IMAGE_TIMEOUT_SECONDS": "1"}

# The kinds of call: which request is meant, and the stage it belongs to.
CHAT = {
    "text": ({"kind": "chat", "schema": "image_generation_prompt"},
             "creative_expert", False),
    "vision": ({"kind": "chat", "schema": "image_assessment"},
               "image_assessment", False),
}
GEMINI = {
    "generate": ({"kind": "generate_content"}, "image_generation", False),
    "edit": ({"kind": "generate_content"}, "image_generation", True),
}
OPENAI = {
    "generate": ({"kind": "generation"}, "image_generation", False),
    "edit": ({"kind": "edit"}, "image_generation", True),
}

# fault, class of the fault, requests when it stays (of one model), states in
# the ledger when it happens once
TRANSPORT = {
    "rate_limit": ({"fault": "status", "status": 429}, "rate_limit", 2,
                   ["FAILED", "ANSWERED"]),
    "status_500": ({"fault": "status", "status": 500}, "server", 2,
                   ["FAILED", "ANSWERED"]),
    "reset": ({"fault": "reset"}, "network", 2, ["UNKNOWN", "ANSWERED"]),
    "stall": ({"fault": "stall"}, "timeout", 2, ["UNKNOWN", "ANSWERED"]),
}
REFUSED = {
    "auth": ({"fault": "status", "status": 401}, "auth", 1, None),
    "bad_request": ({"fault": "status", "status": 400}, "bad_request", 1,
                    None),
    "policy": ({"fault": "policy"}, "content_policy", 1, None),
}
WORDS = {
    "truncated": ({"fault": "truncated"}, "truncated", 2,
                  ["ANSWERED", "ANSWERED"]),
    "wrong_schema": ({"fault": "wrong_schema"}, "invalid_schema", 2,
                     ["ANSWERED", "ANSWERED"]),
    "no_json": ({"fault": "no_json"}, "no_json", 2, ["ANSWERED", "ANSWERED"]),
    "empty": ({"fault": "empty"}, "empty", 2, ["ANSWERED", "ANSWERED"]),
}
PICTURES = {
    "no_image": ({"fault": "no_image"}, "no_image", 2,
                 ["ANSWERED", "ANSWERED"]),
    "empty": ({"fault": "empty"}, "no_image", 2, ["ANSWERED", "ANSWERED"]),
    "broken_image": ({"fault": "broken_image"}, "no_image", 2,
                     ["ANSWERED", "ANSWERED"]),
}
MATTERS_NOT = ("fenced", "chatty", "no_usage")


def hurry(conf):
    """No purpose has a time-out of its own."""
    path = os.path.join(conf, "models.yml")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    assert "    timeout_s: 75\n" in text
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace("    timeout_s: 75\n", ""))


class Case(unittest.TestCase):
    env = {}

    @classmethod
    def setUpClass(cls):
        if cls is Case:
            raise unittest.SkipTest("what the others share")
        cls.stack = Stack(runner=True, sim=True, conf=hurry,
                          env=dict(FAST, **cls.env))
        cls.s = cls.stack.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.stack.__exit__(None, None, None)

    def setUp(self):
        self.s.sim("POST", "/sim/reset")

    def run_with(self, fault, match, photo):
        self.s.script(0, dict(fault, **match))
        run = self.s.wait(self.s.submit(
            image=self.s.photo() if photo else None, num_variants="1")["id"])
        self.total = check_money(self, self.s, run["id"])
        return run

    def states(self, run, stage):
        return [r["state"] for r in self.s.sql(
            "SELECT state FROM model_calls WHERE run_id = '%s' AND stage ="
            " '%s' ORDER BY attempt" % (run["id"], stage))]

    def codes(self, run):
        return sorted(w["code"] for w in run["warnings"])

    def once(self, kind, fault, states):
        match, stage, photo = kind
        run = self.run_with(dict(fault, times=1), match, photo)
        self.assertEqual(run["status"], "COMPLETED", run["error_message"])
        self.assertEqual(self.states(run, stage), states)
        self.assertEqual(self.codes(run), ["call_unknown"]
                         if "UNKNOWN" in states else [])
        results = self.s.results(run["id"])
        self.assertEqual(results["generated_images"][0]["status"], "success")
        self.assertEqual(len(results["image_assessments"]), 1)

    def stays(self, kind, fault, name, requests):
        match, stage, photo = kind
        run = self.run_with(dict(fault, times=-1), match, photo)
        # Texts have a fall-back; a refusal is not taken to another model.
        models = 1 if match["kind"] != "chat" or name == "content_policy" \
            else 2
        self.assertEqual(len(self.states(run, stage)), requests * models)
        if stage == "image_assessment":
            self.degraded(run, name)
        else:
            self.failed(run, stage, name)

    def degraded(self, run, name):
        self.assertEqual(run["status"], "COMPLETED", run["error_message"])
        self.assertFalse(self.s.results(run["id"])["image_assessments"])
        self.assertIn(name, self.codes(run))
        warning = next(w for w in run["warnings"] if w["code"] == name)
        self.assertEqual(warning["stage"], "image_assessment")
        self.assertEqual(warning["variant_index"], 0)
        self.plain(warning["message"])

    def failed(self, run, stage, name):
        self.assertEqual(run["status"], "FAILED")
        self.plain(run["error_message"])
        shown = {s["stage_name"]: s for s in run["stages"]}
        self.assertEqual(shown[stage]["status"], "FAILED")
        self.assertEqual(shown["image_assessment"]["status"], "SKIPPED")
        self.assertIn((stage, name), {(w["stage"], w["code"])
                                      for w in run["warnings"]})
        event = self.s.events(run["id"])[-1]
        self.assertEqual(event["type"], "run_error")

    def plain(self, text):
        """A sentence for people: no key, no body, no trace of our insides."""
        self.assertTrue(text)
        for word in ("sim-key", "{", "src/", "error_code", "None"):
            self.assertNotIn(word, text)


def add(cls, name, test):
    setattr(cls, "test_" + name, test)


def add_rows(cls, kinds, faults):
    for kind_name, kind in kinds.items():
        for fault_name, (fault, said, requests, states) in faults.items():
            if states is not None:
                add(cls, "%s_%s_once" % (kind_name, fault_name),
                    lambda self, k=kind, f=fault, st=states:
                    self.once(k, f, st))
            add(cls, "%s_%s_that_stays" % (kind_name, fault_name),
                lambda self, k=kind, f=fault, n=said, r=requests:
                self.stays(k, f, n, r))


class Chat(Case):
    def test_the_server_says_how_long_to_wait(self):
        for match, stage, photo in CHAT.values():
            run = self.run_with({"fault": "status", "status": 429, "times": 1,
                                 "retry_after": "1"}, match, photo)
            self.assertEqual(run["status"], "COMPLETED")
            first, second = self.s.sql(
                "SELECT sent_ms, settled_ms FROM model_calls WHERE run_id ="
                " '%s' AND stage = '%s' ORDER BY attempt" % (run["id"], stage))
            self.assertGreaterEqual(second["sent_ms"],
                                    first["settled_ms"] + 950)
            self.assertEqual(run["warnings"], [])

    def test_a_format_that_is_refused_is_not_asked_for_again(self):
        match = {"kind": "chat", "schema": "niches_and_strategies"}
        run = self.run_with({"fault": "unsupported_format", "times": -1},
                            match, False)
        self.assertEqual(self.states(run, "strategy"), ["FAILED", "ANSWERED"])
        again = self.run_with({"fault": "unsupported_format", "times": -1},
                              match, False)
        self.assertEqual(self.states(again, "strategy"), ["ANSWERED"])
        self.assertEqual(again["warnings"], [])

    def test_the_fall_back_answers_when_the_model_is_down(self):
        for schema, model, stage in (
                ("niches_and_strategies", "openai/gpt-4.1-mini", "strategy"),
                ("style_guidance_list", "google/gemini-2.5-pro",
                 "style_guide"),
                ("image_generation_prompt", "google/gemini-2.5-pro",
                 "creative_expert"),
                ("image_assessment", "openai/o4-mini", "image_assessment")):
            with self.subTest(schema=schema):
                run = self.run_with(
                    {"fault": "status", "status": 500, "times": -1,
                     "model": model}, {"kind": "chat", "schema": schema},
                    False)
                self.assertEqual(run["status"], "COMPLETED")
                self.assertEqual(self.codes(run), ["fallback_model"])
                self.assertEqual(run["warnings"][0]["stage"], stage)
                self.assertEqual(self.states(run, stage),
                                 ["FAILED", "FAILED", "ANSWERED"])


def matters_not(self, kind, fault):
    match, stage, photo = kind
    run = self.run_with({"fault": fault, "times": -1}, match, photo)
    self.assertEqual(run["status"], "COMPLETED", run["error_message"])
    self.assertEqual(run["warnings"], [])
    self.assertEqual(self.states(run, stage), ["ANSWERED"])
    estimated = self.s.sql("SELECT estimated FROM model_calls WHERE run_id ="
                           " '%s' AND stage = '%s'" % (run["id"], stage))
    self.assertEqual([r["estimated"] for r in estimated],
                     [1 if fault == "no_usage" else 0])


class Gemini(Case):
    pass


class OpenAI(Case):
    env = {"IMAGE_GENERATION_PROVIDER": "openai"}


for faults_ in (TRANSPORT, REFUSED, WORDS):
    add_rows(Chat, CHAT, faults_)
for faults_ in (TRANSPORT, REFUSED, PICTURES):
    add_rows(Gemini, GEMINI, faults_)
# Below the wire both are the same; a time-out takes its time.
for faults_ in ({k: v for k, v in TRANSPORT.items() if k != "stall"}, REFUSED,
                PICTURES):
    add_rows(OpenAI, OPENAI, faults_)
for kind_, row_ in CHAT.items():
    for fault_ in MATTERS_NOT:
        add(Chat, "%s_%s_does_not_matter" % (kind_, fault_),
            lambda self, k=row_, f=fault_: matters_not(self, k, f))
for class_, kinds_ in ((Gemini, GEMINI), (OpenAI, OPENAI)):
    for kind_, row_ in kinds_.items():
        add(class_, "%s_no_usage_does_not_matter" % kind_,
            lambda self, k=row_: matters_not(self, k, "no_usage"))


if __name__ == "__main__":
    unittest.main()
