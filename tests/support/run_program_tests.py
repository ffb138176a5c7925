"""Runs tests/program/test_*.py, one line a test, and closes like Check does.

Each file is a process of its own, so that a test that wrecks its interpreter
or its environment fails alone.  Arguments: LOGDIR [FILE-PATTERN].
"""
import concurrent.futures
import fnmatch
import os
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(os.path.dirname(HERE), "program")
FILE_TIMEOUT_S = 900
PARALLEL = 2
LONG = {"test_web.py", "test_faults.py", "test_push.py", "test_chaos.py",
        "test_quickstart.py", "test_runner.py"}
ALONE = {"test_kill.py", "test_promises.py"}


class Lines(unittest.TestResult):
    """One line per test; tracebacks directly below what failed."""

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()

    def tell(self, word, test, text=""):
        took = time.monotonic() - getattr(self, "began", time.monotonic())
        print("%s %s (%.1f s)" % (word, test, took))
        if text:
            print(text)
        sys.stdout.flush()

    def addSuccess(self, test):
        super().addSuccess(test)
        self.tell("ok", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.tell("FAIL", test, self.failures[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            wrong = issubclass(err[0], test.failureException)
            self.tell("FAIL" if wrong else "ERROR", subtest,
                      (self.failures if wrong else self.errors)[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.tell("ERROR", test, self.errors[-1][1])


def run_file(path):
    sys.path[:0] = [PROGRAM, HERE]
    result = Lines()
    suite = unittest.defaultTestLoader.loadTestsFromName(
        os.path.basename(path)[:-3])
    suite.run(result)
    print("Checks: %d, Failures: %d, Errors: %d" % (
        max(result.testsRun, len(result.errors)), len(result.failures),
        len(result.errors)))
    return 0 if result.wasSuccessful() and result.testsRun else 1


def run_in_child(name, logs):
    """The file's status and what it printed."""
    log = os.path.join(logs, "program-" + name[:-3] + ".log")
    with open(log, "w+", encoding="utf-8", errors="replace") as out:
        child = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "--file",
             os.path.join(PROGRAM, name)], stdout=out,
            stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = child.wait(FILE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, 9)
            code = -9
        out.seek(0)
        return code, out.read()


def tell(name, code, text):
    print("== %s" % name)
    print(text)
    if "Checks: " not in text:
        print("FAIL %s ended with status %d and no result" % (name, code))
        print("Checks: 1, Failures: 0, Errors: 1")
    sys.stdout.flush()


def main():
    logs = sys.argv[1]
    pattern = sys.argv[2] if len(sys.argv) > 2 else "test_*.py"
    names = [n for n in sorted(os.listdir(PROGRAM))
             if fnmatch.fnmatch(n, pattern) and n.startswith("test_") and
             n.endswith(".py")]
    # Tests mostly wait, so two files at a time; the long ones first, so that
    # none of them is left over at the end.  What measures goes alone.
    shared = sorted((n for n in names if n not in ALONE),
                    key=lambda n: (n not in LONG, n))
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        done = dict(zip(shared, pool.map(lambda n: run_in_child(n, logs),
                                         shared)))
    for name in names:
        if name in ALONE:
            done[name] = run_in_child(name, logs)
    for name in names:
        tell(name, *done[name])
    return 1 if any(code for code, _ in done.values()) else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--file"]:
        sys.exit(run_file(sys.argv[2]))
    sys.exit(main())
