"""The page made from the API document, and the shell lines in it.

Samples runs every line that a reader may paste, against a running server. Page
holds the HTML to what readers and browsers rely on.
"""
import html.parser
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from openapi import served
from stack import Stack


# --- what readers paste ------------------------------------------------------------------

WIDTH = 92      # columns of the page; what is longer has to be scrolled


class Samples(unittest.TestCase):
    """Every shell line of the document, run as it stands."""

    @classmethod
    def setUpClass(cls):
        cls.s = Stack(runner=True, sim=True, push=True,
                      env={"CHURNS_PUSH_PING_S": "1"})
        cls.s.__enter__()
        cls.addClassCleanup(cls.s.__exit__, None, None, None)
        cls.document = served(cls.s)
        cls.dir = tempfile.mkdtemp(prefix="churns-samples.")
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        with open(os.path.join(cls.dir, "tart.jpg"), "wb") as f:
            f.write(cls.s.photo())
        cls.id = cls.s.submit(prompt="tart", num_variants="1")["id"]
        cls.s.wait(cls.id)

    def shell(self, script, **variables):
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", script], cwd=self.dir,
            env=dict(self.s.environment(), **variables), capture_output=True,
            text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, script + done.stderr)
        return done.stdout

    def test_the_samples_of_the_operations(self):
        name = self.s.results(self.id)["generated_images"][0]["image_path"]
        count = 0
        for op in self.document.operations():
            # A stream is left before its end, which breaks its pipe.
            how = "set +o pipefail\n" if op.id == "streamRun" else ""
            for sample in op.node.get("x-codeSamples", ()):
                if sample["lang"] != "Shell":
                    continue
                with self.subTest(operation=op.id, label=sample.get("label")):
                    out = self.shell(how + sample["source"], churns=self.s.base,
                                     id=self.id, name=name)
                    self.assertNotIn('"detail"', out)
                    self.assertLessEqual(max(map(
                        len, sample["source"].splitlines())), WIDTH)
                    count += 1
        self.assertGreater(count, 10)
        with open(os.path.join(self.dir, "picture.png"), "rb") as f:
            self.assertEqual(f.read(8), b"\x89PNG\r\n\x1a\n")

    def test_the_overview_from_top_to_bottom(self):
        """As a reader who pastes block after block into one shell; only the
        pause in which the reader reads is ours."""
        text = self.document.node["info"]["description"]
        blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)
        self.assertGreater(len(blocks), 5)
        first = "churns=http://127.0.0.1:8000\n"
        self.assertEqual(blocks[0], first)
        script = "churns=%s\n" % self.s.base
        wait = next(op for op in self.document.operations()
                    if op.id == "getRunStatus").node["x-codeSamples"][0]
        for block in blocks[1:]:
            script += block
            if block.startswith("id=$("):
                script += wait["source"]
        out = self.shell(script)
        self.assertIn("run_complete", out)
        self.assertIn("304", out)
        self.assertNotIn('"detail"', out)


# --- the page ------------------------------------------------------------------------------

class Html(html.parser.HTMLParser):
    """Elements in order, with what must hold for them."""
    VOID = {"meta", "link", "br", "hr", "img", "wbr", "input"}

    def __init__(self, text):
        super().__init__()
        self.open = []
        self.ids = []
        self.links = []
        self.loads = []
        self.headings = []
        self.names = []
        self.attributes = set()
        self.faults = []
        self.words = []
        self.feed(text)
        self.close()
        if self.open:
            self.faults.append("not closed: %s" % self.open)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.names.append(tag)
        self.attributes |= set(attrs)
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if tag == "a":
            self.links.append(attrs["href"])
        for name in ("src", "srcset", "data", "action"):
            if name in attrs:
                self.loads.append(attrs[name])
        if tag == "link":
            self.loads.append(attrs["href"])
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag in ("div", "p", "pre", "ul", "dl", "table", "section", "h3") \
                and "p" in self.open:
            self.faults.append("<%s> in <p> at %s" % (tag, self.getpos()))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append("</%s> at %s" % (tag, self.getpos()))

    def handle_data(self, data):
        self.words.append(data)


def luminance(color):
    parts = [int(color[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    parts = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4
             for p in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(a, b):
    a, b = sorted((luminance(a), luminance(b)))
    return (b + 0.05) / (a + 0.05)


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = Stack()
        cls.s.__enter__()
        cls.addClassCleanup(cls.s.__exit__, None, None, None)
        cls.document = served(cls.s)
        cls.answer = cls.s.get("/docs")
        cls.page = Html(cls.answer.body.decode())

    def test_it_is_well_formed(self):
        self.assertEqual(self.page.faults, [])
        self.assertEqual(len(self.page.ids), len(set(self.page.ids)))
        for name in ("main", "nav", "header", "h1", "title"):
            self.assertIn(name, self.page.names)
        self.assertEqual(self.page.headings.count(1), 1)

    def test_headings_go_down_one_step_at_a_time(self):
        last = 0
        for level in self.page.headings:
            self.assertLessEqual(level, last + 1)
            last = level

    def test_every_link_leads_somewhere(self):
        for link in set(self.page.links):
            with self.subTest(link=link):
                if link.startswith("#"):
                    self.assertIn(link[1:], self.page.ids)
                else:
                    self.assertEqual(self.s.get("/" + link.lstrip("/")).status,
                                     200)

    def test_it_loads_its_style_sheet_and_nothing_else(self):
        self.assertEqual(self.page.loads, ["docs.css"])
        self.assertEqual({"script", "style", "img", "iframe"} &
                         set(self.page.names), set())
        self.assertEqual({a for a in self.page.attributes
                          if a.startswith("on") or a == "style"}, set())
        self.assertNotIn("unsafe", self.answer.headers[
            "Content-Security-Policy"])
        css = self.s.get("/docs.css")
        self.assertTrue(css.headers["Content-Type"].startswith("text/css"))
        self.assertNotIn(b"url(", css.body)
        self.assertNotIn(b"@import", css.body)

    def test_everything_of_the_document_is_in_it(self):
        words = "".join(self.page.words)
        for op in self.document.operations():
            self.assertIn("op-" + op.id, self.page.ids)
            self.assertIn(op.path, words)
            for p in op.parameters:
                self.assertIn(p["name"], words)
            for sample in op.node.get("x-codeSamples", ()):
                self.assertIn(sample["source"], words)
        for name, schema in self.document.node["components"][
                "schemas"].items():
            self.assertIn("schema-" + name.lower(), self.page.ids)
            for member in schema.get("properties", ()):
                self.assertIn(member, words)

    def test_its_colours_can_be_read(self):
        """WCAG AA, for all text in light and in dark."""
        css = self.s.get("/docs.css").body.decode()
        blocks = re.findall(r":root \{(.*?)\}", css, re.S)
        light = dict(re.findall(r"--([\w-]+): (#\w{6});", self.long(blocks[0])))
        dark = dict(light, **dict(re.findall(
            r"--([\w-]+): (#\w{6});", self.long(blocks[1]))))
        for colors in (light, dark):
            for text in ("ink", "soft", "accent", "good", "bad"):
                for ground in ("paper", "sheet", "code"):
                    with self.subTest(text=text, ground=ground):
                        self.assertGreaterEqual(contrast(
                            colors[text], colors[ground]), 4.5)
            for verb in ("get", "post", "put", "delete"):
                self.assertGreaterEqual(contrast(
                    colors["on-verb"], colors[verb]), 4.5)

    @staticmethod
    def long(css):
        return re.sub(r"#(\w)(\w)(\w);", r"#\1\1\2\2\3\3;", css)


if __name__ == "__main__":
    unittest.main()
