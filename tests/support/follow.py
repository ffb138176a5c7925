"""Followers of runs for tests: a WebSocket client and an event-stream reader.

Both are written here and not taken from a library, because tests need what a
library forbids: a socket that does not read, odd frames, a cut connection,
bytes that look like nothing at all.

    with Socket(stack, run_id, after=3) as ws:
        message = ws.message(5)        # a dict; None at the end
        ws.send_text('{"type":"ping"}')
    print(ws.closed)                   # code of the close frame, 1006 without
"""
import base64
import hashlib
import json
import os
import select
import socket
import struct
import time

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
ABNORMAL = 1006


def dial(where, timeout=10, rcvbuf=None):
    """A connection to a path or (host, port)."""
    family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
    s = socket.socket(family)
    if rcvbuf:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    s.settimeout(timeout)
    end = time.monotonic() + timeout
    while True:
        try:
            s.connect(where)
            return s
        except BlockingIOError:         # its queue is full just now
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


def where_push_is(stack):
    return os.path.join(stack.run_dir, "push.sock")


def head_of(method, path, headers, host="localhost"):
    lines = ["%s %s HTTP/1.1" % (method, path), "Host: " + host]
    lines += ["%s: %s" % pair for pair in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def read_head(s, rest=b""):
    """(status, {name: value}, what came behind it) of an answer."""
    while b"\r\n\r\n" not in rest:
        more = s.recv(65536)
        if not more:
            raise ConnectionError("no answer, only %r" % rest)
        rest += more
    head, rest = rest.split(b"\r\n\r\n", 1)
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, value = line.split(":", 1)
        headers[name.strip().lower()] = value.strip()
    return int(lines[0].split()[1]), headers, rest


class Refused(Exception):
    def __init__(self, status, headers, body):
        super().__init__("%d %r" % (status, body))
        self.status = status
        self.headers = headers
        self.body = body


def read_body(s, headers, rest):
    length = headers.get("content-length")
    while length is None or len(rest) < int(length):
        more = s.recv(65536)
        if not more:
            break
        rest += more
    if headers.get("transfer-encoding", "").lower() == "chunked":
        rest = unchunk(rest)[0]
    return rest


def unchunk(data):
    """(bytes of whole chunks, what is left, is it the end?)"""
    out = b""
    while b"\r\n" in data:
        line, tail = data.split(b"\r\n", 1)
        size = int(line.split(b";")[0], 16)
        if len(tail) < size + 2:
            break
        out += tail[:size]
        data = tail[size + 2:]
        if size == 0:
            return out, data, True
    return out, data, False


class Socket:
    """stack may also be the address to connect to."""

    def __init__(self, stack, run_id, after=None, headers=(), where=None,
                 timeout=10, path=None, rcvbuf=None, answer_pings=True):
        where = where or where_push_is(stack)
        self.run_id = run_id
        self.s = dial(where, timeout, rcvbuf)
        self.data = b""
        self.closed = None
        self.pings = 0
        self.answer_pings = answer_pings
        key = base64.b64encode(os.urandom(16)).decode()
        path = path or "/api/v1/ws/%s%s" % (
            run_id, "" if after is None else "?after=%d" % after)
        self.s.sendall(head_of("GET", path, [
            ("Upgrade", "websocket"), ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", key),
        ] + list(headers)))
        status, self.headers, self.data = read_head(self.s)
        if status != 101:
            body = read_body(self.s, self.headers, self.data)
            self.s.close()
            raise Refused(status, self.headers, body)
        accept = base64.b64encode(hashlib.sha1(
            (key + GUID).encode()).digest()).decode()
        assert self.headers["sec-websocket-accept"] == accept, self.headers

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.closed is None and kind is None:
            self.close(1000)
        self.s.close()

    def cut(self):
        """Gone without a word."""
        self.s.close()

    # --- sending -----------------------------------------------------------

    def send_frame(self, opcode, payload=b"", fin=True, mask=True, rsv=0):
        head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
        bit = 0x80 if mask else 0
        if len(payload) < 126:
            head += bytes([bit | len(payload)])
        elif len(payload) < 65536:
            head += struct.pack("!BH", bit | 126, len(payload))
        else:
            head += struct.pack("!BQ", bit | 127, len(payload))
        if mask:
            key = os.urandom(4)
            head += key
            payload = bytes(b ^ key[i % 4] for i, b in enumerate(payload))
        self.s.sendall(head + payload)

    def send_text(self, text):
        self.send_frame(TEXT, text.encode())

    def close(self, code=1000):
        try:
            self.send_frame(CLOSE, struct.pack("!H", code))
        except OSError:
            pass

    # --- receiving ---------------------------------------------------------

    def parse(self):
        """The next whole frame of what has come: (opcode, payload) or None."""
        d = self.data
        if len(d) < 2:
            return None
        size, at = d[1] & 0x7f, 2
        if size == 126:
            if len(d) < 4:
                return None
            size, at = struct.unpack("!H", d[2:4])[0], 4
        elif size == 127:
            if len(d) < 10:
                return None
            size, at = struct.unpack("!Q", d[2:10])[0], 10
        if len(d) < at + size:
            return None
        assert d[0] & 0x80 and not d[0] & 0x70 and not d[1] & 0x80, d[:2]
        self.data = d[at + size:]
        return d[0] & 0x0f, d[at:at + size]

    def take(self):
        """What has come as a message: text, b"" for "nothing whole yet"."""
        while True:
            frame = self.parse()
            if frame is None:
                return b""
            opcode, payload = frame
            if opcode == TEXT:
                return payload
            if opcode == PING:
                self.pings += 1
                if self.answer_pings:
                    self.send_frame(PONG, payload)
            elif opcode == CLOSE:
                self.closed = struct.unpack("!H", payload[:2])[0] \
                    if payload else 1005
                self.close(self.closed)
                return None

    def fill(self):
        """Read once; False at the end."""
        try:
            more = self.s.recv(262144)
        except (ConnectionResetError, BrokenPipeError):
            more = b""
        if not more:
            self.closed = self.closed or ABNORMAL
        self.data += more
        return bool(more)

    def text(self, seconds=10):
        """The next message as it was sent; None when the socket has ended."""
        end = time.monotonic() + seconds
        while True:
            text = self.take() if self.closed is None else None
            if text is None or text:
                return text
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.s], [], [], left)[0]:
                raise TimeoutError("no message within %s s" % seconds)
            if not self.fill():
                return None

    def message(self, seconds=10):
        text = self.text(seconds)
        return None if text is None else json.loads(text)

    def event(self, seconds=10):
        """The next message that is no ping."""
        end = time.monotonic() + seconds
        while True:
            m = self.message(max(0, end - time.monotonic()))
            if m is None or m["type"] != "ping":
                return m

    def quiet(self, seconds):
        """Nothing but pings comes for so long."""
        try:
            m = self.event(seconds)
        except TimeoutError:
            return
        raise AssertionError("not quiet: %r" % (m,))

    def until(self, done, seconds=30):
        """All messages up to and with the first for which done(message)."""
        got = []
        end = time.monotonic() + seconds
        while True:
            m = self.message(max(0.01, end - time.monotonic()))
            assert m is not None, "ended with %s after %r" % (
                self.closed, [x.get("seq") for x in got])
            got.append(m)
            if done(m):
                return got


def is_end(m):
    """Does the run itself end with this message?"""
    return m["type"] in ("run_complete", "run_error") and \
        "job_id" not in m["data"]


class Stream:
    """An EventSource, without the part that comes back by itself."""

    def __init__(self, stack, run_id, after=None, last_id=None, where=None,
                 headers=(), timeout=10, path=None):
        where = where or where_push_is(stack)
        self.s = dial(where, timeout)
        path = path or "/api/v1/runs/%s/stream%s" % (
            run_id, "" if after is None else "?after=%d" % after)
        more = [("Accept", "text/event-stream")] + list(headers)
        if last_id is not None:
            more.append(("Last-Event-ID", str(last_id)))
        self.s.sendall(head_of("GET", path, more))
        self.status, self.headers, rest = read_head(self.s)
        self.chunked = self.headers.get("transfer-encoding") == "chunked"
        if self.status != 200:
            body = read_body(self.s, self.headers, rest)
            self.s.close()
            raise Refused(self.status, self.headers, body)
        self.raw, self.text_bytes, self.ended = rest, b"", False
        self.retry = None
        self.comments = 0

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.s.close()

    def unwrap(self):
        if not self.chunked:
            self.text_bytes += self.raw
            self.raw = b""
            return
        out, self.raw, over = unchunk(self.raw)
        self.text_bytes += out
        self.ended = self.ended or over

    def block(self, seconds):
        end = time.monotonic() + seconds
        while True:
            self.unwrap()
            if b"\n\n" in self.text_bytes:
                block, self.text_bytes = self.text_bytes.split(b"\n\n", 1)
                return block.decode()
            left = end - time.monotonic()
            if self.ended:
                return None
            if left <= 0 or not select.select([self.s], [], [], left)[0]:
                raise TimeoutError("no event within %s s" % seconds)
            try:
                more = self.s.recv(262144)
            except (ConnectionResetError, BrokenPipeError):
                more = b""
            self.ended = not more
            self.raw += more

    def event(self, seconds=10):
        """{"id", "event", "message"}; None at the end of the stream."""
        end = time.monotonic() + seconds
        while True:
            block = self.block(max(0, end - time.monotonic()))
            if block is None:
                return None
            fields = {}
            for line in block.split("\n"):
                if line.startswith(":"):
                    self.comments += 1
                    continue
                name, value = line.split(": ", 1)
                assert name not in fields, block
                fields[name] = value
            if "retry" in fields:
                self.retry = int(fields["retry"])
            if "data" in fields:
                return {"id": fields.get("id"), "event": fields["event"],
                        "message": json.loads(fields["data"])}

    def until(self, done, seconds=30):
        got = []
        end = time.monotonic() + seconds
        while True:
            e = self.event(max(0.01, end - time.monotonic()))
            assert e is not None, "ended after %r" % got
            got.append(e)
            if done(e["message"]):
                return got
