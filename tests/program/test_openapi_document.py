"""Is conf/openapi.yml a sound OpenAPI 3.1 document, and does it agree with the
specification where that one speaks?

Nothing is asked of the server but the document itself.
"""
import os
import re
import unittest

import jsonschema
import yaml

from openapi import METHODS, Document, served
from stack import SRC, Stack

GIVEN = os.path.join(SRC, "..", "shared", "spec", "openapi.yaml")

# What may stand in which object of OpenAPI 3.1.0, and what must (*).
ALLOWED = {
    "root": "*openapi *info jsonSchemaDialect servers *paths webhooks components "
            "security tags externalDocs",
    "info": "*title summary description termsOfService contact license *version",
    "server": "*url description variables",
    "tag": "*name description externalDocs",
    "path": "summary description servers parameters " + " ".join(METHODS),
    "operation": "tags summary description externalDocs operationId parameters "
                 "requestBody *responses callbacks deprecated security servers",
    "parameter": "*name *in description required deprecated allowEmptyValue style "
                 "explode allowReserved schema example examples content",
    "header": "description required deprecated style explode schema example "
              "examples content",
    "body": "description *content required",
    "media": "schema example examples encoding",
    "encoding": "contentType headers style explode allowReserved",
    "response": "*description headers content links",
    "example": "summary description value externalValue",
    "components": "schemas responses parameters examples requestBodies headers "
                  "securitySchemes links callbacks pathItems",
}
KEYWORDS = set("""$ref $defs $anchor $comment type enum const title description
    default examples deprecated readOnly writeOnly format multipleOf minimum maximum
    exclusiveMinimum exclusiveMaximum minLength maxLength pattern minItems maxItems
    uniqueItems minContains maxContains contains items prefixItems properties
    patternProperties additionalProperties unevaluatedProperties unevaluatedItems
    required minProperties maxProperties propertyNames dependentRequired
    dependentSchemas if then else allOf anyOf oneOf not contentMediaType
    contentEncoding contentSchema discriminator xml externalDocs example""".split())
TYPES = {"object", "array", "string", "number", "integer", "boolean", "null"}


class Ours(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with Stack() as s:
            cls.document = served(s)
        with open(os.path.join(SRC, "conf/openapi.yml"), encoding="utf-8") as f:
            cls.source = yaml.safe_load(f)


class Sound(Ours):
    def setUp(self):
        self.faults = []

    def holds(self, kind, node, place):
        """Nothing but what OpenAPI knows, and all that it wants."""
        if not isinstance(node, dict):
            self.faults.append("%s is no map" % place)
            return {}
        if "$ref" in node:
            self.document.look_up(node["$ref"])
            self.assertEqual(set(node) - {"$ref", "summary", "description"},
                             set(), place)
            return self.document.resolve(node)
        words = ALLOWED[kind].split()
        known = {w.lstrip("*") for w in words}
        for key in node:
            if key not in known and not key.startswith("x-"):
                self.faults.append("%s: %s is unknown" % (place, key))
        for word in words:
            if word.startswith("*") and word[1:] not in node:
                self.faults.append("%s: %s is missing" % (place, word[1:]))
        return node

    def schema(self, node, place):
        for key, value in node.items():
            if key not in KEYWORDS and not key.startswith("x-"):
                self.faults.append("%s: %s is unknown" % (place, key))
            if key in ("properties", "patternProperties", "$defs",
                       "dependentSchemas"):
                for name, one in value.items():
                    self.schema(one, "%s/%s/%s" % (place, key, name))
            elif key in ("allOf", "anyOf", "oneOf", "prefixItems"):
                for i, one in enumerate(value):
                    self.schema(one, "%s/%s/%d" % (place, key, i))
            elif key in ("items", "additionalProperties", "not", "if", "then",
                         "else", "contentSchema", "contains",
                         "unevaluatedProperties", "propertyNames") and \
                    isinstance(value, dict):
                self.schema(value, "%s/%s" % (place, key))
        types = node.get("type", [])
        for name in [types] if isinstance(types, str) else types:
            if name not in TYPES:
                self.faults.append("%s: type %s" % (place, name))
        for name in node.get("required", ()):
            if name not in node.get("properties", {}):
                self.faults.append("%s: %s is required but not described" % (
                    place, name))

    def parameter(self, node, place, kind="parameter"):
        node = self.holds(kind, node, place)
        self.assertTrue("schema" in node) if "content" not in node else None
        self.schema(node.get("schema", {}), place + "/schema")
        if kind == "parameter":
            if node.get("in") not in ("path", "query", "header", "cookie"):
                self.faults.append("%s: in %s" % (place, node.get("in")))
            if node.get("in") == "path" and node.get("required") is not True:
                self.faults.append("%s: a path part must be required" % place)
        if not node.get("description"):
            self.faults.append("%s: no description" % place)

    def media(self, content, place):
        for kind, node in content.items():
            at = "%s/%s" % (place, kind)
            self.assertRegex(kind, r"^[a-z]+/[a-z0-9.+*-]+$")
            node = self.holds("media", node, at)
            self.schema(node.get("schema", {}), at + "/schema")
            for name, example in node.get("examples", {}).items():
                self.holds("example", example, at + "/" + name)
            for name, one in node.get("encoding", {}).items():
                self.holds("encoding", one, at + "/encoding/" + name)

    def response(self, node, place):
        node = self.holds("response", node, place)
        if not node.get("description", "").strip():
            self.faults.append("%s: no description" % place)
        for name, header in node.get("headers", {}).items():
            self.parameter(header, place + "/" + name, "header")
        self.media(node.get("content", {}), place)

    def operation(self, op):
        place = repr(op)
        node = self.holds("operation", op.node, place)
        for key in ("operationId", "summary", "tags"):
            if not node.get(key):
                self.faults.append("%s: no %s" % (place, key))
        for i, p in enumerate(node.get("parameters", ())):
            self.parameter(p, "%s/parameters/%d" % (place, i))
        seen = [(p["name"], p["in"]) for p in op.parameters]
        if len(seen) != len(set(seen)):
            self.faults.append("%s: a parameter twice" % place)
        if "requestBody" in node:
            body = self.holds("body", node["requestBody"], place + "/body")
            self.media(body.get("content", {}), place + "/body")
        for status, response in node["responses"].items():
            self.assertRegex(status, r"^[1-5]\d\d$")
            self.response(response, "%s/%s" % (place, status))
        parts = re.findall(r"\{(\w+)\}", op.path)
        self.assertEqual(sorted(parts), sorted(
            p["name"] for p in op.parameters if p["in"] == "path"), place)

    def test_every_object_is_what_openapi_wants(self):
        d = self.document.node
        self.holds("root", d, "document")
        self.assertRegex(d["openapi"], r"^3\.1\.\d+$")
        self.holds("info", d["info"], "info")
        for server in d["servers"]:
            self.holds("server", server, "servers")
        for tag in d["tags"]:
            self.holds("tag", tag, "tags")
        for path, item in d["paths"].items():
            self.assertTrue(path.startswith("/"))
            self.holds("path", item, path)
        for op in self.document.operations():
            self.operation(op)
        c = self.holds("components", d["components"], "components")
        for name, node in c["schemas"].items():
            self.schema(node, name)
        for name, node in c["parameters"].items():
            self.parameter(node, name)
        for name, node in c["headers"].items():
            self.parameter(node, name, "header")
        for name, node in c["responses"].items():
            self.response(node, name)
        for name, node in c["examples"].items():
            self.holds("example", node, name)
        for kind in c:
            for name in c[kind]:
                self.assertRegex(name, r"^[A-Za-z0-9._-]+$")
        self.assertEqual(self.faults, [])

    def test_names_are_unique(self):
        ids = [op.id for op in self.document.operations()]
        self.assertEqual(len(ids), len(set(ids)))
        shapes = [re.sub(r"\{\w+\}", "{}", p)
                  for p in self.document.node["paths"]]
        self.assertEqual(len(shapes), len(set(shapes)))
        lower = [n.lower() for n in self.document.node["components"]["schemas"]]
        self.assertEqual(len(lower), len(set(lower)))

    def test_every_schema_is_one(self):
        for place, node in self.document.walk():
            if place and place[-1] == "schema" or (
                    place[:2] == ("components", "schemas") and len(place) == 3):
                with self.subTest(place="/".join(map(str, place))):
                    jsonschema.Draft202012Validator.check_schema(node)

    def test_nothing_is_described_that_is_not_used(self):
        used = {n["$ref"] for _, n in self.document.walk()
                if isinstance(n.get("$ref"), str)}
        for kind, things in self.document.node["components"].items():
            for name in things:
                self.assertIn("#/components/%s/%s" % (kind, name), used)

    def test_examples_are_what_they_are_examples_of(self):
        count = 0
        for place, node in self.document.walk():
            if "examples" in place or not isinstance(node.get("schema"), dict):
                continue
            for name, value in self.examples(node):
                with self.subTest(place="/".join(map(str, place)), name=name):
                    self.assertEqual(self.document.faults(
                        node["schema"], value), [])
                    count += 1
        self.assertGreater(count, 15)

    def examples(self, node):
        if "example" in node:
            yield "example", node["example"]
        for name, example in node.get("examples", {}).items():
            yield name, self.document.resolve(example)["value"]

    def test_refusals_are_json(self):
        for op in self.document.operations():
            for status, response in op.responses.items():
                if status >= "400":
                    self.assertEqual(list(response["content"]),
                                     ["application/json"], (op, status))

    def test_yaml_means_the_same_to_others(self):
        """Our reader of YAML and another one agree, but for what the server
        fills in."""
        def emptied(node):
            if isinstance(node, dict):
                filled = node.get("x-churns-from", {})
                return {k: emptied(v) for k, v in node.items()
                        if k not in filled}
            return [emptied(v) for v in node] if isinstance(node, list) else node
        self.assertEqual(emptied(self.source), emptied(self.document.node))


class Answer:
    def __init__(self, status, body, **headers):
        self.status = status
        self.body = body
        self.headers = {k.replace("_", "-"): v for k, v in headers.items()}


class Strict(unittest.TestCase):
    """What holds answers against the document, fed with wrong ones."""
    document = Document({"paths": {"/x": {"get": {"responses": {"200": {
        "description": "d", "headers": {"N": {"required": True, "schema": {
            "type": "integer", "minimum": 1}}},
        "content": {"application/json": {"schema": {
            "$ref": "#/components/schemas/X"}}}}, "204": {
                "description": "d"}}}}}, "components": {"schemas": {"X": {
                    "type": "object", "required": ["a"],
                    "unevaluatedProperties": False, "allOf": [{
                        "$ref": "#/components/schemas/Y"}]}, "Y": {
                            "properties": {"a": {"type": [
                                "string", "null"], "format": "uuid"}}}}}})

    def test_each_fault_of_an_answer_is_found(self):
        op = self.document.operations()[0]
        for answer, fault in (
                (dict(), None),
                (dict(body=b'{"a": "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"}'),
                 None),
                (dict(status=404), "answers 404, which is not described"),
                (dict(N="0"), "header N: "), (dict(N=None), "N is missing"),
                (dict(X_Y="1"), "the header X-Y is not described"),
                (dict(body=b"{}"), "'a' is a required property"),
                (dict(body=b'{"a": 1}'), "1 is not of type"),
                (dict(body=b'{"a": "x"}'), "is not a 'uuid'"),
                (dict(body=b'{"a": null, "b": 1}'), "Unevaluated"),
                (dict(body=b"{"), "is no JSON"),
                (dict(Content_Type="text/html"), "is 'text/html'"),
                (dict(status=204, N=None), "has a body")):
            with self.subTest(answer=answer):
                parts = dict({"status": 200, "body": b'{"a": null}', "N": "1",
                              "Content_Type": "application/json"}, **answer)
                parts = {k: v for k, v in parts.items() if v is not None}
                faults = self.document.answer_faults(op, Answer(**parts))
                if fault is None:
                    self.assertEqual(faults, [])
                else:
                    self.assertTrue(any(fault in f for f in faults), faults)

    def test_loose_schemas_are_found(self):
        schema = {"type": "object", "properties": {"a": {
            "type": "object", "additionalProperties": False}},
            "required": ["a"]}
        self.assertEqual(self.document.looseness(schema, {"a": {}, "b": 1}),
                         ({""}, {".b"}))
        self.assertEqual(self.document.looseness(
            schema, {"a": {}, "b": 1}, ("",)), (set(), set()))


# --- agreement -----------------------------------------------------------------------

TAGS = {"runs", "files", "config", "service", "websocket"}
NOT_YET = """
    POST /api/v1/runs/{run_id}/refine
    GET /api/v1/runs/{run_id}/refinements
    GET /api/v1/refinements/{job_id}/details
    POST /api/v1/refinements/{job_id}/cancel
    POST /api/v1/refinements/{job_id}/assess-noise
    POST /api/v1/runs/{run_id}/images/{image_id}/caption
    POST /api/v1/runs/{run_id}/images/{image_id}/caption/{caption_version}/regenerate
    GET /api/v1/runs/{run_id}/images/{image_id}/captions
    POST /api/v1/runs/{run_id}/save-as-preset
    GET /api/v1/brand-presets
    POST /api/v1/brand-presets
    GET /api/v1/brand-presets/{preset_id}
    PUT /api/v1/brand-presets/{preset_id}
    DELETE /api/v1/brand-presets/{preset_id}
    POST /api/v1/brand-presets/cleanup-invalid
    POST /api/v1/brand-kit/extract-colors-from-image
    POST /api/v1/brand-kit/color-harmonies
"""
# Messages of the socket: the specification's schema, and ours.
MESSAGES = {
    "WsPing": "PingMessage",
    "WsStageUpdate": "StageUpdateEvent",
    "WsRunComplete": "RunCompleteEvent",
    "WsRunError": "RunErrorEvent",
}
MESSAGES_NOT_YET = {"WsRefinementComplete", "WsCaptionUpdate",
                    "WsCaptionComplete", "WsCaptionError", "WsNoiseStarted",
                    "WsNoiseCompleted", "WsNoiseError"}
# Where we differ on purpose: what was found, and why it is right. One that is no
# longer found has to go.
ORDER = "architecture 9: a number, since 4.5 exists"
NULL = "issue 4: a documented key is there, with null"
DIFFERENCES = {
    "GET /docs/oauth2-redirect is missing":
        "a helper of the page that another framework makes",
    "GET /redoc: 200 is missing":
        "one page is enough: it is a redirect to /docs",
    "RunForm.brand_kit.colors[].role: enum":
        "roles are checked, since others would mean nothing to the stages",
    "RunDetail.stages[].stage_order may be number": ORDER,
    "WsStageUpdate.data.stage_order may be number": ORDER,
    "RunDetail.stages[].output_data.image_assessments[].consistency_metrics "
    "may be null": NULL,
    "RunResults.image_assessments[].consistency_metrics may be null": NULL,
    "WsRunComplete.data.image_assessments[].consistency_metrics may be null":
        NULL,
    "WsStageUpdate.data.output_data.image_assessments[].consistency_metrics "
    "may be null": NULL,
    "RunList.page may be null":
        "only with a cursor, which the specification does not know",
    "RunList.total may be null":
        "only with filters that it does not know: nothing is counted by reading",
    "WsRunError.data.job_id is missing":
        "names the refinement that failed; there are none yet",
    "ValidationErrors.detail[].ctx is missing":
        "extra data that may be absent; we have none",
}


class Shape:
    """What a schema says, its alternatives merged."""

    def __init__(self, document, schema, depth=0):
        schema = document.resolve(schema)
        self.types = set()
        self.enum = None
        self.members = {}       # name: schemas
        self.required = set()
        self.items = []
        self.open = False
        if "type" in schema:
            self.types = {schema["type"]} if isinstance(
                schema["type"], str) else set(schema["type"])
        if "const" in schema:
            self.enum = {schema["const"]}
        if "enum" in schema:
            self.enum = {v for v in schema["enum"] if v is not None}
        if self.enum is not None and not self.types:
            self.types = {"boolean" if isinstance(v, bool) else "string"
                          if isinstance(v, str) else "integer"
                          for v in self.enum}
        for name, member in schema.get("properties", {}).items():
            self.members.setdefault(name, []).append((document, member))
        self.required = set(schema.get("required", ()))
        if isinstance(schema.get("items"), dict):
            self.items = [(document, schema["items"])]
        self.content = schema.get("contentSchema")
        for part in schema.get("allOf", ()):
            self.take(Shape(document, part, depth + 1), both=True)
        ways = [Shape(document, part, depth + 1)
                for key in ("oneOf", "anyOf") for part in schema.get(key, ())]
        if ways:
            self.alternatives([w for w in ways if w.types != {"null"}])
            if len(ways) > len([w for w in ways if w.types != {"null"}]):
                self.types.add("null")

    def take(self, other, both):
        self.types = self.types & other.types if both and self.types and \
            other.types else self.types | other.types
        for name, schemas in other.members.items():
            self.members.setdefault(name, []).extend(schemas)
        self.items += other.items
        if other.enum is not None:
            self.enum = (self.enum or set()) | other.enum
        if both:
            self.required |= other.required

    def alternatives(self, ways):
        for way in ways:
            self.take(way, both=False)
        if any(way.enum is None for way in ways):
            self.enum = None
        self.required |= set.intersection(*(w.required for w in ways)) \
            if ways else set()

    @classmethod
    def of(cls, schemas):
        """Several schemas of one member as one."""
        whole = cls(*schemas[0])
        if len(schemas) > 1:
            parts = [cls(*s) for s in schemas]
            whole = cls(schemas[0][0], {})
            whole.content = parts[0].content
            whole.alternatives(parts)
        return whole

    def accepts(self, kind):
        return kind in self.types or (kind == "integer" and
                                      "number" in self.types) or not self.types


class Comparison:
    def __init__(self, given, ours):
        self.given = given
        self.ours = ours
        self.found = []
        self.seen = set()

    def tell(self, sentence, *args):
        self.found.append(sentence % args)

    def answers(self, given, ours, place):
        """All that we answer is what the specification lets clients expect."""
        key = (id(given), id(ours), place.split(".")[-1])
        if key in self.seen or place.count(".") > 12:
            return
        self.seen.add(key)
        for kind in sorted(ours.types):
            if given.types and not given.accepts(kind):
                self.tell("%s may be %s", place, kind)
        if given.enum is not None and (ours.enum is None or
                                       ours.enum - given.enum):
            self.tell("%s: enum has more: %s", place,
                      sorted(ours.enum - given.enum, key=str)
                      if ours.enum else "anything")
        for name, schemas in given.members.items():
            inner = "%s.%s" % (place, name)
            if name not in ours.members:
                if ours.types != {"null"}:
                    self.tell("%s is missing", inner)
                continue
            if name in given.required and name not in ours.required:
                self.tell("%s may be absent", inner)
            self.answers(Shape.of(schemas), Shape.of(ours.members[name]), inner)
        if given.items and ours.items:
            self.answers(Shape.of(given.items), Shape.of(ours.items),
                         place + "[]")

    def sends(self, given, ours, place):
        """All that clients may send by the specification we take."""
        for kind in sorted(given.types):
            if not ours.accepts(kind):
                self.tell("%s: takes no %s", place, kind)
        if ours.enum is not None:
            if given.enum is None:
                self.tell("%s: enum", place)
            elif given.enum - ours.enum:
                self.tell("%s: enum lacks %s", place,
                          ", ".join(sorted(map(str, given.enum - ours.enum))))
        for name in sorted(ours.required - given.required):
            self.tell("%s.%s is required", place, name)
        for name, schemas in given.members.items():
            inner = "%s.%s" % (place, name)
            if name not in ours.members:
                self.tell("%s is missing", inner)
            else:
                self.sends(Shape.of(schemas), Shape.of(ours.members[name]),
                           inner)
        if given.items and ours.items:
            self.sends(Shape.of(given.items), Shape.of(ours.items),
                       place + "[]")
        if given.content is not None:
            if ours.content is None:
                self.tell("%s: contentSchema is missing", place)
            else:
                self.sends(Shape(self.given, given.content),
                           Shape(self.ours, ours.content), place)

    def operation(self, given, ours):
        for p in given.parameters:
            own = ours.parameter(p["name"], p["in"])
            if own is None:
                self.tell("%r: parameter %s is missing", given, p["name"])
                continue
            self.sends(Shape(self.given, p["schema"]),
                       Shape(self.ours, own["schema"]),
                       "%r %s" % (given, p["name"]))
        body = self.given.resolve(given.node.get("requestBody", {}))
        for media, node in body.get("content", {}).items():
            own = ours.body_schema(media)
            if own is None:
                self.tell("%r: takes no %s", given, media)
            else:
                self.sends(Shape(self.given, node["schema"]),
                           Shape(self.ours, own), self.name(node["schema"]))
        for status, response in given.responses.items():
            if status not in ours.responses:
                self.tell("%r: %s is missing", given, status)
            else:
                self.response(given, status, response, ours)

    def response(self, given, status, response, ours):
        own = ours.responses[status]
        for name in response.get("headers", {}):
            if name not in own.get("headers", {}) and name != "Content-Length":
                self.tell("%r: %s: header %s is missing", given, status, name)
        for media, node in response.get("content", {}).items():
            if media not in own.get("content", {}):
                self.tell("%r: %s: %s is missing", given, status, media)
            elif "schema" in node:
                self.answers(Shape(self.given, node["schema"]),
                             Shape(self.ours, own["content"][media]["schema"]),
                             self.name(node["schema"]))

    @staticmethod
    def name(schema):
        return schema.get("$ref", "").split("/")[-1] or "(%s)" % schema.get(
            "type", "alternatives")


class Agreement(Ours):
    def test_the_specification_is_met_where_it_speaks(self):
        if not os.path.exists(GIVEN):
            print("skipped: there is no %s beside the source tree" %
                  os.path.relpath(GIVEN, SRC))
            self.skipTest("no specification")
        with open(GIVEN, encoding="utf-8") as f:
            given = Document(yaml.safe_load(f))
        own = {(op.path, op.method): op for op in self.document.operations()}
        not_yet = {line.strip() for line in NOT_YET.strip().split("\n")}
        known = {repr(op) for op in given.operations()}
        self.assertEqual(not_yet - known, set(), "not in the specification")
        comparison = Comparison(given, self.document)
        compared = 0
        for op in given.operations():
            mine = own.get((op.path, op.method))
            if repr(op) in not_yet:
                self.assertIsNone(mine, "%r is there: take it off NOT_YET" % op)
            elif mine is None:
                comparison.tell("%r is missing", op)
            else:
                comparison.operation(op, mine)
                compared += 1
        self.assertGreater(compared, 15)
        self.messages(comparison)
        found = set(comparison.found)
        self.assertEqual(sorted(found - set(DIFFERENCES)), [])
        self.assertEqual(sorted(set(DIFFERENCES) - found), [],
                         "a difference that is none any more")
        for sentence, reason in DIFFERENCES.items():
            print("differs from the specification: %s (%s)" % (sentence, reason))
        print("compared: %d operations; not there yet: %d" % (
            compared, len(not_yet)))

    def messages(self, comparison):
        """What a follower is sent, alternative by alternative."""
        given, ours = comparison.given, comparison.ours
        def named(document, name):
            return {way["$ref"].split("/")[-1] for way in
                    document.node["components"]["schemas"][name]["oneOf"]}
        self.assertEqual(named(given, "WsMessage"),
                         set(MESSAGES) | MESSAGES_NOT_YET)
        self.assertEqual(named(ours, "FollowerMessage"),
                         set(MESSAGES.values()))
        for name, own in MESSAGES.items():
            comparison.answers(
                Shape(given, {"$ref": "#/components/schemas/" + name}),
                Shape(ours, {"$ref": "#/components/schemas/" + own}), name)

    def test_a_disagreement_would_be_found(self):
        """The comparison itself, fed with what it must find."""
        def found(kind, given, ours):
            c = Comparison(Document({}), Document({}))
            getattr(c, kind)(Shape(c.given, given), Shape(c.ours, ours), "x")
            return c.found
        text, number = {"type": "string"}, {"type": "integer"}
        maybe = {"type": ["string", "null"]}
        one = {"type": "object", "required": ["a"], "properties": {"a": text}}
        for kind, given, ours, want in (
                ("answers", text, text, []),
                ("answers", text, maybe, ["x may be null"]),
                ("answers", maybe, text, []),
                ("answers", {"type": "number"}, number, []),
                ("answers", number, {"type": "number"}, ["x may be number"]),
                ("answers", one, one, []),
                ("answers", one, {"type": "object"}, ["x.a is missing"]),
                ("answers", one, dict(one, required=[]), ["x.a may be absent"]),
                ("answers", one, {"oneOf": [one, {"type": "null"}]},
                 ["x may be null"]),
                ("answers", {"enum": ["a"]}, {"enum": ["a", "b"]},
                 ["x: enum has more: ['b']"]),
                ("answers", {"enum": ["a"]}, text,
                 ["x: enum has more: anything"]),
                ("answers", {"type": "array", "items": text},
                 {"type": "array", "items": number}, ["x[] may be integer"]),
                ("sends", text, text, []),
                ("sends", maybe, text, ["x: takes no null"]),
                ("sends", {"enum": ["a", "b"]}, {"enum": ["a"]},
                 ["x: enum lacks b"]),
                ("sends", text, {"enum": ["a"]}, ["x: enum"]),
                ("sends", {"type": "object", "properties": {"a": text}}, one,
                 ["x.a is required"]),
                ("sends", one, {"type": "object"}, ["x.a is missing"])):
            with self.subTest(kind=kind, given=given, ours=ours):
                self.assertEqual(found(kind, given, ours), want)


if __name__ == "__main__":
    unittest.main()
