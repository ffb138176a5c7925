"""Both ends of FastCGI.

Request speaks to churns-api directly, as slowly as a test wants: a web server
sends a body only when it has all of it; here a request can stop in its middle
while something happens to the process that reads it.  Responder is the other
end, to see what a web server makes of what a client sent.
"""
import hashlib
import os
import socket
import struct
import threading
import time

BEGIN, END, PARAMS, STDIN, STDOUT = 1, 3, 4, 5, 6
RESPONDER = 1
CHUNK = 65535 - 7       # a multiple of eight below the longest record


class Request:
    def __init__(self, path, method, uri, headers=None, body_length=None,
                 timeout=20):
        variables = {"REQUEST_METHOD": method, "REQUEST_URI": uri,
                     "QUERY_STRING": uri.partition("?")[2],
                     "SCRIPT_NAME": "", "PATH_INFO": uri.partition("?")[0],
                     "REMOTE_ADDR": "127.0.0.1"}
        if body_length is not None:
            variables["CONTENT_LENGTH"] = str(body_length)
        for name, value in (headers or {}).items():
            name = name.upper().replace("-", "_")
            variables[name if name == "CONTENT_TYPE" else "HTTP_" + name] = value
        self.socket = socket.socket(socket.AF_UNIX)
        try:
            self.socket.settimeout(timeout)
            self.socket.connect(path)
            self.send(BEGIN, struct.pack("!HB5x", RESPONDER, 0))
            self.write(b"".join(self.pair(k.encode(), v.encode())
                                for k, v in variables.items()), PARAMS)
            self.send(PARAMS, b"")
        except OSError:
            self.close()
            raise

    @staticmethod
    def pair(name, value):
        return b"".join(
            bytes([len(x)]) if len(x) < 128 else struct.pack("!I", len(x) | 1 << 31)
            for x in (name, value)) + name + value

    def send(self, kind, data):
        self.socket.sendall(struct.pack("!BBHHBx", 1, kind, 1, len(data), 0) + data)

    def write(self, data, kind=STDIN):
        """More of the body."""
        for i in range(0, len(data), CHUNK):
            self.send(kind, data[i:i + CHUNK])

    def finish(self):
        """The body has ended; (status, headers, body) of the answer."""
        try:
            self.send(STDIN, b"")
            return self.answer()
        finally:
            self.close()

    def receive(self, n):
        data = b""
        while len(data) < n:
            piece = self.socket.recv(n - len(data))
            if not piece:
                raise ConnectionError("the answer ended early")
            data += piece
        return data

    def answer(self):
        out = b""
        while True:
            _, kind, _, length, padding = struct.unpack(
                "!BBHHBx", self.receive(8))
            data = self.receive(length + padding)[:length]
            if kind == STDOUT:
                out += data
            if kind == END:
                break
        head, _, body = out.partition(b"\r\n\r\n")
        headers = {}
        for line in head.decode("latin-1").split("\r\n"):
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return int(headers["status"].split()[0]), headers, body

    def close(self):
        self.socket.close()


class Arrived:
    """A request as a FastCGI program sees it."""

    def __init__(self):
        self.variables = {}     # the first of each name, like churns-api
        self.names = []         # all of them, in their order
        self.flags = None       # of the BEGIN record; bit 0 keeps the connection
        self.body = hashlib.sha256()
        self.length = 0
        self.began = time.monotonic()
        self.ended = None


class Responder:
    """Stands in for churns-api behind a web server, and keeps what came.

    answer is called with an Arrived and gives the bytes of a CGI answer, or
    None to close the connection without one; it may also take its time.
    """

    def __init__(self, path, answer=None):
        self.answer = answer or (lambda arrived: b"Status: 200 OK\r\n"
                                 b"Content-Type: application/json\r\n\r\n{}")
        self.arrived = []
        self.begun = 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        os.chmod(path, 0o666)
        self.listener.listen(4096)
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.begun += 1
            threading.Thread(target=self.serve, args=(connection,),
                             daemon=True).start()

    def serve(self, connection):
        arrived = Arrived()
        variables = b""
        reader = connection.makefile("rb", 1 << 16)
        try:
            while True:
                _, kind, _, length, padding = struct.unpack(
                    "!BBHHBx", reader.read(8))
                data = reader.read(length + padding)[:length]
                if kind == BEGIN:
                    arrived.flags = data[2]
                elif kind == PARAMS and length:
                    variables += data
                elif kind == PARAMS:
                    self.read_variables(variables, arrived)
                elif kind == STDIN and length:
                    arrived.body.update(data)
                    arrived.length += length
                elif kind == STDIN:
                    break
            arrived.ended = time.monotonic()
            self.arrived.append(arrived)
            out = self.answer(arrived)
            if out is not None:
                for i in range(0, len(out), CHUNK):
                    piece = out[i:i + CHUNK]
                    connection.sendall(struct.pack(
                        "!BBHHBx", 1, STDOUT, 1, len(piece), 0) + piece)
                connection.sendall(
                    struct.pack("!BBHHBx", 1, STDOUT, 1, 0, 0) +
                    struct.pack("!BBHHBx", 1, END, 1, 8, 0) + bytes(8))
        except (OSError, struct.error):
            pass
        finally:
            reader.close()
            connection.close()

    @staticmethod
    def read_variables(data, arrived):
        at = 0

        def number():
            nonlocal at
            size = 4 if data[at] & 0x80 else 1
            value = int.from_bytes(data[at:at + size], "big")
            at += size
            return value & 0x7fffffff if size == 4 else value
        while at < len(data):
            n, v = number(), number()
            name = data[at:at + n].decode("latin-1")
            arrived.names.append(name)
            arrived.variables.setdefault(name, data[at + n:at + n + v].decode(
                "latin-1"))
            at += n + v
