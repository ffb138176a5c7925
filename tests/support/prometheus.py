"""A strict reader of the text format of Prometheus, version 0.0.4.

parse() gives {family: Family} and fails on whatever a scraper would refuse, and
on what the guide for names asks for: announced families, counters that end in
_total, base units, complete and ascending histograms.
"""
import math
import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?Inf|NaN")
TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}
ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}
NOT_BASE = re.compile(r"_(ms|milliseconds|microseconds|us|ns|nanoseconds|kb|mb|"
                      r"kilobytes|megabytes|cents|nano|percent)(_|$)")


class Malformed(AssertionError):
    pass


class Family:
    def __init__(self, name, kind, text):
        self.name = name
        self.kind = kind
        self.help = text
        self.samples = {}       # (name, ((label, value), ...)): number

    def values(self, suffix="", **labels):
        """Of the samples that have these labels, among others."""
        return [v for (name, have), v in self.samples.items()
                if name == self.name + suffix and
                set(labels.items()) <= set(have)]

    def total(self, suffix="", **labels):
        return sum(self.values(suffix, **labels))

    def labels(self):
        return [dict(have) for _, have in self.samples]


class Line:
    def __init__(self, text):
        self.text = text
        self.at = 0

    def take(self, pattern, what):
        found = pattern.match(self.text, self.at)
        if not found:
            raise Malformed("%s expected at %d of %r" % (what, self.at,
                                                         self.text))
        self.at = found.end()
        return found.group()

    def literal(self, text):
        if not self.text.startswith(text, self.at):
            raise Malformed("%r expected at %d of %r" % (text, self.at,
                                                         self.text))
        self.at += len(text)

    def sees(self, text):
        return self.text.startswith(text, self.at)

    def value(self):
        """What stands between the quotes of a label."""
        out = ""
        while not self.sees('"'):
            if self.sees("\\"):
                pair = self.text[self.at:self.at + 2]
                if pair not in ESCAPES:
                    raise Malformed("bad escape %r in %r" % (pair, self.text))
                out += ESCAPES[pair]
                self.at += 2
            elif self.at >= len(self.text):
                raise Malformed("a label is not closed: %r" % self.text)
            else:
                out += self.text[self.at]
                self.at += 1
        return out

    def labels(self):
        out = {}
        if not self.sees("{"):
            return ()
        self.literal("{")
        while True:
            name = self.take(LABEL, "a label")
            if name in out or name.startswith("__"):
                raise Malformed("label %s in %r" % (name, self.text))
            self.literal('="')
            out[name] = self.value()
            self.literal('"')
            if self.sees("}"):
                break
            self.literal(",")
        self.literal("}")
        return tuple(out.items())


def announce(line, families, waiting):
    _, word, name, rest = (line.split(" ", 3) + [""])[:4]
    if word not in ("HELP", "TYPE") or not NAME.fullmatch(name):
        raise Malformed("a comment that is neither HELP nor TYPE: %r" % line)
    if word == "HELP":
        if waiting or name in families or not rest.strip():
            raise Malformed("HELP out of place: %r" % line)
        waiting.append((name, rest))
        return
    if not waiting or waiting[0][0] != name or rest not in TYPES:
        raise Malformed("TYPE out of place: %r" % line)
    families[name] = Family(name, rest, waiting.pop()[1])


def family_of(name, kind):
    if kind == "histogram":
        return re.sub(r"_(bucket|sum|count)$", "", name)
    return name


def check_histogram(family):
    series = {}
    for (name, labels), value in family.samples.items():
        rest = tuple(x for x in labels if x[0] != "le")
        part = name[len(family.name) + 1:]
        of = series.setdefault(rest, {"bucket": []})
        if part == "bucket":
            of["bucket"].append((float(dict(labels)["le"]), value))
        else:
            of[part] = value
    for rest, of in series.items():
        ends = [end for end, _ in of["bucket"]]
        counts = [n for _, n in of["bucket"]]
        if ends != sorted(set(ends)) or ends[-1] != math.inf:
            raise Malformed("buckets of %s%s" % (family.name, rest))
        if counts != sorted(counts) or counts[-1] != of["count"]:
            raise Malformed("counts of %s%s" % (family.name, rest))
        if of["sum"] < 0:
            raise Malformed("sum of %s%s" % (family.name, rest))


def check_family(family):
    name, kind = family.name, family.kind
    if (kind == "counter") != name.endswith("_total"):
        raise Malformed("%s is a %s" % (name, kind))
    if NOT_BASE.search(name):
        raise Malformed("%s is not in a base unit" % name)
    if kind == "counter" and any(v < 0 for v in family.samples.values()):
        raise Malformed("%s is negative" % name)
    if kind == "histogram":
        check_histogram(family)


def parse(text):
    if not text.endswith("\n") or "\r" in text:
        raise Malformed("lines end in newlines, the last one too")
    families, waiting, current = {}, [], None
    for raw in text.split("\n")[:-1]:
        if raw.startswith("#"):
            announce(raw, families, waiting)
            current = None
            continue
        if waiting:
            raise Malformed("TYPE is missing before %r" % raw)
        line = Line(raw)
        name = line.take(NAME, "a name")
        labels = line.labels()
        line.literal(" ")
        number = float(line.take(NUMBER, "a number"))
        if line.at != len(raw):
            raise Malformed("more than a sample: %r" % raw)
        last = list(families.values())[-1] if families else None
        if last is None or family_of(name, last.kind) != last.name or \
                (last.kind == "histogram" and name == last.name):
            raise Malformed("%s was not announced" % name)
        if current not in (None, last.name):
            raise Malformed("samples of %s are apart" % name)
        current = last.name
        key = (name, labels)
        if key in last.samples or any(
                n == name and sorted(have) == sorted(labels)
                for n, have in last.samples):
            raise Malformed("%r is there twice" % raw)
        last.samples[key] = number
    if waiting:
        raise Malformed("TYPE of %s is missing" % waiting[0][0])
    for family in families.values():
        check_family(family)
    return families
