"""What the harness did and what it was told, on disk before anything else.

One JSON object a line: n (its number), t (seconds since the start), wall (Unix
milliseconds, as in the rows of the database), who, what, and whatever belongs
to it.  A line is in the file when write() returns, so the journal is whole even
if the harness itself is killed.
"""
import json
import os
import threading
import time


class Journal:
    def __init__(self, path):
        self.path = path
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.lock = threading.Lock()
        self.began = time.monotonic()
        self.n = 0

    def write(self, who, what, **more):
        """Returns the line's number."""
        with self.lock:
            self.n += 1
            line = {"n": self.n, "t": round(time.monotonic() - self.began, 3),
                    "wall": int(time.time() * 1000), "who": who, "what": what}
            line.update(more)
            os.write(self.fd, json.dumps(line).encode() + b"\n")
            return self.n

    def close(self):
        os.close(self.fd)


def read(path):
    """All lines; one that was cut by a kill of the harness is left out."""
    lines = []
    with open(path, encoding="utf-8") as f:
        for text in f:
            if text.endswith("\n"):
                lines.append(json.loads(text))
    return lines
