"""An OpenAPI 3.1 document for tests: its operations, its references, and what a
real answer has to look like to be the one that is described."""
import copy
import datetime
import json
import re
import uuid

import jsonschema

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
# Headers that belong to HTTP itself or to every answer: said once, in the text.
COMMON_HEADERS = set("""accept-ranges access-control-allow-credentials
    access-control-allow-origin access-control-expose-headers cache-control
    connection content-encoding content-length content-type date keep-alive
    referrer-policy server transfer-encoding vary x-content-type-options
    x-frame-options""".split())

formats = jsonschema.FormatChecker(formats=())


@formats.checks("uuid", raises=ValueError)
def is_uuid(value):
    return not isinstance(value, str) or str(uuid.UUID(value)) == value


@formats.checks("date-time", raises=ValueError)
def is_time(value):
    if isinstance(value, str):
        datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
    return True


class Operation:
    def __init__(self, document, path, method, item):
        self.document = document
        self.path = path
        self.method = method
        self.node = item[method]
        self.id = self.node.get("operationId")
        self.parameters = [document.resolve(p) for p in
                           item.get("parameters", []) +
                           self.node.get("parameters", [])]
        self.responses = {status: document.resolve(r) for status, r in
                          self.node["responses"].items()}
        self.served_by = self.node.get("x-served-by", "churns-api")

    def __repr__(self):
        return "%s %s" % (self.method.upper(), self.path)

    def parameter(self, name, place):
        return next((p for p in self.parameters
                     if (p["name"], p["in"]) == (name, place)), None)

    def body_schema(self, media_type):
        body = self.document.resolve(self.node.get("requestBody", {}))
        return body.get("content", {}).get(media_type, {}).get("schema")


class Document:
    def __init__(self, node):
        self.node = node

    def look_up(self, pointer):
        node = self.node
        assert pointer.startswith("#/"), pointer
        for step in pointer[2:].split("/"):
            node = node[step.replace("~1", "/").replace("~0", "~")]
        return node

    def resolve(self, node):
        """What a node stands for; its own members win over the target's."""
        while isinstance(node, dict) and "$ref" in node:
            own = {k: v for k, v in node.items() if k != "$ref"}
            node = dict(self.look_up(node["$ref"]), **own)
        return node

    def operations(self):
        return [Operation(self, path, method, item)
                for path, item in self.node["paths"].items()
                for method in METHODS if method in item]

    def validator(self, schema):
        """References into components work, since they are taken along."""
        whole = dict(schema, components=self.node.get("components", {}))
        return jsonschema.Draft202012Validator(whole, format_checker=formats)

    def faults(self, schema, value):
        return ["%s: %s" % ("/".join(map(str, e.absolute_path)), e.message[:300])
                for e in self.validator(schema).iter_errors(value)]

    def walk(self):
        """Every map of the document with its place."""
        return self.below(self.node, ())

    def below(self, node, at):
        if isinstance(node, dict):
            yield at, node
            for key, value in node.items():
                yield from self.below(value, at + (key,))
        elif isinstance(node, list):
            for i, value in enumerate(node):
                yield from self.below(value, at + (i,))

    # --- is this answer the described one? ---------------------------------

    def answer_faults(self, operation, answer):
        """Sentences about everything in an answer that is not as described."""
        response = operation.responses.get(str(answer.status))
        if response is None:
            return ["answers %d, which is not described: %r" % (
                answer.status, answer.body[:300])]
        return (self.header_faults(response, answer) +
                self.body_faults(response, answer))

    def header_faults(self, response, answer):
        found = []
        described = {}
        for name, header in response.get("headers", {}).items():
            header = self.resolve(header)
            described[name.lower()] = header
            value = answer.headers.get(name)
            if value is None:
                if header.get("required"):
                    found.append("the header %s is missing" % name)
                continue
            schema = self.resolve(header["schema"])
            if schema.get("type") == "integer":
                value = int(value)
            found += ["header %s: %s" % (name, f)
                      for f in self.faults(schema, value)]
        for name in answer.headers.keys():
            if name.lower() not in COMMON_HEADERS | described.keys():
                found.append("the header %s is not described" % name)
        return found

    def body_faults(self, response, answer):
        content = response.get("content")
        if content is None:
            if answer.body:
                return ["has a body, and none is described: %r" %
                        answer.body[:200]]
            return []
        kind = (answer.headers.get("Content-Type") or "").split(";")[0].strip()
        if kind not in content:
            return ["is %r, and described are %s" % (kind, sorted(content))]
        schema = content[kind].get("schema")
        if schema is None or kind != "application/json":
            return []
        try:
            value = json.loads(answer.body)
        except ValueError as e:
            return ["is no JSON: %s: %r" % (e, answer.body[:200])]
        return self.faults(schema, value)

    def looseness(self, schema, value, open_places=()):
        """Places of a valid value where one member more, or one less, would go
        unnoticed: (more, less). A place is a path with * for positions."""
        check = self.validator(schema)
        more, less = set(), set()
        seen = set()
        for place, steps in objects(value):
            if place in seen or any(re.fullmatch(p, place)
                                    for p in open_places):
                continue
            seen.add(place)
            changed = copy.deepcopy(value)
            at(changed, steps)["zz_surplus"] = 1
            if check.is_valid(changed):
                more.add(place)
            for key in at(value, steps):
                changed = copy.deepcopy(value)
                del at(changed, steps)[key]
                if check.is_valid(changed):
                    less.add(place + "." + key)
        return more, less


def at(value, steps):
    for step in steps:
        value = value[step]
    return value


def objects(value, place="", steps=()):
    if isinstance(value, dict):
        yield place, steps
        for key, inner in value.items():
            yield from objects(inner, place + "." + key, steps + (key,))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from objects(inner, place + "[*]", steps + (i,))


def served(stack):
    answer = stack.get("/openapi.json")
    assert answer.status == 200, answer
    return Document(answer.json)
