"""Speaks FastCGI to churns-api directly, as slowly as a test wants.

A web server sends a body only when it has all of it; here a request can stop
in its middle while something happens to the process that reads it.
"""
import socket
import struct

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
            self.send(PARAMS, b"".join(self.pair(k.encode(), v.encode())
                                       for k, v in variables.items()))
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

    def write(self, data):
        """More of the body."""
        for i in range(0, len(data), CHUNK):
            self.send(STDIN, data[i:i + CHUNK])

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
