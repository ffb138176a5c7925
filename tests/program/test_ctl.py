"""churnsctl: what it finds, what it prints, and what it leaves alone."""
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import time
import unittest

from stack import BUILD, PLATFORM, SRC, Stack, wait_until

KEYS = {"OPENROUTER_API_KEY": "or-THEsecret-1", "OPENAI_API_KEY": "oa-THEsecret-2",
        "GEMINI_API_KEY": "ge-THEsecret-3"}
REAL = {"OPENROUTER_SIMULATED": None, "OPENAI_SIMULATED": None,
        "GEMINI_SIMULATED": None}
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
PROGRAMS_BUILT = all(os.access(os.path.join(BUILD, n), os.X_OK) for n in (
    "churns-runner", "churns-sim", "churns-image"))


def alone(**more):
    """A configuration and nothing that runs."""
    return Stack(web=False, api=False, **more)


def nano(usd):
    return round(float(usd) * 1e9)


def listing(top):
    """Every name below top with its size and time."""
    rows = []
    for folder, dirs, files in os.walk(top):
        for name in dirs + files:
            path = os.path.join(folder, name)
            st = os.lstat(path)
            rows.append((os.path.relpath(path, top), st.st_mode,
                         0 if os.path.isdir(path) else st.st_size,
                         st.st_mtime_ns))
    return sorted(rows)


def edit(path, old, new):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    assert old in text, (path, old)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace(old, new, 1))


def line_of(path, text):
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            if text in line:
                return number
    raise AssertionError("%s is not in %s" % (text, path))


def checks(out):
    """[(level, what, sentence, [faults])] of doctor's output."""
    rows = []
    for line in out.splitlines():
        match = re.match(r"(ok|warn|FAIL) +([^:]+): (.*)", line)
        if match:
            rows.append(match.groups() + ([],))
        elif line.startswith("     "):
            rows[-1][3].append(line.strip())
    return rows


def levels(out, what):
    return [r[0] for r in checks(out) if r[1] == what]


class Case(unittest.TestCase):
    def ctl(self, s, *args, status=0, **more):
        """What a command prints, having ended with that status."""
        code, out, err = s.ctl(*args, **more)
        self.assertEqual(code, status, "%s\n%s\n%s" % (args, out, err))
        self.assertNotIn("\x1b", out)
        return out if status == 0 else err or out

    def submit(self, s, *args, prompt="lemon tart, weekend special"):
        return self.ctl(s, "submit", "--platform", PLATFORM, "--prompt",
                        prompt, *args).strip()


class Usage(Case):
    def run_ctl(self, *args):
        done = subprocess.run([Stack.program("churnsctl")] + list(args),
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def test_wrong_usage_is_64_with_one_sentence(self):
        for args in (["sing"], ["list", "--loud"], ["list", "extra"], ["show"],
                     ["show", "a", "b"], ["list", "--limit"],
                     ["list", "--limit", "0"], ["list", "--limit", "ten"],
                     ["list", "--status", "ASLEEP"], ["config", "--json"],
                     ["delete"], ["cancel", "a", "b"],
                     ["submit", "--field", "novalue"], ["help", "sing"],
                     ["submit", "--key", "k" * 201], ["submit", "--key", ""]):
            code, out, err = self.run_ctl(*args)
            self.assertEqual((code, out), (64, ""), args)
            self.assertEqual(err.count("\n"), 1, args)
            self.assertTrue(err.startswith("churnsctl"), err)

    def test_no_command_shows_how_to_use_it(self):
        code, out, err = self.run_ctl()
        self.assertEqual((code, out), (64, ""))
        self.assertIn("usage: churnsctl COMMAND", err)

    def test_every_command_has_help_and_stands_in_the_page(self):
        code, out, err = self.run_ctl("help")
        self.assertEqual((code, err), (0, ""))
        names = re.findall(r"^  ([a-z]+) ", out, re.M)
        self.assertEqual(len(names), 15)
        with open(os.path.join(SRC, "src/ctl/churnsctl.1"),
                  encoding="utf-8") as f:
            page = f.read()
        for name in names:
            code, text, err = self.run_ctl(name, "--help")
            self.assertEqual((code, err), (0, ""))
            self.assertEqual(text, self.run_ctl("help", name)[1])
            self.assertIn("usage: churnsctl %s [OPTIONS]" % name, text)
            self.assertRegex(page, r"(It|Xo) Cm %s\b" % name)
            for option in re.findall(r"^  --([a-z-]+)", text, re.M):
                self.assertIn("Fl Fl %s" % option, page)

    def test_version(self):
        self.assertRegex(self.run_ctl("--version")[1], r"^churnsctl \d+\.\d+")


class Doctor(Case):
    def test_the_delivered_configuration_with_a_simulated_provider(self):
        with alone() as s:
            out = self.ctl(s, "doctor")
            self.assertNotIn("FAIL", out)
            self.assertEqual(levels(out, "configuration"), ["ok"])
            self.assertEqual(levels(out, "keys"), ["ok"])
            for what in ("data_dir", "run_dir", "image_helper", "database",
                         "env file"):
                self.assertEqual(levels(out, what), ["ok"], out)
            self.assertEqual(levels(out, "provider openrouter"), ["warn"])
            self.assertIn("simulated", out)
            self.assertIn("is not there yet", out)
            self.assertRegex(out.splitlines()[-1],
                             r"^Nothing stops the programs, \d warnings?\.$")

    def test_json_says_the_same(self):
        with alone() as s:
            text = checks(self.ctl(s, "doctor"))
            doc = json.loads(self.ctl(s, "doctor", "--json"))
            self.assertTrue(doc["ok"])
            self.assertEqual([(c["level"], c["what"]) for c in doc["checks"]],
                             [r[:2] for r in text])

    def test_six_faults_in_six_files_are_all_told_with_their_line(self):
        def break_it(conf):
            edit(conf + "/churns.yml", "  workers: 2", "  wrokers: 2")
            edit(conf + "/models.yml", "model: openai/gpt-4.1-mini",
                 "model: openai/gpt-9")
            edit(conf + "/stage_order.yml", "  - style_guide ",
                 "  - style_giude ")
            edit(conf + "/platforms.yml", "width: 1080", "width: -7")
            edit(conf + "/prompts/strategy.txt", "{{", "{{no_such_thing}} {{")
            with open(conf + "/schemas/visual_concept.json", "a",
                      encoding="utf-8") as f:
                f.write("}")
        with alone(conf=break_it) as s:
            code, out, err = s.ctl("doctor")
            self.assertEqual((code, err), (78, ""), out)
            level, what, sentence, faults = checks(out)[0]
            self.assertEqual((level, what), ("FAIL", "configuration"))
            for name, text in (("churns.yml", "wrokers"),
                               ("models.yml", "openai/gpt-9"),
                               ("stage_order.yml", "style_giude"),
                               ("platforms.yml", "width: -7"),
                               ("prompts/strategy.txt", "no_such_thing")):
                path = os.path.join(s.conf, name)
                where = "%s:%d: " % (path, line_of(path, text))
                self.assertTrue([f for f in faults if f.startswith(where)],
                                "%s in\n%s" % (where, out))
            self.assertTrue([f for f in faults if re.match(
                re.escape(s.conf) + r"/schemas/visual_concept\.json:(\d+: )?",
                f)], out)
            self.assertIn("%d faults" % len(faults), sentence)
            self.assertEqual(len(set(faults)), len(faults))
            # Other commands name them, too, and touch nothing.
            for args in (["list"], ["submit", "--platform", PLATFORM]):
                code, out, err = s.ctl(*args)
                self.assertEqual((code, out), (78, ""))
                self.assertIn("wrokers", err)
            self.assertEqual(os.listdir(s.data), [])

    def test_faults_that_only_the_executors_find(self):
        def break_it(conf):
            edit(conf + "/stage_order.yml", "  - style_guide ",
                 "  - style_giude ")
        with alone(conf=break_it) as s:
            code, out, _ = s.ctl("doctor")
            self.assertEqual(code, 78)
            self.assertEqual(len(checks(out)[0][3]), 1)
            self.assertIn("one fault", checks(out)[0][2])

    def test_a_directory_that_is_none(self):
        with alone() as s:
            s.conf = os.path.join(s.dir, "nowhere")
            code, out, _ = s.ctl("doctor")
            self.assertEqual(code, 78)
            self.assertIn(s.conf, out)

    def test_missing_keys_are_named_with_what_needs_them(self):
        env = dict(REAL, OPENROUTER_API_KEY=None, GEMINI_API_KEY=None,
                   OPENAI_API_KEY=None)
        with alone(env=env) as s:
            code, out, _ = s.ctl("doctor")
            self.assertEqual(code, 78)
            (level, _, _, faults), = [r for r in checks(out) if r[1] == "keys"]
            self.assertEqual((level, len(faults)), ("FAIL", 2))
            self.assertRegex(faults[0], r"^OPENROUTER_API_KEY is not set; "
                             r".*\bstrategy_goals\b.* \(models.yml:\d+\)$")
            self.assertRegex(faults[1], r"^GEMINI_API_KEY is not set; "
                             r"image_generation needs it \(models.yml:\d+\)$")
            # Everything else is looked at all the same.
            self.assertEqual(levels(out, "database"), ["ok"])

    def test_no_command_ever_prints_a_key(self):
        with alone(env=dict(REAL, **KEYS)) as s:
            said = ""
            for args in (["doctor"], ["doctor", "--json"], ["config"],
                         ["migrate"], ["list"], ["queue"]):
                code, out, err = s.ctl(*args)
                self.assertEqual(code, 0, out + err)
                said += out + err
            self.assertIn("2 of 2", said)
            self.assertIn("key: OPENROUTER_API_KEY  # set", said)
            self.assertNotIn("THEsecret", said)

    def test_not_even_one_that_is_wrong(self):
        for key in ("THEsecret with blanks", "THEsecret\u00e9"):
            env = dict(REAL, **dict(KEYS, GEMINI_API_KEY='"%s"' % key))
            with alone(env=env) as s:
                for args in (["doctor"], ["config"], ["doctor", "--json"]):
                    code, out, err = s.ctl(*args)
                    self.assertEqual(code, 78)
                    self.assertIn("GEMINI_API_KEY", out + err)
                    self.assertNotIn("THEsecret", out + err)

    def test_a_key_written_into_the_file_is_not_repeated(self):
        def break_it(conf):
            edit(conf + "/models.yml", "key: GEMINI_API_KEY", "key: THEsecret")
        with alone(conf=break_it) as s:
            code, out, _ = s.ctl("doctor")
            self.assertEqual(code, 78)
            self.assertIn("never the key itself", out)
            self.assertNotIn("THEsecret", out)

    def test_a_key_crossing_the_network_in_the_clear_is_a_warning(self):
        env = dict(REAL, GEMINI_BASE_URL="http://far.example/v1", **KEYS)
        with alone(env=env) as s:
            out = self.ctl(s, "doctor")
            self.assertEqual(levels(out, "provider gemini"), ["warn"])
            self.assertEqual(levels(out, "provider openrouter"), ["ok"])

    def test_an_env_file_for_all_to_read_is_a_warning(self):
        with alone() as s:
            os.chmod(s.env_file, 0o644)
            self.assertEqual(levels(self.ctl(s, "doctor"), "env file"),
                             ["warn"])

    def test_a_broken_address_is_a_fault(self):
        with alone(env={"GEMINI_BASE_URL": "ftp://x"}) as s:
            code, out, _ = s.ctl("doctor")
            self.assertEqual(code, 78)
            self.assertRegex(checks(out)[0][3][0],
                             r"GEMINI_BASE_URL.*must begin with http")

    def test_faults_of_the_machine_are_status_1(self):
        with alone() as s:
            for values, what in (
                    ({"CHURNS_IMAGE_HELPER": s.dir + "/none"}, "image_helper"),
                    ({"CHURNS_IMAGE_HELPER": s.dir}, "image_helper"),
                    ({"CHURNS_IMAGE_HELPER": s.env_file}, "image_helper"),
                    ({"CHURNS_DATA_DIR": s.env_file}, "data_dir"),
                    ({"CHURNS_DATA_DIR": s.env_file + "/x/y"}, "data_dir"),
                    ({"CHURNS_RUN_DIR": s.env_file + "/run"}, "run_dir"),
                    ({"CHURNS_DATABASE": "sqlite:%s/x/y.db" % s.env_file},
                     "database")):
                env = dict(s.environment(), **values)
                done = subprocess.run(
                    [s.program("churnsctl"), "doctor", "--conf", s.conf,
                     "--env", s.env_file], env=env, capture_output=True,
                    text=True, check=False)
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertEqual(levels(done.stdout, what), ["FAIL"], values)
                self.assertIn("failed", done.stdout.splitlines()[-1])

    def test_a_run_dir_too_long_for_sockets_is_a_fault_of_the_configuration(self):
        with alone(env={"CHURNS_RUN_DIR": "/tmp/" + "r" * 84,
                        "CHURNS_API_LISTEN": "127.0.0.1:9"}) as s:
            code, out, _ = s.ctl("doctor")
            self.assertEqual(code, 78)
            self.assertEqual(levels(out, "run_dir"), ["FAIL"])

    def test_it_creates_nothing_where_nothing_is(self):
        with alone() as s:
            os.rmdir(s.data)
            os.rmdir(s.run_dir)
            before = listing(s.dir)
            out = self.ctl(s, "doctor")
            self.assertEqual(listing(s.dir), before)
            for what in ("data_dir", "run_dir"):
                self.assertEqual(levels(out, what), ["ok"])
            self.assertEqual(out.count("will be made"), 2)

    def test_a_database_at_rest_stays_as_it_was(self):
        with alone() as s:
            self.ctl(s, "migrate")
            self.submit(s)
            before = listing(s.dir)
            out = self.ctl(s, "doctor")
            after = listing(s.dir)
            self.assertEqual([r[:3] for r in after], [r[:3] for r in before])
            self.assertIn("1 jobs wait", out)
            self.assertEqual(levels(out, "runner"), ["warn"])
            db = os.path.join(s.data, "db")
            self.assertEqual(sorted(os.listdir(db)),
                             ["churns.sqlite", "churns.sqlite.turn"])

    def test_an_empty_file_is_not_made_a_database(self):
        with alone() as s:
            os.makedirs(s.data + "/db")
            open(s.data + "/db/churns.sqlite", "wb").close()
            before = listing(s.dir)
            self.assertEqual(levels(self.ctl(s, "doctor"), "database"), ["ok"])
            self.assertEqual(listing(s.dir), before)

    def test_databases_that_cannot_be_used(self):
        with alone() as s:
            self.ctl(s, "migrate")
            path = s.data + "/db/churns.sqlite"
            keep = path + ".keep"
            shutil.copy(path, keep)

            def newer():
                subprocess.run(["sqlite3", path, "INSERT INTO schema_version"
                                " VALUES (99, 'x')"], check=True)

            def foreign():
                os.unlink(path)
                subprocess.run(["sqlite3", path, "PRAGMA journal_mode = WAL;"
                                "CREATE TABLE mine (x)"], check=True,
                               stdout=subprocess.DEVNULL)

            def no_database():
                with open(path, "wb") as f:
                    f.write(b"no database at all" * 1000)

            for make, sentence in ((newer, "newer program"),
                                   (foreign, "another program"),
                                   (no_database, "not a database")):
                shutil.copy(keep, path)
                make()
                before = [r[:3] for r in listing(s.data)]
                code, out, _ = s.ctl("doctor")
                self.assertEqual(code, 1, out)
                self.assertEqual(levels(out, "database"), ["FAIL"])
                self.assertIn(sentence, out)
                self.assertEqual([r[:3] for r in listing(s.data)], before,
                                 sentence)


class Config(Case):
    def test_it_prints_every_setting_and_where_it_came_from(self):
        with alone() as s:
            out = self.ctl(s, "config")
            self.assertIn('data_dir: "%s"  # CHURNS_DATA_DIR in the env file'
                          % s.data, out)
            self.assertRegex(out, r"  workers: 2  # churns.yml:\d+")
            self.assertIn("simulated: yes", out)
            self.assertNotIn("sim-key", out)

    def test_the_page_documents_every_setting_with_default_and_range(self):
        with open(os.path.join(SRC, "src/conf/churns.yml.5"),
                  encoding="utf-8") as f:
            page = f.read().split("\n.Sh SETTINGS\n")[1].split("\n.Sh ")[0]
        items = {i.split(None, 1)[0]: i for i in page.split("\n.It Cm ")[1:]}
        with open(os.path.join(SRC, "src/conf/settings.c"),
                  encoding="utf-8") as f:
            table = f.read().split("setting_rows[] = {")[1].split("\n};")[0]
        rows = re.findall(
            r'\{ "([a-z_.]+)", KIND_(\w+),\s*AT\(\w+\),\s*(.*?),\s*(\d+),\s*'
            r'([\d* ]+|MAX_\w+),\s*(\w+),\s*("\w+"|NULL),\s*"', table,
            re.S)
        self.assertGreater(len(rows), 40)
        self.assertEqual(len(rows), table.count("AT("))
        self.assertEqual(sorted(items), sorted(r[0] for r in rows))
        for key, kind, default, low, high, _, old in rows:
            item = items[key]
            self.assertIn("Ev CHURNS_" + key.upper().replace(".", "_"), item)
            if old != "NULL":
                self.assertIn("Ev " + old.strip('"'), item)
            if kind in ("INT", "INT64", "SECONDS", "MEBIBYTES"):
                top = 1
                for factor in high.split("*"):
                    top *= int(factor)
                self.assertIn("From %s to %d." % (low, top), item)
                self.assertIn("Default: %s." % default.strip('"'), item)
            elif kind == "MONEY":
                self.assertRegex(item, "(?i)from %s to 1000000; 0 is no limit"
                                 % low)
                self.assertIn("Default: %s." % default.strip('"'), item)
            elif kind == "NETS":
                for net in default.strip('"').split(", "):
                    self.assertRegex(item, r"Default:\n\.Li [^\n]*%s" %
                                     re.escape(net))
            elif default.startswith('"') and kind != "CORS":
                self.assertRegex(item, r"Default:\n\.(Cm|Pa) %s \." %
                                 re.escape(default.strip('"')))


def schema_files():
    folder = os.path.join(SRC, "src/store/schema")
    return [os.path.join(folder, n) for n in sorted(os.listdir(folder))
            if n.endswith(".sql")]


class Migrate(Case):
    now = len(schema_files())

    def test_fresh_then_current(self):
        with alone() as s:
            self.assertIn("made with schema %d" % self.now,
                          self.ctl(s, "migrate"))
            before = [r[:3] for r in listing(s.data)]
            self.assertIn("schema %d already" % self.now,
                          self.ctl(s, "migrate"))
            self.assertEqual([r[:3] for r in listing(s.data)], before)
            self.assertEqual(
                s.sql("SELECT max(version) AS v FROM schema_version"),
                [{"v": self.now}])
            self.assertEqual(json.loads(self.ctl(s, "migrate", "--json")),
                             {"from": self.now, "to": self.now})

    def make_version_1(self, s):
        """As the first program left it, with two runs."""
        os.makedirs(s.data + "/db", 0o700)
        with open(schema_files()[0], encoding="utf-8") as f:
            sql = f.read()
        rows = ""
        for n, (status, seq) in enumerate((("PENDING", 0), ("FAILED", 1)), 1):
            rows += """
                INSERT INTO runs (id, owner, status, mode, platform_name,
                    created_ms, completed_ms, last_seq, prompt) VALUES
                    ('00000000-0000-4000-8000-00000000000%d', 'default', '%s',
                    'easy_mode', '%s', %d, %d, %d, 'Rye bread');
                INSERT INTO run_counts VALUES
                    ('default', '%s', 'easy_mode', 1);
                """ % (n, status, PLATFORM, n, seq, seq, status)
        subprocess.run(["sqlite3", s.data + "/db/churns.sqlite"], text=True,
                       check=True, input="PRAGMA application_id = %d; BEGIN;"
                       "%s; INSERT INTO schema_version VALUES (1, '0.1');"
                       "%s; COMMIT;" % (0x43686e73, sql, rows))

    def test_older_is_refused_and_upgraded_with_its_rows(self):
        with alone() as s:
            self.make_version_1(s)
            for args in (["list"], ["queue"], ["submit", "--platform",
                                               PLATFORM, "--prompt", "x"]):
                err = self.ctl(s, *args, status=78)
                self.assertIn("schema is version 1", err)
                self.assertIn('run "churnsctl migrate"', err)
                self.assertEqual(err.count("\n"), 1)
            if PROGRAMS_BUILT:
                done = subprocess.run(
                    [s.program("churns-runner"), "--conf", s.conf, "--env",
                     s.env_file], env=s.environment(), text=True, timeout=60,
                    capture_output=True)
                self.assertEqual(done.returncode, 78, done.stderr)
                self.assertIn("churnsctl migrate", done.stderr)
            self.assertIn("upgraded from schema 1 to %d" % self.now,
                          self.ctl(s, "migrate"))
            runs = json.loads(self.ctl(s, "list", "--json"))
            self.assertEqual(runs["total"], 2)
            self.assertEqual([r["status"] for r in runs["runs"]],
                             ["FAILED", "PENDING"])
            self.assertEqual(s.sql(
                "SELECT platform, sum(n) AS n FROM run_counts GROUP BY 1"),
                [{"platform": PLATFORM, "n": 2}])
            self.submit(s)

    def test_newer_is_left_alone(self):
        with alone() as s:
            self.ctl(s, "migrate")
            path = s.data + "/db/churns.sqlite"
            subprocess.run(["sqlite3", path, "INSERT INTO schema_version "
                            "VALUES (7, 'x')"], check=True)
            for args in (["migrate"], ["list"], ["queue"],
                         ["submit", "--platform", PLATFORM, "--prompt", "x"]):
                err = self.ctl(s, *args, status=78)
                self.assertIn("version 7", err)
                self.assertEqual(err.count("\n"), 1)

    def test_in_use_is_refused(self):
        with alone() as s:
            run_id = self.submit(s)
            watcher = subprocess.Popen(
                [s.program("churnsctl"), "watch", "--conf", s.conf, "--env",
                 s.env_file, run_id], env=s.environment(),
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            try:
                self.assertIn("no runner is alive", watcher.stderr.readline())
                self.assertIn("in use", self.ctl(s, "migrate", status=1))
            finally:
                watcher.kill()
                watcher.communicate()
            self.ctl(s, "migrate")


class WithoutRunner(Case):
    @classmethod
    def setUpClass(cls):
        cls.stack = alone()
        cls.s = cls.stack.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.stack.__exit__(None, None, None)

    def photo(self):
        path = os.path.join(self.s.dir, "small.png")
        if not os.path.exists(path):
            import struct
            import zlib
            data = zlib.compress(b"".join(b"\0" + b"\xc0\x80\x40" * 8
                                          for _ in range(8)))
            with open(path, "wb") as f:
                f.write(b"\x89PNG\r\n\x1a\n")
                for kind, body in (
                        (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)),
                        (b"IDAT", data), (b"IEND", b"")):
                    f.write(struct.pack(">I", len(body)) + kind + body +
                            struct.pack(">I", zlib.crc32(kind + body)))
        return path

    def uploads(self):
        return os.listdir(os.path.join(self.s.data, "uploads"))

    def test_what_is_submitted_waits_and_can_be_cancelled(self):
        s = self.s
        run_id = self.submit(s, "--variants", "2", prompt="pear cake")
        self.assertRegex(run_id, "^%s$" % UUID)
        out = self.ctl(s, "list", "--status", "PENDING")
        row = [x for x in out.splitlines() if x.startswith(run_id)]
        self.assertEqual(len(row), 1)
        self.assertIn("pear cake", row[0])
        self.assertIn(PLATFORM, row[0])
        queue = json.loads(self.ctl(s, "queue", "--json"))
        self.assertGreaterEqual(queue["jobs_pending"], 1)
        self.assertEqual((queue["jobs_running"], queue["running_run_ids"]),
                         (0, []))
        self.assertRegex(self.ctl(s, "queue"), r"^waiting  \d+")
        story = self.ctl(s, "show", run_id)
        for text in ("PENDING", "2 variants", "pear cake", "image_generation"):
            self.assertIn(text, story)
        self.assertEqual(self.ctl(s, "calls", run_id), "0 calls, $0.0000\n")
        self.assertIn("it was PENDING", self.ctl(s, "cancel", run_id))
        self.ctl(s, "cancel", run_id)       # cancelled is cancelled
        doc = json.loads(self.ctl(s, "show", run_id, "--json"))
        self.assertEqual(doc["status"], "CANCELLED")
        code, out, err = s.ctl("watch", run_id)
        self.assertEqual((code, err), (1, ""))
        self.assertRegex(out, r"^\d\d:\d\d:\d\d  run +CANCELLED +"
                         r"The run was cancelled\.\n$")
        code, out, _ = s.ctl("watch", run_id, "--json")
        event = json.loads(out)
        self.assertEqual((code, event["seq"], event["type"]),
                         (1, 1, "run_error"))

    def test_runs_are_deleted_with_their_files(self):
        s = self.s
        ids = [self.submit(s, "--image", self.photo()) for _ in range(4)]
        for run_id in ids[:3]:
            self.assertEqual(s.run_files(run_id), ["input_small.png"])
            self.ctl(s, "cancel", run_id)
        folder = os.path.join(s.data, "runs")
        self.assertTrue(set(ids) <= set(os.listdir(folder)))
        err = self.ctl(s, "delete", ids[3], status=1)
        self.assertEqual(err, "churnsctl: run %s still waits or runs; cancel "
                         "it first\n" % ids[3])
        # What is refused keeps no other from being deleted.
        code, out, err = s.ctl("delete", ids[0], "nonsense", ids[1])
        self.assertEqual((code, out), (1, "Deleted %s.\nDeleted %s.\n" %
                                       (ids[0], ids[1])))
        self.assertEqual(err, "churnsctl: there is no run nonsense\n")
        self.assertEqual(json.loads(self.ctl(s, "delete", ids[2], "--json")),
                         [{"id": ids[2], "deleted": True, "error": None,
                           "files_left": None}])
        code, out, _ = s.ctl("delete", ids[2], "--json")
        self.assertEqual(code, 1)
        self.assertEqual(json.loads(out)[0]["error"],
                         "there is no run %s" % ids[2])
        self.assertEqual(set(ids) & set(os.listdir(folder)), {ids[3]})
        self.assertEqual([n for n in os.listdir(folder) if n[0] == "."], [])
        listed = json.loads(self.ctl(s, "list", "--limit", "9999", "--json"))
        shown = {r["id"] for r in listed["runs"]}
        self.assertEqual(shown & set(ids), {ids[3]})
        self.assertEqual(listed["total"], len(listed["runs"]))
        for command in ("show", "watch", "calls", "cancel"):
            self.ctl(s, command, ids[0], status=1)
        self.ctl(s, "cancel", ids[3])

    def test_a_picture_is_copied_and_nothing_is_left_in_uploads(self):
        s = self.s
        run_id = self.submit(s, "--image", self.photo())
        with open(self.photo(), "rb") as f:
            original = f.read()
        kept = os.path.join(s.data, "runs", run_id, "input_small.png")
        with open(kept, "rb") as f:
            self.assertEqual(f.read(), original)
        self.assertEqual(self.uploads(), [])
        doc = json.loads(self.ctl(s, "show", run_id, "--json"))
        self.assertTrue(doc["has_image_reference"])
        self.assertEqual(doc["image_filename"], "small.png")

    def test_options_are_the_fields_of_the_form(self):
        s = self.s
        kit = os.path.join(s.dir, "kit.json")
        with open(kit, "w", encoding="utf-8") as f:
            json.dump({"colors": [{"hex": "#4a90e2", "role": "primary"}]}, f)
        run_id = self.submit(
            s, "--creativity", "3", "--language", "ES", "--text", "HOLA",
            "--task", "4. Menu Spotlights", "--brand-kit", kit, "--image",
            self.photo(), "--field", "image_instruction=brighter",
            "--field", "creativity_level=1")
        doc = json.loads(self.ctl(s, "show", run_id, "--json"))
        self.assertEqual(
            (doc["creativity_level"], doc["language"], doc["render_text"],
             doc["task_description"], doc["task_type"], doc["apply_branding"],
             doc["image_instruction"], doc["num_variants"], doc["mode"]),
            (1, "es", True, "HOLA", "4. Menu Spotlights", True, "brighter", 3,
             "task_specific_mode"))
        self.assertEqual(doc["brand_kit"]["colors"][0]["hex"], "#4a90e2")

    def test_all_faults_of_a_request_one_a_line_and_nothing_stored(self):
        s = self.s
        before = json.loads(self.ctl(s, "list", "--json"))["total"]
        err = self.ctl(s, "submit", "--platform", "Wall", "--variants", "9",
                       "--creativity", "0", "--image", s.env_file, status=1)
        fields = [x.split(": ")[1] for x in err.splitlines()]
        self.assertEqual(sorted(fields), ["creativity_level", "image_file",
                                          "num_variants", "platform_name"])
        err = self.ctl(s, "submit", "--prompt", "x", "--variants", "two",
                       status=1)
        self.assertRegex(err, r"platform_name: Field required")
        self.assertRegex(err, r"num_variants: .*whole number")
        after = json.loads(self.ctl(s, "list", "--json"))["total"]
        self.assertEqual(after, before)
        self.assertEqual(self.uploads(), [])

    def test_files_that_cannot_be_read(self):
        s = self.s
        fifo = os.path.join(s.dir, "fifo")
        if not os.path.exists(fifo):
            os.mkfifo(fifo)
        big = os.path.join(s.dir, "big.png")
        with open(big, "wb") as f:
            f.truncate(51 * 1024 * 1024)
        for option, path, sentence in (
                ("--image", s.dir + "/none.png", "No such file"),
                ("--image", s.dir, "not a file"),
                ("--image", fifo, "not a file"),
                ("--image", big, "at most"),
                ("--brand-kit", s.dir + "/none.json", "No such file")):
            err = self.ctl(s, "submit", "--platform", PLATFORM, "--prompt",
                           "x", option, path, status=1)
            self.assertIn(sentence, err)
            self.assertEqual(err.count("\n"), 1, err)
        self.assertEqual(self.uploads(), [])

    def test_the_same_key_gives_the_same_run(self):
        s = self.s
        first = self.submit(s, "--key", "k1", "--image", self.photo())
        code, out, err = s.ctl("submit", "--platform", PLATFORM, "--prompt",
                               "lemon tart, weekend special", "--key", "k1",
                               "--image", self.photo())
        self.assertEqual((code, out.strip()), (0, first))
        self.assertIn("submitted before", err)
        err = self.ctl(s, "submit", "--platform", PLATFORM, "--prompt",
                       "something else", "--key", "k1", status=1)
        self.assertIn("another request", err)
        self.assertEqual(self.uploads(), [])

    def test_json_of_a_submission_is_the_run(self):
        doc = json.loads(self.ctl(self.s, "submit", "--platform", PLATFORM,
                                  "--prompt", "x", "--json"))
        self.assertEqual(doc["status"], "PENDING")
        self.assertRegex(doc["id"], UUID)

    def test_what_is_not_there(self):
        for args in (["show"], ["watch"], ["cancel"], ["calls"], ["delete"]):
            for run_id in ("00000000-0000-4000-8000-000000000000", "nonsense"):
                self.submit(self.s)
                err = self.ctl(self.s, *(args + [run_id]), status=1)
                self.assertEqual(err, "churnsctl: there is no run %s\n" % run_id)

    def test_text_from_outside_cannot_steer_the_terminal(self):
        hostile = "a\x1b]0;x\x07b\u009b31mc\nd\tLEMON"
        run_id = self.submit(self.s, prompt=hostile)
        for args in (["list"], ["show", run_id]):
            out = self.ctl(self.s, *args)
            self.assertIn("a?]0;x?b?31mc d LEMON", out)
            for bad in ("\x1b", "\x07", "\u009b"):
                self.assertNotIn(bad, out)

    def test_limits_and_pages(self):
        with alone() as s:
            db_made = self.ctl(s, "list", status=1)
            self.assertIn("no database", db_made)
            self.assertEqual(os.listdir(s.data), [])
            self.ctl(s, "migrate")
            self.assertEqual(self.ctl(s, "list"), "There are no such runs.\n")
            ids = [self.submit(s) for _ in range(4)]
            out = self.ctl(s, "list", "--limit", "3")
            self.assertEqual(re.findall("^(%s)" % UUID, out, re.M)[0][0],
                             ids[-1])
            self.assertTrue(out.endswith("3 of 4\n"))
            doc = json.loads(self.ctl(s, "list", "--limit", "150", "--json"))
            self.assertEqual([r["id"] for r in doc["runs"]], ids[::-1])

    def test_more_than_a_page(self):
        with alone() as s:
            self.ctl(s, "migrate")
            path = s.data + "/db/churns.sqlite"
            subprocess.run(["sqlite3", path, """
                WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL
                    SELECT i + 1 FROM n WHERE i < 230)
                INSERT INTO runs (id, owner, status, mode, created_ms)
                SELECT printf('00000000-0000-4000-8000-%012d', i), 'default',
                    'COMPLETED', 'easy_mode', i FROM n;
                INSERT INTO run_counts VALUES ('default', 'COMPLETED',
                    'easy_mode', '', 230)"""], check=True)
            for limit, want in (("100", 100), ("101", 101), ("230", 230),
                                ("9999", 230)):
                doc = json.loads(self.ctl(s, "list", "--limit", limit, "--json"))
                self.assertEqual(len(doc["runs"]), want)
                self.assertEqual(len({r["id"] for r in doc["runs"]}), want)
                self.assertEqual(doc["total"], 230)
                self.assertEqual(doc["next_cursor"] is None, want == 230)

    def test_output_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run(
                [self.s.program("churnsctl"), "config", "--conf", self.s.conf,
                 "--env", self.s.env_file], stdout=full,
                stderr=subprocess.PIPE, text=True, check=False,
                env=self.s.environment())
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot be written", done.stderr)

    def test_colours_are_for_terminals_only(self):
        run_id = self.submit(self.s)
        self.ctl(self.s, "cancel", run_id)
        command = [self.s.program("churnsctl"), "list", "--conf", self.s.conf,
                   "--env", self.s.env_file]
        for extra, want in (({"TERM": "xterm"}, True),
                            ({"TERM": "xterm", "NO_COLOR": "1"}, False),
                            ({"TERM": "dumb"}, False)):
            env = {k: v for k, v in self.s.environment().items()
                   if k != "NO_COLOR"}
            env.update(extra)
            outer, inner = pty.openpty()
            with subprocess.Popen(command, stdout=inner, env=env) as p:
                os.close(inner)
                said = b""
                while True:
                    try:
                        piece = os.read(outer, 65536)
                    except OSError:
                        break
                    if not piece:
                        break
                    said += piece
            os.close(outer)
            self.assertEqual(p.returncode, 0)
            self.assertEqual(b"\x1b[33mCANCELLED\x1b[0m" in said, want)

    @unittest.skipUnless(os.geteuid() == 0, "only root can give files away")
    def test_root_leaves_nothing_in_the_directory_of_another(self):
        with alone() as s:
            os.chown(s.data, 65534, 65534)
            before = [r[:3] for r in listing(s.dir)]
            for args in (["migrate"], ["submit", "--platform", PLATFORM,
                                       "--prompt", "x"]):
                err = self.ctl(s, *args, status=1)
                self.assertIn("belongs to", err)
            self.assertEqual(levels(self.ctl(s, "doctor"), "user"), ["warn"])
            self.assertEqual([r[:3] for r in listing(s.dir)], before)


@unittest.skipUnless(PROGRAMS_BUILT, "runner, simulator or helper is not built")
class WithRunner(Case):
    def test_watching_a_run_to_its_end(self):
        with alone(runner=True, sim=True) as s:
            photo = os.path.join(s.dir, "photo.jpg")
            with open(photo, "wb") as f:
                f.write(s.photo())
            out = self.ctl(s, "submit", "--platform", PLATFORM, "--prompt",
                           "lemon tart", "--image", photo,
                           "--variants", "2", "--watch", timeout=120)
            lines = out.splitlines()
            run_id = lines[0]
            self.assertEqual(len(lines), 1 + 14 + 1, out)
            self.assertRegex(lines[1], r"^\d\d:\d\d:\d\d  image_eval +RUNNING ")
            self.assertRegex(lines[-1], r"  run +COMPLETED +\$0\.\d+ \(\d+\.\d s\)$")
            # Watched again, it is the same story.
            self.assertEqual(self.ctl(s, "watch", run_id).splitlines(),
                             lines[1:])
            told = [json.loads(x) for x in self.ctl(
                s, "watch", run_id, "--json").splitlines()]
            self.assertEqual([e["seq"] for e in told], list(range(1, 16)))
            self.check_calls(s, run_id)
            self.check_story(s, run_id)
            self.assertIn("COMPLETED", self.ctl(s, "cancel", run_id, status=1))
            self.check_doctor(s)

    def check_calls(self, s, run_id):
        doc = json.loads(self.ctl(s, "calls", run_id, "--json"))
        rows = s.sql("SELECT cost_nano FROM model_calls")
        self.assertEqual(len(doc["calls"]), len(rows))
        total = sum(r["cost_nano"] for r in rows)
        self.assertGreater(total, 0)
        self.assertEqual(sum(nano(c["cost_usd"]) for c in doc["calls"]), total)
        self.assertEqual(nano(doc["total_cost_usd"]), total)
        self.assertEqual(s.sql("SELECT cost_nano FROM runs"),
                         [{"cost_nano": total}])
        text = self.ctl(s, "calls", run_id)
        costs = re.findall(r"\$(\d+\.\d+)", text)
        self.assertEqual(sum(nano(c) for c in costs[:-1]), total)
        self.assertEqual(nano(costs[-1]), total)
        self.assertEqual(text.count("ANSWERED"), len(rows))

    def check_story(self, s, run_id):
        story = self.ctl(s, "show", run_id)
        paths = re.findall(r"(/\S+\.png)$", story, re.M)
        self.assertEqual(len(paths), 2)
        for path in paths:
            with open(path, "rb") as f:
                self.assertEqual(f.read(4), b"\x89PNG")
        self.assertEqual(len(re.findall(r"^  \d  \w+ +COMPLETED ", story,
                                        re.M)), 7)
        self.assertIn("simulated provider", story)
        doc = json.loads(self.ctl(s, "show", run_id, "--json"))
        self.assertEqual([p["path"] for p in doc["pictures"]], paths)
        self.assertEqual(
            nano(doc["cost_summary"]["total_pipeline_cost_usd"]),
            nano(doc["total_cost_usd"]))

    def check_doctor(self, s):
        names = [r[0] for r in listing(s.dir)]
        out = self.ctl(s, "doctor")
        self.assertEqual([r[0] for r in listing(s.dir)], names)
        self.assertRegex(out, r"\nok   process: runner \d+ on ")
        self.assertEqual(levels(out, "runner"), [])

    def test_a_run_that_fails_and_one_that_is_cancelled(self):
        with alone(runner=True, sim=True) as s:
            s.script(0, {"kind": "generate_content", "fault": "status",
                         "status": 400})
            code, out, _ = s.ctl(
                "submit", "--platform", PLATFORM, "--prompt", "x",
                "--variants", "1", "--watch", timeout=120)
            self.assertEqual(code, 1, out)
            run_id = out.splitlines()[0]
            self.assertRegex(out.splitlines()[-1], r"  run +FAILED +\w")
            self.assertIn("FAILED", self.ctl(s, "show", run_id))
            self.assertIn("FAILED", self.ctl(s, "calls", run_id))
            s.script(3000)
            run_id = self.submit(s)
            wait_until(lambda: json.loads(self.ctl(s, "queue", "--json"))
                       ["running_run_ids"] == [run_id], 10, "the run to begin")
            began = time.monotonic()
            self.assertIn("it was RUNNING", self.ctl(s, "cancel", run_id))
            wait_until(lambda: json.loads(self.ctl(s, "queue", "--json"))
                       ["running_run_ids"] == [], 10, "the runner to let go")
            self.assertLess(time.monotonic() - began, 5)
            self.ctl(s, "watch", run_id, status=1)

    def test_a_killed_runner_is_seen_and_what_it_left_stays(self):
        with alone(runner=True, sim=True) as s:
            wait_until(lambda: "process: runner" in s.ctl("doctor")[1], 10,
                       "the runner to be seen")
            self.assertIn("in use", self.ctl(s, "migrate", status=1))
            s.kill("runner", signal.SIGKILL)
            before = [r[:3] for r in listing(s.dir)]
            self.assertIn(("data/db/churns.sqlite-wal"), [r[0] for r in before])
            out = self.ctl(s, "doctor")
            self.assertEqual([r[:3] for r in listing(s.dir)], before)
            self.assertIn("process", [r[1] for r in checks(out)])


if __name__ == "__main__":
    unittest.main()
