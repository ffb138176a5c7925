#!/usr/bin/python3
"""churns-image as a program: what it says, writes and refuses.

Pictures are made here (PNG and GIF by hand, WebP as known bytes, a photograph
by churns-sim) and then cut, mislabelled and blown up.  CHURNS_BUILD names the
build directory.
"""
import base64
import json
import os
import random
import re
import shutil
import struct
import subprocess
import tempfile
import time
import unittest
import xml.etree.ElementTree as ElementTree
import zlib

BUILD = os.environ.get("CHURNS_BUILD", os.path.abspath(os.path.join(
    os.path.dirname(__file__), "..", "..")))
IMAGE = os.path.join(BUILD, "churns-image")
SIM = os.path.join(BUILD, "churns-sim")

BAD, TROUBLE, USAGE = 2, 1, 64
SOURCE_TYPE = ("http://cv.iptc.org/newscodes/digitalsourcetype/"
               "trainedAlgorithmicMedia")
WEBP_LOSSY = base64.b64decode(
    "UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA")
WEBP_LOSSLESS = base64.b64decode(
    "UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==")


def is_sanitized():
    with open(IMAGE, "rb") as f:
        return b"__asan_init" in f.read()


def run(*args, timeout=90):
    """The program with an empty environment, as the runner starts it."""
    return subprocess.run([IMAGE] + [str(a) for a in args], env={},
                          capture_output=True, timeout=timeout)


# --- making pictures ---------------------------------------------------------

def chunk(kind, body):
    return (struct.pack(">I", len(body)) + kind + body +
            struct.pack(">I", zlib.crc32(kind + body)))


def png(width, height, pixel, alpha=False, extra=()):
    """A PNG; pixel(x, y) gives (r, g, b) or (r, g, b, a)."""
    rows = b"".join(b"\0" + bytes(v for x in range(width)
                                  for v in pixel(x, y))
                    for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 6 if alpha else 2, 0, 0,
                       0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) +
            b"".join(chunk(k, b) for k, b in extra) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def grey_png(width, height, level=128):
    """A large PNG made quickly: one byte a pixel, one colour."""
    row = b"\0" + bytes([level]) * width
    pack = zlib.compressobj(1)
    data = b"".join(pack.compress(row) for _ in range(height)) + pack.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) +
            chunk(b"IDAT", data) + chunk(b"IEND", b""))


def gif(width, height, screen=None):
    """A GIF of two colours; a clear code before every pixel keeps it simple."""
    codes = []
    for i in range(width * height):
        codes += [4, i % 2]
    codes.append(5)
    bits = n = 0
    data = bytearray()
    for code in codes:
        bits |= code << n
        n += 3
        while n >= 8:
            data.append(bits & 255)
            bits >>= 8
            n -= 8
    data.append(bits & 255)
    blocks = b"".join(bytes([len(data[i:i + 255])]) + bytes(data[i:i + 255])
                      for i in range(0, len(data), 255)) + b"\0"
    sw, sh = screen or (width, height)
    return (b"GIF89a" + struct.pack("<HHBBB", sw, sh, 0x80, 0, 0) +
            b"\xff\0\0\0\0\xff" + b"!\xfe\x05hello\0" +
            b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02" +
            blocks + b";")


def png_chunks(data):
    at, out = 8, []
    while at < len(data):
        n = struct.unpack(">I", data[at:at + 4])[0]
        out.append((data[at + 4:at + 8], data[at + 8:at + 8 + n]))
        at += 12 + n
    return out


def read_png(data):
    """(width, height, channels, rows of bytes) of an 8-bit PNG."""
    chunks = png_chunks(data)
    w, h, depth, kind = struct.unpack(">IIBB", chunks[0][1][:10])
    assert depth == 8 and kind in (2, 6), (depth, kind)
    n = 4 if kind == 6 else 3
    raw = zlib.decompress(b"".join(b for k, b in chunks if k == b"IDAT"))
    rows, last = [], bytearray(w * n)
    for y in range(h):
        line = raw[y * (w * n + 1):(y + 1) * (w * n + 1)]
        f, row = line[0], bytearray(line[1:])
        for i in range(len(row)):
            a = row[i - n] if i >= n else 0
            b = last[i]
            c = last[i - n] if i >= n else 0
            if f == 1:
                row[i] = (row[i] + a) & 255
            elif f == 2:
                row[i] = (row[i] + b) & 255
            elif f == 3:
                row[i] = (row[i] + (a + b) // 2) & 255
            elif f == 4:
                p = a + b - c
                pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
                best = a if pa <= pb and pa <= pc else b if pb <= pc else c
                row[i] = (row[i] + best) & 255
        rows.append(bytes(row))
        last = row
    return w, h, n, rows


def pixel_of(picture, x, y):
    w, h, n, rows = picture
    return tuple(rows[y][x * n:x * n + n])


def jpeg_segments(data):
    """[(marker, body)] up to SOS, and everything from SOS on."""
    at, out = 2, []
    while data[at + 1] != 0xda:
        n = struct.unpack(">H", data[at + 2:at + 4])[0]
        out.append((data[at + 1], data[at + 4:at + 2 + n]))
        at += 2 + n
    return out, data[at:]


# --- tests ---------------------------------------------------------------------

def read_file(path, mode="rb"):
    with open(path, mode) as f:
        return f.read()


def setUpModule():
    """One photograph for all, and one by a camera held on its side."""
    shared = tempfile.mkdtemp(prefix="churns-image-")
    unittest.addModuleCleanup(shutil.rmtree, shared)
    Case.photo = os.path.join(shared, "tart.jpg")
    Case.turned = os.path.join(shared, "turned.jpg")
    subprocess.run([SIM, "--make-photo", Case.photo], check=True)
    subprocess.run([SIM, "--make-photo", Case.turned, "--orientation", "6"],
                   check=True)
    Case.photo_bytes = read_file(Case.photo)


class Case(unittest.TestCase):
    photo = turned = photo_bytes = None

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="churns-image-")
        self.addCleanup(shutil.rmtree, self.dir)

    def path(self, name, data=None):
        p = os.path.join(self.dir, name)
        if data is not None:
            with open(p, "wb") as f:
                f.write(data)
        return p

    def read(self, name):
        return read_file(os.path.join(self.dir, name))

    def ok(self, *args):
        r = run(*args)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertEqual(r.stderr, b"")
        self.assertEqual(r.stdout.count(b"\n"), 1)
        return json.loads(r.stdout)

    def refused(self, status, *args):
        r = run(*args)
        self.assertEqual(r.returncode, status, (args, r.stdout, r.stderr))
        self.assertEqual(r.stdout, b"")
        if status != USAGE:
            self.assertEqual(r.stderr.count(b"\n"), 1, r.stderr)
            self.assertTrue(r.stderr.startswith(b"churns-image: "), r.stderr)
        return r.stderr.decode()


class Inspect(Case):
    def test_every_type_is_told_by_its_bytes(self):
        red = png(7, 5, lambda x, y: (255, 0, 0))
        clear = png(3, 4, lambda x, y: (0, 0, 255, 10), alpha=True)
        for name, data, want in [
                ("a.png", red, ("png", 7, 5)),
                ("b.png", clear, ("png", 3, 4)),
                ("c.gif", gif(9, 2), ("gif", 9, 2)),
                ("d.webp", WEBP_LOSSY, ("webp", 1, 1)),
                ("e.webp", WEBP_LOSSLESS, ("webp", 1, 1)),
                ("f.jpg", self.photo_bytes, ("jpeg", 1600, 1200)),
                ("mislabelled.jpg", red, ("png", 7, 5)),
                ("mislabelled.png", self.photo_bytes, ("jpeg", 1600, 1200)),
                ("without-extension", gif(2, 2), ("gif", 2, 2))]:
            with self.subTest(name):
                got = self.ok("inspect", self.path(name, data))
                self.assertEqual((got["type"], got["width"], got["height"]),
                                 want)
                self.assertEqual(got["orientation"], 1)

    def test_orientation_is_told_and_not_applied(self):
        for n in range(1, 9):
            p = self.path("a.jpg", with_exif(self.photo_bytes, n))
            got = self.ok("inspect", p)
            self.assertEqual((got["orientation"], got["width"],
                              got["height"]), (n, 1600, 1200))
        got = self.ok("inspect", self.turned)
        self.assertEqual((got["orientation"], got["width"], got["height"]),
                         (6, 1200, 1600))

    def test_orientation_of_a_png_is_read_too(self):
        tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0" + \
            b"\0\0\0\0"
        p = self.path("a.png", png(4, 3, lambda x, y: (1, 2, 3),
                                   extra=[(b"eXIf", tiff)]))
        self.assertEqual(self.ok("inspect", p)["orientation"], 6)

    def test_nonsense_in_exif_means_upright(self):
        for n in (0, 9, 255):
            p = self.path("a.jpg", with_exif(self.photo_bytes, n))
            self.assertEqual(self.ok("inspect", p)["orientation"], 1)

    def test_what_is_no_picture_is_refused(self):
        for name, data in [("empty.png", b""), ("text.png", b"hello\n"),
                           ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'"
                            b" width='1' height='1'/>"),
                           ("a.bmp", b"BM" + bytes(60)),
                           ("a.tiff", b"II*\0" + bytes(60)),
                           ("a.pdf", b"%PDF-1.4\n"),
                           ("head.png", b"\x89PNG\r\n\x1a\n"),
                           ("head.jpg", b"\xff\xd8\xff"),
                           ("head.gif", b"GIF89a"),
                           ("head.webp", b"RIFF\0\0\0\0WEBP")]:
            with self.subTest(name):
                self.refused(BAD, "inspect", self.path(name, data))

    def test_a_file_that_ends_early_is_refused_at_every_length(self):
        for name, data, step in [
                ("a.png", png(9, 9, lambda x, y: (x, y, 0)), 1),
                ("a.gif", gif(9, 9), 1), ("a.webp", WEBP_LOSSY, 1),
                ("b.webp", WEBP_LOSSLESS, 1),
                ("a.jpg", self.photo_bytes, len(self.photo_bytes) // 12)]:
            # The trailer byte of a GIF is no part of its frame.
            end = len(data) - (1 if name == "a.gif" else 0)
            for n in range(0, end, step * (5 if is_sanitized() else 1)):
                with self.subTest(name, length=n):
                    self.refused(BAD, "inspect", self.path(name, data[:n]))
        for n in (1, 2):
            self.refused(BAD, "inspect", self.path("a.jpg",
                                                   self.photo_bytes[:-n]))

    def test_damaged_pixels_are_refused(self):
        data = bytearray(png(64, 64, lambda x, y: (x, y, x ^ y)))
        data[data.index(b"IDAT") + 30] ^= 0x55
        self.refused(BAD, "inspect", self.path("a.png", bytes(data)))
        half = len(self.photo_bytes) // 2
        data = (self.photo_bytes[:half] + b"\xff\xd9" +
                self.photo_bytes[half:])
        text = self.refused(BAD, "inspect", self.path("a.jpg", data))
        self.assertIn("damaged", text)

    def test_a_bomb_is_refused_before_it_goes_off(self):
        head = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
        bomb = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) +
                chunk(b"IDAT", zlib.compress(bytes(100000))) +
                chunk(b"IEND", b""))
        began = time.monotonic()
        text = self.refused(BAD, "inspect", self.path("bomb.png", bomb))
        self.assertLess(time.monotonic() - began, 3)
        self.assertIn("60000", text)
        self.refused(BAD, "inspect", self.path("b.gif", gif(
            3, 3, screen=(65535, 65535))))
        self.refused(BAD, "inspect", self.path("c.gif", gif(
            30, 30, screen=(3, 3))))

    def test_the_pixel_limit_is_an_option(self):
        p = self.path("a.png", png(10, 10, lambda x, y: (0, 0, 0)))
        self.ok("inspect", "--max-pixels", 100, p)
        self.refused(BAD, "inspect", "--max-pixels", 99, p)

    def test_fifty_megapixels_are_no_trouble(self):
        p = self.path("a.png", grey_png(8000, 6250))
        got = self.ok("fit", "--max-side", 1568, p, self.path("small.jpg"))
        self.assertEqual((got["width"], got["height"]), (1568, 1225))

    def test_mutations_never_kill_it(self):
        rng = random.Random(7)
        seeds = [png(40, 30, lambda x, y: (x * 6, y * 8, 9)), gif(20, 20),
                 WEBP_LOSSY, WEBP_LOSSLESS, self.photo_bytes]
        p = self.path("m")
        for i in range(60 if is_sanitized() else 250):
            data = bytearray(seeds[i % len(seeds)])
            for _ in range(rng.randint(1, 8)):
                data[rng.randrange(min(len(data), 4000))] = rng.randrange(256)
            self.path("m", bytes(data))
            for args in (["inspect", p], ["palette", p]):
                r = run(*args)
                self.assertIn(r.returncode, (0, BAD), (i, args, r.stderr))


def with_exif(jpeg, orientation):
    tiff = (b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" +
            bytes([orientation, 0, 0, 0]) + b"\0\0\0\0")
    body = b"Exif\0\0" + tiff
    return (jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body +
            jpeg[2:])


class Trouble(Case):
    def test_our_own_trouble_is_told_apart_from_bad_pictures(self):
        p = self.path("a.png", png(3, 3, lambda x, y: (9, 9, 9)))
        self.refused(TROUBLE, "inspect", self.path("missing.png"))
        self.refused(TROUBLE, "inspect", self.dir)
        self.refused(TROUBLE, "fit", "--max-side", 5, p,
                     os.path.join(self.dir, "no", "such", "a.jpg"))

    def test_wrong_usage_is_64(self):
        p = self.path("a.png", png(3, 3, lambda x, y: (9, 9, 9)))
        for args in ([], ["explode", p], ["inspect"], ["inspect", p, p],
                     ["fit", p, p], ["fit", "--max-side", "0", p, p],
                     ["fit", "--max-side", "9x", p, p],
                     ["fit", "--max-side", "9", "--format", "gif", p, p],
                     ["fit", "--max-side", "9", "--quality", "101", p, p],
                     ["finish", p, p], ["finish", "--run-id", "u", p, p],
                     ["palette", "--max", "0", p], ["inspect", "--what", p],
                     ["inspect", "--max-pixels", "-1", p]):
            with self.subTest(args):
                text = self.refused(USAGE, *args)
                self.assertIn("usage:", text)

    def test_it_limits_itself_before_it_opens_the_file(self):
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        child = subprocess.Popen([IMAGE, "inspect", fifo], env={})
        try:
            limits = self.wait_for_limits(child.pid)
            status = read_file("/proc/%d/status" % child.pid, "r")
        finally:
            child.kill()
            child.wait()
        self.assertEqual(limits["Max core file size"], "0")
        self.assertEqual(limits["Max open files"], "16")
        self.assertEqual(limits["Max cpu time"], "30")
        self.assertEqual(limits["Max file size"], str(256 << 20))
        if not is_sanitized():
            self.assertEqual(limits["Max address space"], str(1 << 30))
        self.assertRegex(status, r"NoNewPrivs:\s*1")

    def wait_for_limits(self, pid):
        """The last limit it sets is the sign that all are set."""
        for _ in range(1000):
            status = read_file("/proc/%d/status" % pid, "r")
            if "NoNewPrivs:\t1" in status:
                text = read_file("/proc/%d/limits" % pid, "r")
                return dict(re.match(r"(Max [a-z ]+?)\s{2,}(\S+)",
                                     line).groups()
                            for line in text.splitlines()[1:])
            time.sleep(0.01)
        self.fail("it did not limit itself")

    def test_a_failure_leaves_the_old_target_and_no_temporary_file(self):
        bad = self.path("bad.png", png(9, 9, lambda x, y: (0, 0, 0))[:-20])
        out = self.path("out.jpg", b"old")
        self.refused(BAD, "fit", "--max-side", 5, bad, out)
        self.assertEqual(self.read("out.jpg"), b"old")
        self.assertEqual(sorted(os.listdir(self.dir)), ["bad.png", "out.jpg"])


class Fit(Case):
    def test_the_longer_side_fits_and_nothing_is_enlarged(self):
        p = self.path("a.png", png(60, 30, lambda x, y: (1, 2, 3)))
        for side, want in [(30, (30, 15)), (60, (60, 30)), (500, (60, 30)),
                           (7, (7, 4)), (1, (1, 1))]:
            got = self.ok("fit", "--max-side", side, p, self.path("o.jpg"))
            self.assertEqual((got["width"], got["height"]), want)
            self.assertEqual(got["type"], "jpeg")
            self.assertEqual(got["bytes"], len(self.read("o.jpg")))
            self.assertEqual(self.ok("inspect", self.path("o.jpg"))["width"],
                             want[0])

    def test_scaling_averages(self):
        p = self.path("a.png", png(40, 40, lambda x, y: (255, 255, 255) if
                                   (x + y) % 2 else (0, 0, 0)))
        self.ok("fit", "--max-side", 10, "--format", "png", p,
                self.path("o.png"))
        picture = read_png(self.read("o.png"))
        for x, y in [(0, 0), (5, 5), (9, 3)]:
            for v in pixel_of(picture, x, y)[:3]:
                self.assertAlmostEqual(v, 127, delta=3)

    def test_every_orientation_comes_out_upright(self):
        def corner(x, y):
            return (250, 10, 10) if x < 32 and y < 24 else \
                (10, 250, 10) if x >= 32 and y < 24 else \
                (10, 10, 250) if x < 32 else (240, 240, 240)
        w, h = 64, 48
        store = {  # where a stored pixel of this orientation is shown
            1: (w, h, lambda x, y: (x, y)),
            2: (w, h, lambda x, y: (w - 1 - x, y)),
            3: (w, h, lambda x, y: (w - 1 - x, h - 1 - y)),
            4: (w, h, lambda x, y: (x, h - 1 - y)),
            5: (h, w, lambda x, y: (y, x)),
            6: (h, w, lambda x, y: (w - 1 - y, x)),
            7: (h, w, lambda x, y: (w - 1 - y, h - 1 - x)),
            8: (h, w, lambda x, y: (y, h - 1 - x)),
        }
        for n, (sw, sh, shown) in store.items():
            tiff = (b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" +
                    bytes([n]) + b"\0\0" + b"\0\0\0\0")
            p = self.path("a.png", png(
                sw, sh, lambda x, y: corner(*shown(x, y)),
                extra=[(b"eXIf", tiff)]))
            got = self.ok("fit", "--max-side", 64, "--format", "png", p,
                          self.path("o.png"))
            self.assertEqual((got["width"], got["height"]), (w, h), n)
            picture = read_png(self.read("o.png"))
            for x, y in [(2, 2), (60, 2), (2, 45), (60, 45)]:
                self.assertEqual(pixel_of(picture, x, y)[:3], corner(x, y),
                                 (n, x, y))

    def test_a_turned_photograph_looks_like_the_upright_one(self):
        upright = self.path("u.png")
        self.ok("fit", "--max-side", 80, "--format", "png", self.photo,
                upright)
        want = read_png(self.read("u.png"))
        self.ok("fit", "--max-side", 80, "--format", "png", self.turned,
                self.path("t.png"))
        got = read_png(self.read("t.png"))
        self.assertEqual(got[:2], want[:2])
        off = [abs(a - b) for r, s in zip(got[3], want[3])
               for a, b in zip(r, s)]
        self.assertLess(sum(off) / len(off), 2)

    def test_transparency_is_laid_on_white_for_jpeg_and_kept_for_png(self):
        p = self.path("a.png", png(20, 20, lambda x, y: (200, 0, 0, 0 if x < 10
                                                         else 255),
                                   alpha=True))
        self.ok("fit", "--max-side", 20, p, self.path("o.jpg"))
        self.ok("fit", "--max-side", 20, "--format", "png",
                self.path("o.jpg"), self.path("flat.png"))
        flat = read_png(self.read("flat.png"))
        self.assertGreater(min(pixel_of(flat, 3, 10)[:3]), 240)
        self.assertGreater(pixel_of(flat, 16, 10)[0], 170)
        self.ok("fit", "--max-side", 10, "--format", "png", p,
                self.path("o.png"))
        kept = read_png(self.read("o.png"))
        self.assertEqual(kept[2], 4)
        self.assertEqual(pixel_of(kept, 1, 5)[3], 0)
        self.assertEqual(pixel_of(kept, 8, 5), (200, 0, 0, 255))

    def test_metadata_does_not_survive(self):
        jpeg = with_exif(self.photo_bytes, 1)
        jpeg = jpeg[:2] + b"\xff\xfe\0\x0eSECRET-NOTE!" + jpeg[2:]
        p = self.path("a.jpg", jpeg)
        self.ok("fit", "--max-side", 300, p, self.path("o.jpg"))
        self.ok("fit", "--max-side", 300, "--format", "png", p,
                self.path("o.png"))
        segments, _ = jpeg_segments(self.read("o.jpg"))
        self.assertEqual([m for m, _ in segments if m in (0xe1, 0xfe)], [])
        self.assertNotIn(b"SECRET", self.read("o.jpg"))
        kinds = {k for k, _ in png_chunks(self.read("o.png"))}
        self.assertLessEqual(kinds, {b"IHDR", b"pHYs", b"IDAT", b"IEND"})

    def test_quality_is_obeyed(self):
        sizes = [self.ok("fit", "--max-side", 400, "--quality", q, self.photo,
                         self.path("o.jpg"))["bytes"] for q in (30, 85, 97)]
        self.assertLess(sizes[0] * 1.5, sizes[1])
        self.assertLess(sizes[1] * 1.2, sizes[2])

    def test_a_target_is_replaced_whole(self):
        out = self.path("o.jpg", b"old")
        self.ok("fit", "--max-side", 100, self.photo, out)
        self.assertEqual(self.read("o.jpg")[:3], b"\xff\xd8\xff")
        self.assertEqual(os.listdir(self.dir), ["o.jpg"])


def xmp_of(data):
    if data[:4] == b"\x89PNG":
        found = [b[22:] for k, b in png_chunks(data)
                 if k == b"iTXt" and b.startswith(b"XML:com.adobe.xmp\0")]
    else:
        head = b"http://ns.adobe.com/xap/1.0/\0"
        found = [b[len(head):] for m, b in jpeg_segments(data)[0]
                 if m == 0xe1 and b.startswith(head)]
    assert len(found) == 1, len(found)
    return found[0].decode()


class Finish(Case):
    WHO = ["--run-id", "0d9d9f0e-6a3c-4a0e-9c0c-2b5f5a1d0c11", "--model",
           "openai/gpt-image-1", "--prompt-hash", "ab" * 32]

    def test_a_png_keeps_its_pixels_byte_for_byte(self):
        data = png(30, 20, lambda x, y: (x, y, 77),
                   extra=[(b"gAMA", b"\0\0\xb1\x8f"),
                          (b"tEXt", b"Software\0sim")])
        p = self.path("in.png", data + b"trailing rubbish")
        got = self.ok("finish", *self.WHO, p, self.path("done"))
        self.assertEqual(got["file"], "done.png")
        self.assertEqual((got["type"], got["width"], got["height"]),
                         ("png", 30, 20))
        out = self.read("done.png")
        self.assertEqual(got["bytes"], len(out))
        rest = [(k, b) for k, b in png_chunks(out) if k != b"iTXt"]
        self.assertEqual(rest, png_chunks(data))
        self.assertTrue(out.endswith(data[-12:]))

    def test_a_jpeg_keeps_its_pixels_byte_for_byte(self):
        got = self.ok("finish", *self.WHO, self.photo, self.path("done"))
        self.assertEqual(got["file"], "done.jpg")
        before, scan = jpeg_segments(self.photo_bytes)
        after, same_scan = jpeg_segments(self.read("done.jpg"))
        self.assertEqual(scan, same_scan)
        self.assertEqual(before, [s for s in after if s[0] != 0xe1])
        self.assertEqual(after[0][0], 0xe0)     # JFIF stays first
        self.ok("inspect", self.path("done.jpg"))

    def test_other_types_become_png(self):
        for name, data in [("a.gif", gif(5, 4)), ("a.webp", WEBP_LOSSY)]:
            got = self.ok("finish", *self.WHO, self.path(name, data),
                          self.path("x"))
            self.assertEqual((got["file"], got["type"]), ("x.png", "png"))
            self.assertEqual(self.ok("mark", self.path("x.png"))["model"],
                             "openai/gpt-image-1")
        w, h, n, rows = read_png(self.read("x.png"))
        self.assertEqual((w, h), (1, 1))

    def test_the_mark_is_read_back(self):
        for source in (self.photo, self.path("a.png", png(
                2, 2, lambda x, y: (0, 0, 0)))):
            name = self.ok("finish", *self.WHO, source, self.path("o"))["file"]
            got = self.ok("mark", self.path(name))
            self.assertEqual(got["run_id"], self.WHO[1])
            self.assertEqual(got["model"], self.WHO[3])
            self.assertEqual(got["prompt_hash"], self.WHO[5])
            self.assertEqual(got["digital_source_type"], SOURCE_TYPE)
            self.assertIs(got["simulated"], False)

    def test_the_packet_is_well_formed_whatever_is_in_it(self):
        nasty = "a<b>&\"c'\x01\n]]>é\u2603"
        self.ok("finish", "--run-id", nasty, "--model", nasty,
                "--prompt-hash", nasty, self.photo, self.path("o"))
        text = xmp_of(self.read("o.jpg"))
        root = ElementTree.fromstring(text)
        ns = "{urn:churns:xmp:1.0/}"
        model = root.find(".//%smodel" % ns)
        self.assertTrue(model.text.startswith("a<b>&\"c'  ]]>"), model.text)
        source = root.find(".//{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
                           "DigitalSourceType")
        self.assertEqual(source.text, SOURCE_TYPE)
        tool = root.find(".//{http://ns.adobe.com/xap/1.0/}CreatorTool")
        self.assertTrue(tool.text.startswith("Churns "))
        got = self.ok("mark", self.path("o.jpg"))
        self.assertEqual(got["model"], model.text)

    def test_simulated_pictures_say_so(self):
        self.ok("finish", "--simulated", *self.WHO, self.photo,
                self.path("o"))
        self.assertIn("Simulated", xmp_of(self.read("o.jpg")))
        self.assertIs(self.ok("mark", self.path("o.jpg"))["simulated"], True)
        self.ok("finish", *self.WHO, self.photo, self.path("o"))
        self.assertNotIn("imulated", xmp_of(self.read("o.jpg")))

    def test_a_second_mark_replaces_the_first(self):
        for start in (self.photo, self.path("a.png", png(
                2, 2, lambda x, y: (0, 0, 0)))):
            one = self.ok("finish", *self.WHO, start, self.path("one"))["file"]
            two = self.ok("finish", "--run-id", "other", *self.WHO[2:],
                          self.path(one), self.path("two"))["file"]
            xmp_of(self.read(two))      # asserts that there is one
            self.assertEqual(self.ok("mark", self.path(two))["run_id"],
                             "other")

    def test_a_picture_without_mark_is_told(self):
        self.assertIn("no mark", self.refused(TROUBLE, "mark", self.photo))
        self.refused(TROUBLE, "mark", self.path("a.gif", gif(2, 2)))

    def test_an_unusable_picture_is_not_finished(self):
        p = self.path("a.png", b"this is what a model said instead")
        self.refused(BAD, "finish", *self.WHO, p, self.path("o"))
        self.assertEqual(os.listdir(self.dir), ["a.png"])


class Palette(Case):
    def colors(self, data, *args):
        got = self.ok("palette", *args, self.path("a.png", data))
        for c in got["colors"]:
            self.assertEqual(sorted(c), ["hex", "label", "ratio", "role"])
            self.assertIsNone(c["label"])
            self.assertRegex(c["hex"], "^#[0-9A-F]{6}$")
            self.assertTrue(0 < c["ratio"] <= 1)
        self.assertLessEqual(sum(c["ratio"] for c in got["colors"]), 1.001)
        return got["colors"]

    def by_role(self, colors):
        out = {}
        for c in colors:
            out.setdefault(c["role"], c)
        return out

    def assertNear(self, hexa, want):
        a = [int(hexa[i:i + 2], 16) for i in (1, 3, 5)]
        b = [int(want[i:i + 2], 16) for i in (1, 3, 5)]
        self.assertLess(max(abs(x - y) for x, y in zip(a, b)), 10,
                        (hexa, want))

    def test_roles_follow_frequency_and_saturation(self):
        def flag(x, y):
            return ((245, 200, 40) if x < 90 else (20, 60, 160) if x < 140 else
                    (250, 250, 250) if x < 180 else (20, 20, 20))
        got = self.by_role(self.colors(png(200, 50, flag)))
        self.assertNear(got["primary"]["hex"], "#F5C828")
        self.assertNear(got["secondary"]["hex"], "#143CA0")
        self.assertNear(got["neutral_light"]["hex"], "#FAFAFA")
        self.assertNear(got["neutral_dark"]["hex"], "#141414")
        self.assertAlmostEqual(got["primary"]["ratio"], 0.45, delta=0.02)
        self.assertAlmostEqual(got["secondary"]["ratio"], 0.25, delta=0.02)

    def test_a_small_saturated_spot_on_grey_is_the_primary(self):
        got = self.by_role(self.colors(png(
            100, 100, lambda x, y: (200, 20, 40) if x < 20 and y < 20 else
            (235, 235, 235))))
        self.assertNear(got["primary"]["hex"], "#C81428")
        self.assertNear(got["neutral_light"]["hex"], "#EBEBEB")

    def test_transparent_pixels_do_not_count(self):
        got = self.colors(png(50, 50, lambda x, y: (0, 255, 0, 0) if x < 40
                              else (10, 30, 200, 255), alpha=True))
        self.assertEqual(len(got), 1)
        self.assertNear(got[0]["hex"], "#0A1EC8")
        self.assertEqual(got[0]["ratio"], 1)

    def test_a_black_wordmark_has_black_as_primary(self):
        got = self.by_role(self.colors(png(
            100, 40, lambda x, y: (0, 0, 0) if 30 < x < 60 else
            (255, 255, 255))))
        self.assertNear(got["primary"]["hex"], "#000000")
        self.assertNear(got["neutral_light"]["hex"], "#FFFFFF")

    def test_a_white_sheet_is_one_colour(self):
        got = self.colors(png(10, 10, lambda x, y: (255, 255, 255)))
        self.assertEqual([c["role"] for c in got], ["primary"])

    def test_max_is_obeyed_and_the_answer_is_the_same_every_time(self):
        for n in (1, 2, 6, 16):
            got = self.ok("palette", "--max", n, self.photo)["colors"]
            self.assertLessEqual(len(got), n)
            self.assertEqual(got[0]["role"], "primary")
            self.assertEqual(got, self.ok("palette", "--max", n,
                                          self.photo)["colors"])


WHITE, BLACK = (255, 255, 255), (0, 0, 0)


class Masks(Case):
    """Masks as people paint them, and what editing makes of them."""

    def base(self, w=64, h=48):
        return self.path("base.png", png(
            w, h, lambda x, y: (x * 3 % 256, y * 5 % 256, (x + y) % 256)))

    def box(self, name="mask.png", w=64, h=48, alpha=False, white=WHITE):
        return self.path(name, png(w, h, lambda x, y: (
            white if 10 <= x < 30 and 5 <= y < 25 else BLACK) +
            ((255,) if alpha else ()), alpha=alpha))

    def test_white_is_what_may_change(self):
        base, out = self.base(), self.path("api.png")
        got = self.ok("make-mask", "--base", base, self.box(), out)
        self.assertEqual((got["width"], got["height"], got["selected"]),
                         (64, 48, 400))
        self.assertEqual([got[k] for k in ("left", "top", "right", "bottom")],
                         [10, 5, 29, 24])
        self.assertAlmostEqual(got["share"], 400 / (64 * 48))
        w, h, n, rows = made = read_png(self.read("api.png"))
        self.assertEqual((w, h, n), (64, 48, 4))
        for x, y in ((10, 5), (29, 24), (20, 15)):
            self.assertEqual(pixel_of(made, x, y)[3], 0)
        for x, y in ((9, 5), (30, 24), (20, 25), (63, 47)):
            self.assertEqual(pixel_of(made, x, y)[3], 255)

    def test_a_brushs_soft_edge_counts_and_dark_grey_does_not(self):
        base = self.base()
        for level, n in ((201, 400), (200, 0), (255, 400)):
            mask = self.box(white=(level,) * 3)
            if n:
                got = self.ok("check-mask", "--base", base, mask)
                self.assertEqual(got["selected"], n)
            else:
                self.refused(BAD, "check-mask", "--base", base, mask)

    def test_a_mask_in_the_providers_form_is_understood(self):
        mask = self.path("m.png", png(64, 48, lambda x, y: (
            0, 0, 0, 0 if x < 8 else 255), alpha=True))
        got = self.ok("check-mask", "--base", self.base(), mask)
        self.assertEqual((got["selected"], got["right"]), (8 * 48, 7))

    def test_grey_rgb_and_rgba_are_taken_and_nothing_else(self):
        base = self.path("g.png", grey_png(20, 20))

        def head(depth, kind):
            return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(
                ">IIBBBBB", 20, 20, depth, kind, 0, 0, 0)))
        grey = self.path("grey.png", grey_png(20, 20, 255))
        self.assertEqual(self.ok("check-mask", "--base", base,
                                 grey)["selected"], 400)
        palette = head(8, 3) + chunk(b"PLTE", b"\xff" * 6) + chunk(
            b"IDAT", zlib.compress((b"\0" + bytes(20)) * 20)) + chunk(
                b"IEND", b"")
        deep = head(16, 0) + chunk(b"IDAT", zlib.compress(
            (b"\0" + b"\xff" * 40) * 20)) + chunk(b"IEND", b"")
        both = head(8, 4) + chunk(b"IDAT", zlib.compress(
            (b"\0" + b"\xff" * 40) * 20)) + chunk(b"IEND", b"")
        for name, data in (("p.png", palette), ("d.png", deep),
                           ("b.png", both), ("j.png", self.photo_bytes)):
            said = self.refused(BAD, "check-mask", "--base", base,
                                self.path(name, data))
            self.assertIn("PNG", said)

    def test_another_size_is_refused_with_both_sizes(self):
        said = self.refused(BAD, "check-mask", "--base", self.base(),
                            self.box(w=63))
        self.assertIn("63 x 48", said)
        self.assertIn("64 x 48", said)

    def test_an_empty_mask_is_refused_and_leaves_no_file(self):
        black = self.path("m.png", png(64, 48, lambda x, y: BLACK))
        said = self.refused(BAD, "make-mask", "--base", self.base(), black,
                            self.path("api.png"))
        self.assertIn("white", said)
        self.assertFalse(os.path.exists(self.path("api.png")))

    def test_the_region_is_cut_out_of_the_picture(self):
        self.ok("make-mask", "--base", self.base(), "--region",
                self.path("region.png"), self.box(), self.path("api.png"))
        base, part = (read_png(self.read(n)) for n in
                      ("base.png", "region.png"))
        self.assertEqual(pixel_of(part, 15, 10)[:3], pixel_of(base, 15, 10))
        self.assertEqual(pixel_of(part, 15, 10)[3], 255)
        self.assertEqual(pixel_of(part, 40, 10)[3], 0)

    def test_outside_the_mask_the_picture_stays_to_the_last_bit(self):
        edited = self.path("edited.png", png(128, 96, lambda x, y: (9, 200,
                                                                     7)))
        got = self.ok("composite", "--base", self.base(), "--mask",
                      self.box(), edited, self.path("out.png"))
        self.assertEqual((got["composited"], got["width"], got["height"]),
                         (True, 64, 48))
        base, out = (read_png(self.read(n)) for n in ("base.png", "out.png"))
        inside = 0
        for y in range(48):
            for x in range(64):
                if 10 <= x < 30 and 5 <= y < 25:
                    inside += pixel_of(out, x, y)[:3] == (9, 200, 7)
                else:
                    self.assertEqual(pixel_of(out, x, y)[:3],
                                     pixel_of(base, x, y), (x, y))
        self.assertEqual(inside, 16 * 16)  # all but a ramp of two

    def test_pictures_of_different_shape_are_not_mixed(self):
        edited = self.path("edited.png", png(50, 50, lambda x, y: BLACK))
        got = self.ok("composite", "--base", self.base(), "--mask",
                      self.box(), edited, self.path("out.png"))
        self.assertFalse(got["composited"])
        self.assertFalse(os.path.exists(self.path("out.png")))

    def test_shapes_become_a_mask(self):
        base = self.path("base.png", grey_png(200, 200))

        def drawn(shapes):
            got = self.ok("draw-mask", "--shapes", json.dumps(shapes), base,
                          self.path("m.png"))
            return got, read_png(self.read("m.png"))
        got, mask = drawn({"x": .25, "y": .25, "width": .5, "height": .5})
        self.assertEqual([got[k] for k in ("left", "top", "right", "bottom")],
                         [50, 50, 150, 150])
        self.assertEqual(got["selected"], 101 * 101)
        self.assertEqual(pixel_of(mask, 150, 150)[:3], WHITE)
        self.assertEqual(pixel_of(mask, 151, 150)[:3], BLACK)
        got, mask = drawn([{"type": "rectangle", "x1": 0, "y1": 0, "x2": .1,
                            "y2": .1},
                           {"type": "circle", "cx": .5, "cy": .5,
                            "radius": .1}])
        self.assertEqual(pixel_of(mask, 5, 5)[:3], WHITE)
        self.assertEqual(pixel_of(mask, 100, 118)[:3], WHITE)
        self.assertEqual(pixel_of(mask, 100, 125)[:3], BLACK)
        got, mask = drawn({"type": "polygon",
                           "points": [[.5, 0], [1, 1], [0, 1]]})
        self.assertEqual(pixel_of(mask, 100, 150)[:3], WHITE)
        self.assertEqual(pixel_of(mask, 5, 20)[:3], BLACK)

    def test_shapes_that_make_no_sense_are_refused(self):
        base = self.path("base.png", grey_png(50, 50))
        for shapes in ("", "nonsense", "[]", "{}", "7", '{"type":"star"}',
                       '{"x":-1,"y":0,"width":1,"height":1}',
                       '{"x":0,"y":0,"width":2,"height":1}',
                       '{"x":0.5,"y":0.5,"width":0,"height":0}',
                       '{"type":"circle","cx":0.5,"cy":0.5,"radius":0}',
                       '{"type":"polygon","points":[[0,0],[1,1]]}',
                       '{"type":"polygon","points":[[0,0],[1,1],["a",2]]}',
                       '[{"x":0,"y":0,"width":1,"height":1},7]',
                       json.dumps([{"x": 0, "y": 0, "width": 1,
                                    "height": 1}] * 65)):
            self.refused(BAD, "draw-mask", "--shapes", shapes, base,
                         self.path("m.png"))
        self.assertFalse(os.path.exists(self.path("m.png")))

    def test_pictures_are_compared_level_by_level(self):
        base = self.base()
        got = self.ok("compare", "--base", base, base)
        self.assertEqual((got["max_difference"], got["mean_difference"],
                          got["same_aspect"]), (0, 0, True))
        other = self.path("o.png", png(64, 48, lambda x, y: (
            x * 3 % 256, y * 5 % 256, min(255, (x + y) % 256 + (
                12 if x == 0 and y == 0 else 0)))))
        got = self.ok("compare", "--base", base, other)
        self.assertEqual(got["max_difference"], 12)
        self.assertAlmostEqual(got["mean_difference"], 12 / (3 * 64 * 48))

    def test_without_a_base_it_is_wrong_usage(self):
        m = self.box()
        for args in (("check-mask", m), ("make-mask", m, "x"),
                     ("compare", m), ("composite", "--base", m, m, "x"),
                     ("draw-mask", m, "x"), ("thumb", m, "x"),
                     ("thumb", "--width", "0", m, "x")):
            self.refused(USAGE, *args)

    def test_hostile_masks_are_refused_like_other_pictures(self):
        base = self.base()
        good = read_file(self.box())
        for name, data in (("cut.png", good[:-20]), ("text.png", b"hello"),
                           ("empty.png", b"")):
            self.refused(BAD, "check-mask", "--base", base,
                         self.path(name, data))
        self.refused(BAD, "check-mask", "--max-pixels", 3000, "--base", base,
                     self.box())


class Thumbs(Case):
    def test_a_thumbnail_is_as_wide_as_asked_and_keeps_the_mark(self):
        done = self.ok("finish", "--run-id", "r-1", "--model", "m/1",
                       "--prompt-hash", "abc", "--simulated", self.photo,
                       self.path("pic"))
        src = self.path(done["file"])
        got = self.ok("thumb", "--width", 320, src, self.path("t.jpg"))
        self.assertEqual((got["type"], got["width"], got["height"]),
                         ("jpeg", 320, 240))
        self.assertLess(got["bytes"], 40000)
        mark = self.ok("mark", self.path("t.jpg"))
        self.assertEqual((mark["run_id"], mark["model"], mark["prompt_hash"],
                          mark["simulated"], mark["digital_source_type"]),
                         ("r-1", "m/1", "abc", True, SOURCE_TYPE))

    def test_the_width_of_a_tall_picture_is_meant_and_nothing_is_enlarged(self):
        tall = self.path("t.png", png(100, 300, lambda x, y: (9, 9, 9)))
        got = self.ok("thumb", "--width", 50, tall, self.path("a.jpg"))
        self.assertEqual((got["width"], got["height"]), (50, 150))
        got = self.ok("thumb", "--width", 500, tall, self.path("b.jpg"))
        self.assertEqual((got["width"], got["height"]), (100, 300))
        got = self.ok("thumb", "--width", 100, self.turned,
                      self.path("c.jpg"))
        self.assertEqual((got["width"], got["height"]), (100, 75))

    def test_a_picture_without_a_mark_gets_none(self):
        self.ok("thumb", "--width", 64, self.photo, self.path("t.jpg"))
        self.refused(TROUBLE, "mark", self.path("t.jpg"))


if __name__ == "__main__":
    unittest.main()
