#!/usr/bin/python3
"""churns-sim as a program: answers, pictures, faults, counters, many at once.

CHURNS_BUILD names the build directory.
"""
import base64
import concurrent.futures
import http.client
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest
import zlib

SRC = os.environ.get("CHURNS_SRC") or os.path.dirname(os.path.dirname(
    os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("CHURNS_BUILD") or SRC
PROGRAM = os.path.join(BUILD, "churns-sim")
SCHEMAS = os.path.join(SRC, "conf", "schemas")
BRIEF = ("A bright campaign for our new lemon tart, served on the terrace this "
         "spring.")


def read_file(path, mode="rb"):
    with open(path, mode) as f:
        return f.read()


def is_sanitized():
    program = read_file(PROGRAM)
    return b"__asan_init" in program or b"__tsan_init" in program


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class Sim:
    """A running simulator."""

    def __init__(self, *args, env=None):
        self.dir = tempfile.mkdtemp(prefix="churns-sim-")
        port_file = os.path.join(self.dir, "port")
        self.log = open(os.path.join(self.dir, "log"), "w+")
        self.process = subprocess.Popen(
            [PROGRAM, "--listen", "127.0.0.1:0", "--port-file", port_file,
             "--quiet"] + list(args), stdout=subprocess.PIPE, stderr=self.log,
            env=dict(os.environ, **(env or {})))
        self.line = self.process.stdout.readline().decode()
        if not self.line:
            raise AssertionError("churns-sim did not start: " +
                                 read_file(self.log.name, "r"))
        self.port = int(read_file(port_file, "r"))

    def stop(self):
        """SIGTERM; (exit status, seconds it took)."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(20)
        took = time.monotonic() - began
        self.process.stdout.close()
        self.log.close()
        self.said = read_file(self.log.name, "r")
        shutil.rmtree(self.dir)
        return status, took

    def request(self, method, path, body=None, headers=None, timeout=60):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            c.request(method, path, body, headers or {})
            r = c.getresponse()
            return Answer(r.status, r.headers, r.read())
        finally:
            c.close()

    def post(self, path, body, key=None, **headers):
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        headers["Content-Type"] = "application/json"
        if key:
            headers["Idempotency-Key"] = key
        if not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        return self.request("POST", path, body, headers)

    def script(self, latency_ms=0, *faults, **more):
        a = self.post("/sim/script", dict(latency_ms=latency_ms,
                                          faults=list(faults), **more))
        assert a.status == 200, a.body

    def counters(self):
        return self.request("GET", "/sim/counters").json

    def rss_mb(self, what="VmHWM"):
        for line in read_file("/proc/%d/status" % self.process.pid,
                              "r").splitlines():
            if line.startswith(what + ":"):
                return int(line.split()[1]) / (
                    1 if what == "Threads" else 1024)


def chat(user, schema=None, system="You help.", name="answer", pictures=(),
         **more):
    content = user
    if pictures:
        content = [{"type": "text", "text": user}] + [
            {"type": "image_url", "image_url": {
                "url": "data:image/png;base64," +
                base64.b64encode(p).decode()}} for p in pictures]
    body = {"model": "openai/gpt-4.1", "messages": [
        {"role": "system", "content": system},
        {"role": "user", "content": content}]}
    if schema is not None:
        body["response_format"] = {"type": "json_schema", "json_schema": {
            "name": name, "strict": True, "schema": schema}}
    body.update(more)
    return body


def brief(text=BRIEF):
    return "<<<brief\n%s\nbrief>>>\n" % text


def obj(**properties):
    return {"type": "object", "properties": properties,
            "required": list(properties), "additionalProperties": False}


TEXT = {"type": "string"}
MAYBE = {"type": ["string", "null"]}
STRATEGIES = obj(strategies={"type": "array", "items": obj(
    target_audience=TEXT, target_objective=TEXT, target_voice=TEXT,
    target_niche=MAYBE)})


def chunk(kind, body):
    return (struct.pack(">I", len(body)) + kind + body +
            struct.pack(">I", zlib.crc32(kind + body)))


def png(width, height, pixel):
    rows = b"".join(b"\0" + bytes(v for x in range(width)
                                  for v in pixel(x, y))
                    for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(
        ">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class Picture:
    """Pixels of an 8-bit palette PNG, which is what the simulator draws."""

    def __init__(self, data):
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        at, self.palette, raw = 8, None, b""
        while at < len(data):
            n, kind = struct.unpack(">I4s", data[at:at + 8])
            body = data[at + 8:at + 8 + n]
            assert struct.unpack(">I", data[at + 8 + n:at + 12 + n])[0] == \
                zlib.crc32(kind + body)
            at += 12 + n
            if kind == b"IHDR":
                self.w, self.h, depth, color = struct.unpack(">IIBB", body[:10])
                assert (depth, color) == (8, 3), (depth, color)
            elif kind == b"PLTE":
                self.palette = body
            elif kind == b"IDAT":
                raw += body
        raw = zlib.decompress(raw)
        self.rows = []
        for y in range(self.h):
            line = raw[y * (self.w + 1):(y + 1) * (self.w + 1)]
            assert line[0] == 0, "a filtered row"
            self.rows.append(line[1:])

    def __getitem__(self, xy):
        i = self.rows[xy[1]][xy[0]]
        return tuple(self.palette[3 * i:3 * i + 3])

    def colors(self):
        used = set().union(*(set(r) for r in self.rows))
        return [tuple(self.palette[3 * i:3 * i + 3]) for i in used]


def picture(answer):
    """Bytes of the picture in an answer of either wire."""
    if "data" in answer:
        return base64.b64decode(answer["data"][0]["b64_json"])
    parts = answer["candidates"][0]["content"]["parts"]
    return base64.b64decode(parts[1]["inlineData"]["data"])


def near(a, b, off=24):
    return max(abs(x - y) for x, y in zip(a, b)) <= off


def violations(value, schema, where="$"):
    """A small validator: what our schemas use."""
    out = []
    if "$ref" in schema:
        with open(os.path.join(SCHEMAS, schema["$ref"])) as f:
            return violations(value, json.load(f), where)
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool,
             "null": type(None), "integer": int, "number": (int, float)}
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(isinstance(value, kinds[t]) and not (
            t in ("integer", "number") and isinstance(value, bool))
            for t in types):
        return ["%s is %r, not %s" % (where, value, types)]
    if "enum" in schema and value not in schema["enum"]:
        out.append("%s is %r" % (where, value))
    if isinstance(value, dict):
        known = schema.get("properties", {})
        for k in schema.get("required", []):
            if k not in value:
                out.append("%s lacks %s" % (where, k))
        for k, v in value.items():
            if k in known:
                out += violations(v, known[k], where + "." + k)
            elif schema.get("additionalProperties") is False:
                out.append("%s has %s" % (where, k))
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= \
                schema.get("maxItems", 99):
            out.append("%s has %d items" % (where, len(value)))
        for i, v in enumerate(value):
            out += violations(v, schema.get("items", {}), "%s[%d]" % (where,
                                                                      i))
    if isinstance(value, str):
        if not schema.get("minLength", 0) <= len(value) <= \
                schema.get("maxLength", 1e9):
            out.append("%s is %d long" % (where, len(value)))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not schema.get("minimum", -1e9) <= value <= \
                schema.get("maximum", 1e9):
            out.append("%s is %r" % (where, value))
    return out


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sim = Sim()

    @classmethod
    def tearDownClass(cls):
        status, _ = cls.sim.stop()
        assert status == 0, (status, cls.sim.said)
        assert "ERROR" not in cls.sim.said, cls.sim.said

    def setUp(self):
        a = self.sim.request("POST", "/sim/reset")
        self.assertEqual(a.status, 200)

    def ask(self, body, path="/v1/chat/completions", **headers):
        a = self.sim.post(path, body, **headers)
        self.assertEqual(a.status, 200, a.body[:300])
        return a.json

    def said(self, body, **headers):
        """The parsed content of a chat answer."""
        choice = self.ask(body, **headers)["choices"][0]
        self.assertEqual(choice["finish_reason"], "stop")
        return json.loads(choice["message"]["content"])

    def draw(self, path="/v1/images/generations", **body):
        body.setdefault("model", "gpt-image-1")
        body.setdefault("prompt", "Main subject: lemon tart.")
        a = self.ask(body, path)
        return Picture(base64.b64decode(a["data"][0]["b64_json"])), a

    def edit(self, *pictures, **fields):
        fields.setdefault("model", "gpt-image-1")
        fields.setdefault("prompt", "Edit the supplied picture.")
        boundary = fields.pop("boundary", "xYzBoundary")
        body = b"".join(
            ('--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
             % (boundary, k, v)).encode() for k, v in fields.items())
        for p in pictures:
            body += ('--%s\r\nContent-Disposition: form-data; name="image[]"; '
                     'filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
                     % boundary).encode() + p + b"\r\n"
        body += ("--%s--\r\n" % boundary).encode()
        return self.sim.request("POST", "/v1/images/edits", body, {
            "Content-Type": "multipart/form-data; boundary=" + boundary})


class Chat(Case):
    def test_strategies_speak_of_the_subject_and_keep_offered_niches(self):
        niches = ["Artisan patisserie & café", "Tea room"]
        for n in (1, 2, 3, 6):
            got = self.said(chat("COUNT: %d\nNiche: not provided\n%s%s" % (
                n, "".join("NICHE: %s\n" % x for x in niches), brief()),
                STRATEGIES))["strategies"]
            self.assertEqual(len(got), n)
            for i, s in enumerate(got):
                self.assertIn("lemon tart", " ".join(s.values()))
                self.assertEqual(s["target_niche"], niches[i % 2])
            for key in ("target_audience", "target_objective",
                        "target_voice"):
                self.assertEqual(len({s[key] for s in got}), n)

    def test_a_count_in_words_will_do(self):
        for words, n in [("Give exactly 4 strategies.", 4), ("N = 2", 2),
                         ("Deliver exactly five distinct strategies", 5),
                         ("Produce 3 marketing strategies from 2 goals", 3)]:
            got = self.said(chat(words + "\n" + brief(), STRATEGIES))
            self.assertEqual(len(got["strategies"]), n, words)

    def test_the_subject_is_found_in_many_briefs(self):
        for text, want in [
                (BRIEF, "lemon tart"),
                ("Promote our new sourdough bread!", "sourdough bread"),
                ("We want people to try the spicy ramen on weekdays.",
                 "spicy ramen"),
                ("Luna's chocolate brownies are back", "chocolate brownies"),
                ("Grand opening of a flower shop with roses", "flower"),
                ("柠檬挞，春季新品", "柠檬挞")]:
            got = self.said(chat("COUNT: 1\n" + brief(text), STRATEGIES))
            self.assertIn(want, json.dumps(got, ensure_ascii=False))
        got = self.said(chat("SUBJECT: quince jelly\nCOUNT: 1", STRATEGIES))
        self.assertIn("quince jelly", json.dumps(got))

    def strict(self, schema):
        """The projection a client sends in strict mode."""
        if "$ref" in schema:
            with open(os.path.join(SCHEMAS, schema["$ref"])) as f:
                schema = json.load(f)
        out = {k: v for k, v in schema.items() if k in (
            "type", "enum", "description")}
        if "properties" in schema:
            optional = set(schema["properties"]) - set(
                schema.get("required", []))
            out["properties"] = {}
            for k, v in schema["properties"].items():
                v = self.strict(v)
                if k in optional and isinstance(v.get("type"), str):
                    v["type"] = [v["type"], "null"]
                out["properties"][k] = v
            out["required"] = list(schema["properties"])
            out["additionalProperties"] = False
        if "items" in schema:
            out["items"] = self.strict(schema["items"])
        return out

    def test_every_answer_schema_of_the_product_is_answered_validly(self):
        tart = png(60, 40, lambda x, y: (222, 170, 60) if x < 40 else
                   (250, 248, 240))
        for name in ("relevant_niches", "marketing_strategies",
                     "niches_and_strategies",
                     "style_guidance_list", "style_guidance_set",
                     "image_generation_prompt", "visual_concept",
                     "logo_analysis", "image_analysis", "image_assessment",
                     "noise_assessment"):
            path = os.path.join(SCHEMAS, name + ".json")
            if not os.path.exists(path):
                continue
            with open(path) as f:
                schema = json.load(f)
            for k in range(6):
                user = ("COUNT: 1\nINDEX: %d\nText: ON\nBranding: ON\n"
                        "<<<overlay\n\"FRESH LEMONS\" in big letters\n"
                        "overlay>>>\n%s" % (k, brief()))
                body = chat(user, self.strict(schema), name=name, pictures=(
                    [tart] if "logo" in name or "image" in name else []))
                got = self.said(body)
                # Absent is what null means in an optional member.
                self.assertEqual(violations(prune(got, schema), schema), [],
                                 name)
                if name == "style_guidance_list":
                    self.assertEqual(got["style_guidance_sets"][0][
                        "source_strategy_index"], k)
        self.assertIn("visual_concept", self.sim.counters()["by_schema"])

    def concept(self, index=0, extra="", text=BRIEF):
        fields = ["composition_and_framing", "background_environment",
                  "lighting_and_mood", "color_palette", "visual_style",
                  "suggested_alt_text", "creative_reasoning"]
        schema = obj(main_subject=MAYBE, promotional_text_visuals=MAYBE,
                     logo_visuals=MAYBE, **{f: TEXT for f in fields})
        return self.said(chat("INDEX: %d\n%s\n%s" % (index, extra,
                                                     brief(text)),
                              obj(visual_concept=schema,
                                  source_strategy_index={"type": "integer"})))

    def test_six_variants_are_six_concepts(self):
        got = [self.concept(i) for i in range(6)]
        self.assertEqual([g["source_strategy_index"] for g in got],
                         list(range(6)))
        for key in ("visual_style", "composition_and_framing",
                    "background_environment", "lighting_and_mood"):
            self.assertEqual(len({g["visual_concept"][key] for g in got}), 6)
        for g in got:
            self.assertIn("lemon tart",
                          g["visual_concept"]["main_subject"].lower())

    def test_a_concept_follows_the_style_of_its_prompt(self):
        styles = self.said(chat("COUNT: 1\nINDEX: 4\n" + brief(), obj(
            style_guidance_sets={"type": "array", "items": obj(
                style_keywords={"type": "array", "items": TEXT},
                style_description=TEXT, marketing_impact=TEXT,
                source_strategy_index={"type": "integer"})})))
        style = styles["style_guidance_sets"][0]
        self.assertEqual(len(style["style_keywords"]), 4)
        got = self.concept(1, "Keywords: " + ", ".join(
            style["style_keywords"]))["visual_concept"]
        self.assertEqual(got["visual_style"], style["style_description"])

    def test_alt_texts_have_the_right_length(self):
        for text in (BRIEF, "pho", "Our traditional slow-braised vegetable "
                     "lasagna", "Crème brûlée cheesecake with fig"):
            for i in range(6):
                alt = self.concept(i, text=text)["visual_concept"][
                    "suggested_alt_text"]
                self.assertTrue(100 <= len(alt) <= 125, (len(alt), alt))

    def test_colours_of_the_prompt_are_used(self):
        got = self.concept(extra="Brand: #0a7f5c (primary), #FFEEDD")
        self.assertIn("#0A7F5C", got["visual_concept"]["color_palette"])
        self.assertIn("#FFEEDD", got["visual_concept"]["color_palette"])

    def test_overlay_words_are_kept_verbatim(self):
        words = ["Zeit für TARTE!", "nur 4,50 € — bis Sonntag"]
        got = self.concept(extra="<<<overlay\n\"%s\" big, and small below it "
                           "\"%s\"\noverlay>>>" % tuple(words))
        for w in words:
            self.assertIn('"%s"' % w,
                          got["visual_concept"]["promotional_text_visuals"])

    def test_what_the_prompt_switches_off_is_null(self):
        got = self.concept(extra="Text: OFF. It is null.\nBranding: OFF.\n"
                           "The picture: KEEP THE SUBJECT.")
        for key in ("promotional_text_visuals", "logo_visuals",
                    "main_subject"):
            self.assertIsNone(got["visual_concept"][key])
        got = self.concept(extra="Text: ON\nBranding: ON")
        for key in ("promotional_text_visuals", "logo_visuals",
                    "main_subject"):
            self.assertTrue(got["visual_concept"][key])

    def test_pictures_are_described_by_what_is_in_them(self):
        schema = obj(main_subject=TEXT, secondary_elements={
            "type": ["array", "null"], "items": TEXT},
            angle_orientation=MAYBE, setting_environment=MAYBE,
            style_mood=MAYBE, extracted_text=MAYBE)
        blue = png(30, 30, lambda x, y: (30, 70, 200))
        got = self.said(chat("Depth: SUBJECT ONLY", schema, pictures=[blue]))
        self.assertIn("blue", got.pop("main_subject"))
        self.assertEqual(set(got.values()), {None})
        got = self.said(chat("<<<instruction\nmake it dramatic\ninstruction>>>"
                             + brief(), schema, pictures=[blue]))
        self.assertIn("emon tart", got["main_subject"])
        self.assertTrue(got["secondary_elements"])
        self.assertTrue(got["setting_environment"])

    def test_logo_colours_are_those_of_the_picture(self):
        logo = png(40, 40, lambda x, y: (200, 16, 46) if x < 25 else
                   (255, 255, 255))
        got = self.said(chat("Analyse the logo.", obj(
            logo_style=TEXT, contains_text={"type": "boolean"},
            extracted_text=MAYBE,
            dominant_colors={"type": "array", "items": TEXT}),
            pictures=[logo]))
        self.assertEqual(got["dominant_colors"], ["#C8102E", "#FFFFFF"])

    def test_an_unknown_schema_is_filled_sensibly(self):
        schema = {
            "type": "object",
            "$defs": {"dish": obj(name=TEXT, level={"enum": ["low", "high"]})},
            "properties": {
                "menu_title": {"type": "string", "description": "Title of the "
                               "menu.", "maxLength": 20},
                "dishes": {"type": "array", "minItems": 2, "maxItems": 2,
                           "items": {"$ref": "#/$defs/dish"}},
                "rating": {"type": "number", "minimum": 0.5, "maximum": 0.9},
                "either": {"anyOf": [{"type": "null"}, {"type": "integer"}]},
                "fixed": {"const": 7},
                "matrix": {"type": "array", "items": {
                    "type": "array", "items": {"type": "integer"}}},
                "yes": {"type": "boolean"}}}
        got = self.said(chat(brief(), schema))
        self.assertLessEqual(len(got["menu_title"]), 20)
        self.assertEqual(len(got["dishes"]), 2)
        self.assertIn(got["dishes"][0]["level"], ("low", "high"))
        self.assertTrue(0.5 <= got["rating"] <= 0.9)
        self.assertIsInstance(got["either"], int)
        self.assertEqual(got["fixed"], 7)
        self.assertIsInstance(got["matrix"][0][0], int)
        self.assertIs(got["yes"], False)

    def test_a_schema_in_the_prompt_serves_too(self):
        system = ("Answer with JSON like { this }. Schema:\n" +
                  json.dumps(STRATEGIES) + "\nNothing else.")
        for fmt in ({"type": "json_object"}, {"type": "text"}):
            got = self.said(chat("COUNT: 2\n" + brief(), system=system,
                                 response_format=fmt))
            self.assertEqual(len(got["strategies"]), 2)
        self.assertEqual(self.sim.counters()["by_schema"],
                         {"marketing_strategies": 2})

    def test_without_a_schema_it_talks(self):
        got = self.said(chat(brief(), response_format={"type": "json_object"}))
        self.assertIn("lemon tart", got["text"])
        a = self.ask(chat(brief()))
        self.assertIn("lemon tart", a["choices"][0]["message"]["content"])

    def test_the_same_request_gets_the_same_bytes(self):
        body = json.dumps(chat("COUNT: 3\n" + brief(), STRATEGIES))
        one = self.sim.post("/a/chat/completions", body, key="one").body
        two = self.sim.post("/a/chat/completions", body, key="two").body
        self.assertEqual(one, two)
        other = self.sim.post("/a/chat/completions", body + " ").body
        self.assertNotEqual(one, other)

    def test_usage_is_plausible(self):
        blue = png(30, 30, lambda x, y: (30, 70, 200))
        body = chat("COUNT: 3\n" + brief(), STRATEGIES)
        u = self.ask(body)["usage"]
        self.assertEqual(u["total_tokens"],
                         u["prompt_tokens"] + u["completion_tokens"])
        self.assertEqual(u["prompt_tokens_details"]["cached_tokens"], 0)
        self.assertGreater(u["completion_tokens"], 60)
        self.assertNotIn("cost", u)
        more = self.ask(chat("COUNT: 3\n" + brief(), STRATEGIES,
                             pictures=[blue]))["usage"]
        self.assertGreaterEqual(more["prompt_tokens"],
                                u["prompt_tokens"] + 255)
        billed = self.ask(body, "/openrouter/v1/chat/completions")["usage"]
        self.assertGreater(billed["cost"], 0)
        think = self.ask(dict(body, model="google/gemini-2.5-pro"))["usage"]
        self.assertGreater(
            think["completion_tokens_details"]["reasoning_tokens"], 0)
        self.assertGreater(think["completion_tokens"], u["completion_tokens"])

    def test_a_low_limit_cuts_the_answer_off(self):
        a = self.ask(chat("COUNT: 6\n" + brief(), STRATEGIES, max_tokens=40))
        self.assertEqual(a["choices"][0]["finish_reason"], "length")
        self.assertLessEqual(a["usage"]["completion_tokens"], 40)
        a = self.ask(chat("COUNT: 1\n" + brief(), STRATEGIES,
                          max_completion_tokens=4000))
        self.assertEqual(a["choices"][0]["finish_reason"], "stop")

    def test_a_re_ask_is_a_request_like_any_other(self):
        body = chat("COUNT: 2\n" + brief(), STRATEGIES)
        body["messages"] += [
            {"role": "assistant", "content": "{\"nonsense\": 1}"},
            {"role": "user", "content": "strategies: required. Repeat it."}]
        self.assertEqual(len(self.said(body)["strategies"]), 2)


def prune(value, schema):
    """Without nulls in members the schema does not call nullable."""
    if "$ref" in schema:
        with open(os.path.join(SCHEMAS, schema["$ref"])) as f:
            schema = json.load(f)
    if isinstance(value, dict):
        known = schema.get("properties", {})
        return {k: prune(v, known.get(k, {})) for k, v in value.items()
                if v is not None or k in schema.get("required", ())}
    if isinstance(value, list):
        return [prune(v, schema.get("items", {})) for v in value]
    return value


class Pictures(Case):
    def test_size_and_palette_are_as_asked(self):
        for size, want in [("1024x1024", (1024, 1024)),
                           ("1024x1536", (1024, 1536)),
                           ("1536x1024", (1536, 1024)), ("auto", (1024, 1024)),
                           ("300x200", (300, 200))]:
            p, _ = self.draw(size=size)
            self.assertEqual((p.w, p.h), want)
        p, _ = self.draw(prompt="A tart. Colours #10A050 and #E040C0.")
        for want in [(0x10, 0xa0, 0x50), (0xe0, 0x40, 0xc0)]:
            self.assertTrue(any(near(c, want) for c in p.colors()), want)
        p, _ = self.draw(prompt="A soup on a teal table")
        self.assertTrue(any(near(c, (0x17, 0x77, 0x7a)) for c in p.colors()))

    def test_words_are_drawn_and_others_are_not(self):
        plain, _ = self.draw(prompt='Main subject: tart. #204060')
        for prompt in (
                'Main subject: tart. #204060\nText in the picture: The words '
                '"Taste of Spring" in serif.',
                'Main subject: tart. #204060\nPromotional text: "SPRING" big'):
            p, _ = self.draw(prompt=prompt)
            self.assertGreater(self.ink(p), 2000)
        self.assertEqual(self.ink(plain), 0)
        p, _ = self.draw(prompt='Main subject: tart. #204060. Apply the '
                         'instruction "make it green".')
        self.assertEqual(self.ink(p), 0)

    def ink(self, p):
        """Nearly white pixels in the upper quarter."""
        return sum(1 for y in range(0, p.h // 4, 2) for x in range(0, p.w, 2)
                   if min(p[x, y]) > 235)

    def test_the_mark_is_there(self):
        for size in ("1024x1024", "1536x1024", "1024x1536"):
            p, _ = self.draw(size=size, prompt="#FFFFFF #FFFFF0 #FFFFFE tart")
            box = [p[x, y] for x in range(p.w * 75 // 100, p.w * 97 // 100, 2)
                   for y in range(p.h - p.w // 60 - p.w * 28 // 600 + 2,
                                  p.h - p.w // 60 - 2, 2)]
            dark = sum(1 for c in box if max(c) < 90) / len(box)
            light = sum(1 for c in box if min(c) > 200) / len(box)
            self.assertTrue(0.4 < dark < 0.9, dark)
            self.assertTrue(0.1 < light < 0.5, light)

    def test_without_any_font_words_and_mark_are_still_there(self):
        sim = Sim(env={"FONTCONFIG_FILE": "/dev/null", "HOME": "/nonexistent"})
        try:
            a = sim.post("/v1/images/generations", {
                "model": "m", "prompt": '#204060 Text in the picture: "HELLO"'})
            self.assertEqual(a.status, 200)
            p = Picture(base64.b64decode(a.json["data"][0]["b64_json"]))
            self.assertGreater(self.ink(p), 2000)
        finally:
            self.assertEqual(sim.stop()[0], 0)

    def test_usage_of_pictures(self):
        for quality, size, want in [
                ("low", "1024x1024", 272), ("medium", "1024x1024", 1056),
                ("medium", "1024x1536", 1584), ("medium", "1536x1024", 1568),
                ("high", "1024x1536", 6240)]:
            u = self.draw(quality=quality, size=size)[1]["usage"]
            self.assertEqual(u["output_tokens"], want)
            self.assertEqual(u["input_tokens_details"]["image_tokens"], 0)
            self.assertEqual(u["total_tokens"],
                             u["input_tokens"] + u["output_tokens"])

    def test_a_picture_by_url_can_be_fetched(self):
        body = {"model": "m", "prompt": "tart", "response_format": "url"}
        url = self.ask(body, "/x/y/images/generations")["data"][0]["url"]
        prefix = "http://127.0.0.1:%d" % self.sim.port
        self.assertTrue(url.startswith(prefix + "/picture/"), url)
        a = self.sim.request("GET", url[len(prefix):])
        self.assertEqual((a.status, a.headers["Content-Type"]),
                         (200, "image/png"))
        del body["response_format"]
        self.assertEqual(Picture(a.body).w, 1024)
        a = self.sim.request("GET", "/picture/%s.png" % ("0" * 64))
        self.assertEqual(a.status, 404)

    def test_an_edit_shows_its_input(self):
        red = png(80, 60, lambda x, y: (230, 20, 30))
        a = self.edit(red, prompt="#208040", size="1024x1024")
        self.assertEqual(a.status, 200, a.body[:200])
        p = Picture(base64.b64decode(a.json["data"][0]["b64_json"]))
        self.assertTrue(near(p[512, 550], (230, 20, 30), 40), p[512, 550])
        self.assertFalse(near(p[20, 20], (230, 20, 30), 60))
        self.assertGreater(
            a.json["usage"]["input_tokens_details"]["image_tokens"], 150)

    def test_a_second_picture_stands_in_the_corner(self):
        red = png(80, 60, lambda x, y: (230, 20, 30))
        blue = png(50, 50, lambda x, y: (20, 40, 220))
        a = self.edit(red, blue, prompt="#208040", size="1024x1024",
                      input_fidelity="high")
        p = Picture(base64.b64decode(a.json["data"][0]["b64_json"]))
        self.assertTrue(near(p[512, 550], (230, 20, 30), 40))
        self.assertTrue(near(p[110, 910], (20, 40, 220), 40), p[110, 910])
        self.assertGreater(
            a.json["usage"]["input_tokens_details"]["image_tokens"], 8000)

    def test_the_boundary_of_a_form_does_not_matter(self):
        red = png(8, 6, lambda x, y: (230, 20, 30))
        one = self.edit(red, boundary="one").body
        self.assertEqual(one, self.edit(red, boundary="TWO-two").body)
        self.assertNotEqual(one, self.edit(red, prompt="Other.").body)

    def test_bad_edits_are_refused(self):
        red = png(8, 6, lambda x, y: (230, 20, 30))
        for pictures, fields in [([b"GIF?"], {}), ([], {}),
                                 ([red[:60]], {}), ([red], {"prompt": ""}),
                                 ([red], {"size": "10x10"}),
                                 ([red], {"size": "huge"}),
                                 ([red] * 5, {})]:
            a = self.edit(*pictures, **fields)
            self.assertEqual(a.status, 400, (fields, a.body[:200]))
            self.assertEqual(a.json["error"]["type"], "invalid_request_error")
        for body in (b"", b"--x", b"--x\r\n\r\n", b"--x\r\nContent-Disposition:"
                     b" form-data; name=\"a\"\r\n\r\nb\r\n--x"):
            a = self.sim.request("POST", "/v1/images/edits", body, {
                "Content-Type": "multipart/form-data; boundary=x"})
            self.assertEqual(a.status, 400)

    def gemini(self, prompt, pictures=(), **config):
        parts = [{"text": prompt}] + [
            {"inlineData": {"mimeType": "image/png",
                            "data": base64.b64encode(p).decode()}}
            for p in pictures]
        body = {"contents": [{"role": "user", "parts": parts}]}
        if config:
            body["generationConfig"] = config
        a = self.ask(body, "/v1beta/models/gemini-2.5-flash-image:"
                     "generateContent")
        found = [p["inlineData"] for p in
                 a["candidates"][0]["content"]["parts"] if "inlineData" in p]
        self.assertEqual(found[0]["mimeType"], "image/png")
        return Picture(base64.b64decode(found[0]["data"])), a

    def test_gemini_takes_its_shape_from_config_or_words(self):
        p, a = self.gemini("A tart", imageConfig={"aspectRatio": "9:16"})
        self.assertEqual((p.w, p.h), (768, 1344))
        u = a["usageMetadata"]
        self.assertEqual(u["candidatesTokenCount"], 1290)
        self.assertEqual(u["totalTokenCount"], u["promptTokenCount"] + 1290)
        for text, want in [("Strictly keep the aspect ratio 4:3.", (1184, 864)),
                           ("Open 12:30. Keep aspect ratio 2:3; please",
                            (832, 1248)), ("no ratio at all", (1024, 1024))]:
            p, _ = self.gemini(text)
            self.assertEqual((p.w, p.h), want, text)

    def test_gemini_edits_show_the_input(self):
        red = png(80, 60, lambda x, y: (230, 20, 30))
        p, a = self.gemini("Edit. 1:1", [red])
        self.assertTrue(near(p[512, 550], (230, 20, 30), 40))
        self.assertIn({"modality": "IMAGE", "tokenCount": 258},
                      a["usageMetadata"]["promptTokensDetails"])

    def test_the_same_prompt_gives_the_same_bytes(self):
        body = {"model": "m", "prompt": 'tart, Text in the picture: "Hi"'}
        one = self.sim.post("/v1/images/generations", body, key="a").body
        two = self.sim.post("/v1/images/generations", body, key="b").body
        self.assertEqual(one, two)


class Errors(Case):
    CALLS = [("/v1/chat/completions", chat("hello")),
             ("/v1/images/generations", {"model": "m", "prompt": "tart"}),
             ("/v1beta/models/g-image:generateContent",
              {"contents": [{"parts": [{"text": "tart"}]}]})]

    def shape(self, a, path):
        e = a.json["error"]
        if "generateContent" in path:
            self.assertEqual(e["code"], a.status)
            self.assertTrue(e["status"].isupper())
        else:
            self.assertEqual(sorted(e), ["code", "message", "param", "type"])
        self.assertTrue(e["message"])
        return e

    def test_a_bad_key_is_refused_in_the_providers_shape(self):
        for path, body in self.CALLS:
            for header in ({"Authorization": "Bearer bad-key"},
                           {"x_goog_api_key": "bad-key"}):
                a = self.sim.post(path, body, **header)
                self.assertEqual(a.status, 401)
                self.shape(a, path)
            a = self.sim.post(path + "?key=bad-key", body)
            self.assertEqual(a.status, 401)
            self.assertEqual(self.sim.post(
                path, body, Authorization="Bearer any").status, 200)

    def test_malformed_requests_are_400(self):
        for path, _ in self.CALLS:
            for body in (b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe",
                         b"{\"model\":\"m\"}", b"[" * 5000,
                         b'{"model":"m","messages":[{"role":"user","content":'
                         b'[{"type":"image_url","image_url":{"url":'
                         b'"data:image/png;base64,!!!!"}}]}]}'):
                a = self.sim.post(path, body)
                self.assertEqual(a.status, 400, (path, body[:40]))
                self.shape(a, path)
        self.assertEqual(self.sim.counters()["answered"]["chat"], 0)

    def test_unknown_paths_are_404_and_other_methods_405(self):
        for method, path in [("GET", "/"), ("GET", "/v1/models"),
                             ("POST", "/v1/unknown"), ("GET", "/sim/script"),
                             ("POST", "/models/x:embedContent")]:
            a = self.sim.request(method, path)
            self.assertEqual(a.status, 404)
            self.shape(a, "")
        a = self.sim.request("GET", "/v1/chat/completions")
        self.assertEqual((a.status, a.headers["Allow"]), (405, "POST"))

    def test_a_body_beyond_the_limit_is_413(self):
        a = self.sim.post("/v1/chat/completions", b" " * (65 << 20))
        self.assertEqual(a.status, 413)
        self.assertEqual(self.sim.post("/v1/chat/completions",
                                       chat("hello")).status, 200)


class Faults(Case):
    def test_status_with_retry_after_and_times(self):
        self.sim.script(0, {"fault": "status", "status": 429,
                            "retry_after": "1", "times": 2})
        for path, body in Errors.CALLS[1:]:
            a = self.sim.post(path, body)
            self.assertEqual((a.status, a.headers["Retry-After"]),
                             (429, "1"))
        self.assertEqual(self.sim.post("/v1/chat/completions",
                                       chat("x")).status, 200)

    def test_every_status_has_its_words(self):
        for status in (400, 401, 403, 404, 408, 409, 413, 418, 422, 429, 500,
                       502, 503, 504):
            self.sim.script(0, {"fault": "status", "status": status,
                                "times": -1})
            for path, body in Errors.CALLS:
                a = self.sim.post(path, body)
                self.assertEqual(a.status, status)
                Errors.shape(self, a, path)
        self.sim.script(0, {"fault": "status", "status": 529,
                            "body": {"error": "own words"}})
        a = self.sim.post("/v1/chat/completions", chat("x"))
        self.assertEqual((a.status, a.json), (529, {"error": "own words"}))

    def test_matching(self):
        schema = obj(relevant_niches={"type": "array", "items": TEXT})
        named = chat("alpha beta", schema, name="niches")
        body = chat("gamma", model="other/model")
        gen = {"model": "gpt-image-1", "prompt": "tart"}

        def statuses(**fault):
            self.sim.script(0, dict(fault="status", status=503, times=-1,
                                    **fault))
            return [self.sim.post(p, b).status for p, b in (
                ("/v1/chat/completions", named), ("/v1/chat/completions",
                                                  body),
                ("/v1/images/generations", gen))]
        self.assertEqual(statuses(), [503, 503, 503])
        self.assertEqual(statuses(kind="any"), [503, 503, 503])
        self.assertEqual(statuses(kind="chat"), [503, 503, 200])
        self.assertEqual(statuses(kind="generation"), [200, 200, 503])
        self.assertEqual(statuses(kind="edit"), [200, 200, 200])
        self.assertEqual(statuses(model="other/model"), [200, 503, 200])
        self.assertEqual(statuses(schema="niches"), [503, 200, 200])
        self.assertEqual(statuses(schema="relevant_niches"), [503, 200, 200])
        self.assertEqual(statuses(contains="beta"), [503, 200, 200])
        self.assertEqual(statuses(contains="tart"), [200, 200, 503])
        self.assertEqual(statuses(contains="tart", kind="chat"),
                         [200, 200, 200])

    def test_skip_lets_calls_pass_first(self):
        self.sim.script(0, {"fault": "status", "skip": 2, "times": 1})
        self.assertEqual([self.sim.post("/v1/chat/completions",
                                        chat("x")).status
                          for _ in range(5)], [200, 200, 500, 200, 200])

    def test_append_adds_faults_behind(self):
        self.sim.script(0, {"fault": "status", "status": 500})
        a = self.sim.post("/sim/script", {"append": True, "faults": [
            {"fault": "status", "status": 502}]})
        self.assertEqual(a.status, 200)
        self.assertEqual([self.sim.post("/v1/chat/completions",
                                        chat("x")).status
                          for _ in range(3)], [500, 502, 200])

    def raw(self, path, body, timeout=10):
        """Bytes of an answer until it ends, and how it ended."""
        data = json.dumps(body).encode()
        s = socket.create_connection(("127.0.0.1", self.sim.port), timeout)
        s.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                  % (path.encode(), len(data)) + data)
        got, how = b"", "end"
        try:
            while True:
                block = s.recv(65536)
                if not block:
                    break
                got += block
        except ConnectionResetError:
            how = "reset"
        except socket.timeout:
            how = "timeout"
        s.close()
        return got, how

    def test_reset_sends_half_and_then_a_reset(self):
        self.sim.script(0, {"fault": "reset", "times": 2})
        for path, body in (("/v1/chat/completions",
                            chat("COUNT: 6\n" + brief(), STRATEGIES)),
                           ("/v1/images/generations",
                            {"model": "m", "prompt": "tart"})):
            got, how = self.raw(path, body)
            self.assertEqual(how, "reset")
            head, part = got.split(b"\r\n\r\n", 1)
            whole = int([h for h in head.split(b"\r\n") if h.startswith(
                b"Content-Length")][0].split()[1])
            self.assertTrue(0 < len(part) <= whole // 2, (len(part), whole))
        self.settled()
        c = self.sim.counters()
        self.assertEqual((c["failed"], sum(c["answered"].values())), (2, 0))

    def settled(self, seconds=5):
        """Wait until nothing is in flight."""
        end = time.monotonic() + seconds
        while self.sim.counters()["in_flight"] > 0:
            self.assertLess(time.monotonic(), end, "a call stays in flight")
            time.sleep(0.01)

    def test_stall_sends_headers_and_then_nothing(self):
        self.sim.script(0, {"fault": "stall", "kind": "chat"})
        got, how = self.raw("/v1/chat/completions", chat("x"), timeout=1)
        self.assertEqual(how, "timeout")
        self.assertTrue(got.startswith(b"HTTP/1.1 200"), got)
        self.assertTrue(got.endswith(b"\r\n\r\n"), got)
        self.settled()
        self.assertEqual(self.sim.counters()["failed"], 1)

    def test_a_stall_can_end(self):
        self.sim.script(0, {"fault": "stall", "stall_ms": 300})
        began = time.monotonic()
        got, how = self.raw("/v1/chat/completions", chat("x"))
        self.assertIn(how, ("end", "reset"))
        self.assertTrue(0.25 < time.monotonic() - began < 5)
        self.settled()
        self.assertEqual(self.sim.counters()["answered"]["chat"], 0)

    def content(self, fault, schema=STRATEGIES, **more):
        self.sim.script(0, {"fault": fault})
        a = self.ask(chat("COUNT: 3\n" + brief(), schema, **more))
        c = a["choices"][0]
        return c["message"]["content"], c["finish_reason"], a

    def test_words_go_wrong_in_all_their_ways(self):
        text, why, a = self.content("truncated")
        self.assertEqual(why, "length")
        self.assertRaises(ValueError, json.loads, text)
        self.assertTrue(text.startswith('{"strategies"'))
        text, why, _ = self.content("fenced")
        self.assertEqual(why, "stop")
        self.assertIn("```json\n{", text)
        self.assertEqual(len(json.loads(text.split("```json\n")[1].split(
            "\n```")[0])["strategies"]), 3)
        text, _, _ = self.content("chatty")
        self.assertTrue(text.startswith("Sure!"))
        inner = text[text.index("{"):text.rindex("}") + 1]
        self.assertEqual(len(json.loads(inner)["strategies"]), 3)
        text, _, _ = self.content("wrong_schema")
        self.assertTrue(violations(json.loads(text), STRATEGIES))
        text, _, _ = self.content("wrong_schema", obj(a=TEXT, b=TEXT, c=TEXT))
        self.assertTrue(violations(json.loads(text),
                                   obj(a=TEXT, b=TEXT, c=TEXT)))
        text, _, _ = self.content("no_json")
        self.assertNotIn("{", text)
        self.assertEqual(self.content("empty")[0], "")
        text, why, a = self.content("no_usage")
        self.assertNotIn("usage", a)
        self.assertEqual(len(json.loads(text)["strategies"]), 3)
        # A paid answer, however useless, was answered.
        self.assertEqual(self.sim.counters()["answered"]["chat"], 8)

    def test_unsupported_format_is_refused_until_it_is_not_asked_for(self):
        self.sim.script(0, {"fault": "unsupported_format", "times": -1},
                        {"fault": "unsupported_format", "times": -1,
                         "format": "json_object", "model": "old"})
        a = self.sim.post("/v1/chat/completions", chat("x", STRATEGIES))
        self.assertEqual(a.status, 400)
        self.assertIn("json_schema", a.json["error"]["message"])
        self.assertIn("not supported", a.json["error"]["message"])
        for model, want in (("new", 200), ("old", 400)):
            a = self.sim.post("/v1/chat/completions", chat(
                "x", model=model, response_format={"type": "json_object"}))
            self.assertEqual(a.status, want)
        self.assertEqual(self.sim.post("/v1/chat/completions", chat(
            "x", model="old")).status, 200)

    def test_refusals(self):
        self.sim.script(0, {"fault": "policy", "times": -1})
        a = self.sim.post(*Errors.CALLS[0])
        self.assertEqual((a.status, a.json["error"]["code"]),
                         (400, "content_policy_violation"))
        a = self.sim.post(*Errors.CALLS[1])
        self.assertEqual((a.status, a.json["error"]["code"]),
                         (400, "moderation_blocked"))
        a = self.sim.post(*Errors.CALLS[2])
        self.assertEqual(a.status, 200)
        self.assertTrue(a.json["promptFeedback"]["blockReason"])
        self.assertNotIn("candidates", a.json)
        self.assertGreater(a.json["usageMetadata"]["promptTokenCount"], 0)

    def test_pictures_that_end_in_the_middle(self):
        whole = picture(self.sim.post(*Errors.CALLS[1]).json)
        self.sim.script(0, {"fault": "broken_image", "times": -1})
        for call in Errors.CALLS[1:]:
            data = picture(self.sim.post(*call).json)
            self.assertEqual(data[:8], b"\x89PNG\r\n\x1a\n")
            self.assertNotIn(b"IEND", data)
        self.assertTrue(whole.startswith(picture(
            self.sim.post(*Errors.CALLS[1]).json)))

    def test_pictures_that_are_none(self):
        self.sim.script(0, {"fault": "no_image", "times": -1})
        self.assertEqual(self.sim.post(*Errors.CALLS[0]).status, 200)
        a = self.sim.post(*Errors.CALLS[1]).json
        self.assertNotIn("b64_json", a["data"][0])
        self.assertIn("usage", a)
        a = self.sim.post(*Errors.CALLS[2]).json
        self.assertEqual([list(p) for p in
                          a["candidates"][0]["content"]["parts"]], [["text"]])
        self.sim.script(0, {"fault": "empty", "times": -1})
        self.assertEqual(self.sim.post(*Errors.CALLS[1]).json["data"], [])
        self.assertEqual(self.sim.post(*Errors.CALLS[2]).json["candidates"],
                         [])
        self.sim.script(0, {"fault": "no_usage", "times": -1})
        self.assertNotIn("usage", self.sim.post(*Errors.CALLS[1]).json)
        self.assertNotIn("usageMetadata",
                         self.sim.post(*Errors.CALLS[2]).json)

    def test_latency_of_all_and_of_some(self):
        def took(path, body):
            began = time.monotonic()
            self.assertIn(self.sim.post(path, body).status, (200, 503))
            return time.monotonic() - began
        # A busy machine may be late, never early.
        self.sim.script(150, {"fault": "latency", "kind": "generation",
                              "latency_ms": 1500, "times": -1},
                        {"fault": "status", "status": 503, "contains": "slow",
                         "latency_ms": 700})
        plain = took(*Errors.CALLS[0])
        self.assertGreaterEqual(plain, 0.15)
        self.assertGreaterEqual(took(*Errors.CALLS[1]), 1.5)
        self.assertGreaterEqual(took("/v1/chat/completions", chat("slow")),
                                0.7)
        self.assertLess(plain, 1.5)

    def test_a_bad_script_is_refused_and_changes_nothing(self):
        self.sim.script(0, {"fault": "status", "status": 500, "times": -1})
        for bad in (b"", b"{", b"[]", b'{"faults":{}}', b'{"latency_ms":-1}',
                    b'{"faults":[{}]}', b'{"faults":[{"fault":"explode"}]}',
                    b'{"faults":[{"fault":"status","kind":"video"}]}',
                    b'{"faults":[{"fault":"status","status":7}]}',
                    b'{"faults":[{"fault":"status","stauts":500}]}',
                    b'{"faults":[1]}'):
            a = self.sim.post("/sim/script", bad)
            self.assertEqual(a.status, 400, bad)
            self.assertTrue(a.json["error"]["message"])
        self.assertEqual(self.sim.post("/v1/chat/completions",
                                       chat("x")).status, 500)

    def test_a_reset_ends_the_script(self):
        self.sim.script(20000, {"fault": "status", "times": -1})
        self.sim.request("POST", "/sim/reset")
        began = time.monotonic()
        self.assertEqual(self.sim.post("/v1/chat/completions",
                                       chat("x")).status, 200)
        self.assertLess(time.monotonic() - began, 10)


class Counters(Case):
    def test_calls_keys_and_repeats(self):
        path = "/v1/chat/completions"
        self.sim.script(0, {"fault": "status", "status": 500, "times": 1})
        self.sim.post(path, chat("x", STRATEGIES), key="k1")    # fails
        self.sim.post(path, chat("x", STRATEGIES), key="k1")
        self.sim.post(path, chat("y"), key="k2")
        self.sim.post(path, chat("y"), key="k2")
        self.sim.post(path, chat("z"))
        self.sim.post("/v1/images/generations", {"model": "gpt-image-1",
                                                 "prompt": "tart"}, key="k3")
        self.sim.post(path, b"{", key="k4")
        c = self.sim.counters()
        self.assertEqual(c["calls"], {"chat": 6, "generation": 1, "edit": 0,
                                      "generate_content": 0})
        self.assertEqual(c["answered"], {"chat": 4, "generation": 1, "edit": 0,
                                         "generate_content": 0})
        self.assertEqual((c["failed"], c["unparsed"], c["repeats"],
                          c["repeats_of_answered"]), (2, 1, 2, 1))
        self.assertEqual(c["keys"]["k1"], {"calls": 2, "answered": 1,
                                           "kind": "chat"})
        self.assertEqual(c["keys"]["k2"], {"calls": 2, "answered": 2,
                                           "kind": "chat"})
        self.assertEqual(c["keys"]["k3"]["kind"], "generation")
        self.assertEqual(c["keys"]["k4"]["answered"], 0)
        self.assertEqual(c["by_model"], {"openai/gpt-4.1": 5,
                                         "gpt-image-1": 1})
        self.assertEqual(c["by_schema"], {"answer": 2})
        self.assertEqual(c["in_flight"], 0)
        self.assertGreaterEqual(c["connections"], 7)
        self.sim.request("POST", "/sim/reset")
        c = self.sim.counters()
        self.assertEqual((sum(c["calls"].values()), c["keys"], c["repeats"]),
                         (0, {}, 0))

    def test_recent_requests_are_shown(self):
        for i in range(5):
            self.sim.post("/v1/chat/completions",
                          chat("user %d " % i + "é" * 3000, STRATEGIES,
                               system="be brief", name="goals"),
                          key="k%d" % i)
        got = self.sim.request("GET", "/sim/requests?last=3").json["requests"]
        self.assertEqual([r["key"] for r in got], ["k2", "k3", "k4"])
        r = got[-1]
        self.assertEqual((r["kind"], r["schema"], r["status"], r["whole"],
                          r["system"]), ("chat", "goals", 200, True,
                                         "be brief"))
        self.assertEqual(len(r["prompt"]), 2000)
        self.assertTrue(r["prompt"].startswith("user 4 é"))
        self.assertGreater(r["bytes"], 100)
        self.assertRegex(r["time"], r"^20\d\d-.*Z$")

    def test_in_flight_is_seen_and_a_client_that_leaves_is_noticed(self):
        self.sim.script(20000)
        data = json.dumps(chat("x")).encode()
        sockets = []
        for i in range(3):
            s = socket.create_connection(("127.0.0.1", self.sim.port))
            s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
                      b"Idempotency-Key: gone%d\r\nContent-Length: %d\r\n\r\n"
                      % (i, len(data)) + data)
            sockets.append(s)
        self.until(lambda: self.sim.counters()["in_flight"] == 3)
        for s in sockets:
            s.close()
        self.until(lambda: self.sim.counters()["in_flight"] == 0)
        c = self.sim.counters()
        self.assertEqual((c["failed"], c["max_in_flight"]), (3, 3))
        self.assertEqual(c["keys"]["gone0"]["answered"], 0)

    def test_the_log_tells_what_a_killed_simulator_had_answered(self):
        folder = tempfile.mkdtemp(prefix="churns-sim-")
        self.addCleanup(shutil.rmtree, folder)
        path = os.path.join(folder, "calls.log")
        lines = []
        for fault in ({}, {"fault": "reset"}, {"fault": "status",
                                               "status": 429}):
            sim = Sim("--log", path)
            if fault:
                sim.script(0, fault)
            try:
                sim.post("/v1/chat/completions", chat("x"), key="k",
                         X_Client_Request_Id="r%d" % len(lines))
            except (OSError, http.client.HTTPException):
                pass
            self.until(lambda: read_file(path, "r").count("\n") ==
                       len(lines) + 3)
            sim.process.kill()
            sim.process.wait()
            sim.stop()
            lines = [json.loads(x) for x in read_file(path, "r").split("\n")
                     if x]
        self.assertEqual([x["event"] for x in lines],
                         ["arrived", "answering", "ended"] * 3)
        self.assertEqual([x["request"] for x in lines],
                         ["r0"] * 3 + ["r3"] * 3 + ["r6"] * 3)
        self.assertEqual({(x["key"], x["kind"]) for x in lines},
                         {("k", "chat")})
        self.assertNotIn("status", lines[0])
        self.assertEqual([(x["status"], x["fault"], x["whole"])
                          for x in lines if x["event"] == "ended"],
                         [(200, "none", True), (200, "reset", False),
                          (429, "status", True)])
        # A call that never got an answer has no line that says so.
        sim = Sim("--log", path)
        sim.script(20000)
        data = json.dumps(chat("x")).encode()
        with socket.create_connection(("127.0.0.1", sim.port)) as s:
            s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
                      b"Content-Length: %d\r\n\r\n" % len(data) + data)
            self.until(lambda: read_file(path, "r").count("\n") == 10)
            sim.process.kill()
            sim.process.wait()
        sim.stop()
        last = json.loads(read_file(path, "r").splitlines()[-1])
        self.assertEqual((last["event"], last["key"], last["request"]),
                         ("arrived", None, None))

    def test_a_log_that_cannot_be_written_is_told(self):
        r = subprocess.run([PROGRAM, "--listen", "127.0.0.1:0", "--log",
                            "/nowhere/calls.log"], capture_output=True,
                           timeout=60)
        self.assertEqual(r.returncode, 1)
        self.assertIn(b"/nowhere/calls.log", r.stderr)

    def until(self, condition, seconds=5):
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)

    def test_one_connection_serves_many_calls(self):
        before = self.sim.counters()["connections"]
        c = http.client.HTTPConnection("127.0.0.1", self.sim.port)
        for i in range(20):
            c.request("POST", "/v1/chat/completions",
                      json.dumps(chat("x %d" % i)))
            self.assertEqual(c.getresponse().read()[:1], b"{")
        c.close()
        self.assertEqual(self.sim.counters()["connections"], before + 2)


class Load(Case):
    def at_once(self, n, path, body, latency_ms):
        """n calls at once; seconds it took. All must be whole."""
        self.sim.script(latency_ms)
        data = json.dumps(body).encode()
        gate = threading.Barrier(n)

        def one(i):
            gate.wait()
            return self.sim.post(path, data, key="load%d" % i)
        with concurrent.futures.ThreadPoolExecutor(n) as pool:
            began = time.monotonic()
            got = list(pool.map(one, range(n)))
            took = time.monotonic() - began
        self.assertEqual({a.status for a in got}, {200})
        self.assertEqual(len({a.body for a in got}), 1)
        c = self.sim.counters()
        self.assertEqual(sum(c["answered"].values()), n)
        return took, c

    def test_two_hundred_calls_wait_together(self):
        took, c = self.at_once(200, "/v1/chat/completions",
                               chat("COUNT: 6\n" + brief(), STRATEGIES), 2000)
        self.assertGreaterEqual(took, 2)
        self.assertLess(took, 12)       # one after another: 400
        self.assertEqual(c["max_in_flight"], 200)
        self.assertLessEqual(self.sim.rss_mb("Threads"), 8)
        if not is_sanitized():
            self.assertLess(self.sim.rss_mb(), 64)

    def test_pictures_wait_together_too(self):
        n = 40
        took, c = self.at_once(n, "/v1/images/generations",
                               {"model": "m", "prompt": "lemon tart #2244AA"},
                               1000)
        self.assertEqual(c["max_in_flight"], n)
        if not is_sanitized():
            self.assertLess(self.sim.rss_mb(), 96)


class Life(unittest.TestCase):
    def run_it(self, *args):
        return subprocess.run([PROGRAM] + list(args), capture_output=True,
                              timeout=60)

    def test_it_says_where_it_listens(self):
        sim = Sim()
        self.assertEqual(sim.line, "listening on http://127.0.0.1:%d\n" %
                         sim.port)
        status, took = sim.stop()
        self.assertEqual(status, 0)
        self.assertLess(took, 2.5)

    def test_it_stops_at_once_with_calls_in_flight(self):
        sim = Sim()
        sim.script(30000, {"fault": "stall", "contains": "stall",
                           "latency_ms": 0, "times": -1})
        sockets = []
        for i in range(40):
            data = json.dumps(chat("stall" if i % 2 else "wait")).encode()
            s = socket.create_connection(("127.0.0.1", sim.port))
            s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
                      b"Content-Length: %d\r\n\r\n" % len(data) + data)
            sockets.append(s)
        while sim.counters()["in_flight"] < 40:
            time.sleep(0.02)
        status, took = sim.stop()
        self.assertEqual(status, 0)
        self.assertLess(took, 2.5)
        for s in sockets:
            s.close()
        self.assertNotIn("ERROR", sim.said)

    def test_it_listens_on_loopback_only_unless_told(self):
        for host in ("0.0.0.0", "[::]"):
            r = self.run_it("--listen", host + ":0")
            self.assertEqual(r.returncode, 1)
            self.assertIn(b"loopback", r.stderr)
        sim = Sim("--allow-remote")
        self.assertEqual(sim.stop()[0], 0)

    def test_a_script_file_is_read_at_start(self):
        folder = tempfile.mkdtemp(prefix="churns-sim-")
        self.addCleanup(shutil.rmtree, folder)
        path = os.path.join(folder, "script.json")
        with open(path, "w") as f:
            json.dump({"faults": [{"fault": "status", "status": 503}]}, f)
        sim = Sim("--script", path)
        try:
            self.assertEqual(sim.post("/v1/chat/completions",
                                      chat("x")).status, 503)
        finally:
            self.assertEqual(sim.stop()[0], 0)
        with open(path, "w") as f:
            f.write('{"faults":[{"fault":"nonsense"}]}')
        r = self.run_it("--listen", "127.0.0.1:0", "--script", path)
        self.assertEqual(r.returncode, 78)
        self.assertIn(b"nonsense", r.stderr)
        self.assertIn(path.encode(), r.stderr)

    def test_wrong_usage_is_64(self):
        for args in ([], ["--listen", "nowhere"], ["--listen", "127.0.0.1:x"],
                     ["--listen", "127.0.0.1:70000"], ["--frobnicate"],
                     ["--listen", "127.0.0.1:0", "--make-photo", "x"],
                     ["--make-photo", "x", "--orientation", "9"],
                     ["--listen", "127.0.0.1:0", "extra"]):
            r = self.run_it(*args)
            self.assertEqual(r.returncode, 64, args)
            self.assertIn(b"usage:", r.stderr)

    def test_a_taken_port_is_told(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            r = self.run_it("--listen", "127.0.0.1:%d" % s.getsockname()[1])
        self.assertEqual(r.returncode, 1)
        self.assertIn(b"in use", r.stderr)

    def test_the_photograph_is_the_same_every_time(self):
        folder = tempfile.mkdtemp(prefix="churns-sim-")
        self.addCleanup(shutil.rmtree, folder)
        one, two = (os.path.join(folder, n) for n in ("a.jpg", "b.jpg"))
        for p in (one, two):
            self.assertEqual(self.run_it("--make-photo", p).returncode, 0)
        data = read_file(one)
        self.assertEqual(data, read_file(two))
        self.assertEqual(data[:3], b"\xff\xd8\xff")
        self.assertTrue(100000 < len(data) < 1000000)
        self.assertNotIn(b"Exif", data)
        r = self.run_it("--make-photo", two, "--orientation", "8")
        self.assertEqual(r.returncode, 0)
        self.assertIn(b"Exif\0\0MM", read_file(two)[:40])
        r = self.run_it("--make-photo", os.path.join(folder, "no", "a.jpg"))
        self.assertEqual(r.returncode, 1)


if __name__ == "__main__":
    unittest.main()
