"""Runs tests/program/test_*.py, one line a test, and closes like Check does.

Each file is a process of its own, so that a test that wrecks its interpreter
or its environment fails alone.  Arguments: LOGDIR [FILE-PATTERN].
"""
import fnmatch
import os
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(os.path.dirname(HERE), "program")
FILE_TIMEOUT_S = 900


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


def main():
    logs = sys.argv[1]
    pattern = sys.argv[2] if len(sys.argv) > 2 else "test_*.py"
    failed = 0
    for name in sorted(os.listdir(PROGRAM)):
        if not fnmatch.fnmatch(name, pattern) or not name.startswith("test_"):
            continue
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
            text = out.read()
        print("== %s" % name)
        print(text)
        if "Checks: " not in text:
            print("FAIL %s ended with status %d and no result" % (name, code))
            print("Checks: 1, Failures: 1, Errors: 0")
        failed += code != 0
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--file"]:
        sys.exit(run_file(sys.argv[2]))
    sys.exit(main())
