"""The ways churns-api comes by its listening socket."""
import os
import socket
import subprocess
import unittest

from stack import Stack, wait_until


class Listen(unittest.TestCase):
    def serve(self, s, command, fd_number):
        """Bind the socket the web server knows and hand it over as a number."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(os.path.join(s.run_dir, "api.sock"))
        os.chmod(listener.getsockname(), 0o660)
        listener.listen(16)
        log = open(os.path.join(s.dir, "api.log"), "ab")
        s.logs["api"] = log.name

        def place():
            os.dup2(listener.fileno(), fd_number)
            os.set_inheritable(fd_number, True)
        s.processes["api"] = subprocess.Popen(
            command, stdout=log, stderr=log, env=s.environment(),
            preexec_fn=place, close_fds=False, start_new_session=True,
            stdin=None if fd_number == 0 else subprocess.DEVNULL)
        listener.close()
        log.close()
        s.start("web")
        s.wait_healthy()

    def test_a_web_server_hands_it_over_as_descriptor_0(self):
        with Stack(api=False, web=False) as s:
            self.serve(s, s.command("api"), 0)
            self.assertEqual(s.submit()["status"], "PENDING")

    def test_socket_activation(self):
        with Stack(api=False, web=False) as s:
            self.serve(s, ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"',
                           "sh"] + s.command("api"), 3)
            self.assertEqual(s.submit()["status"], "PENDING")

    def test_a_socket_in_use_is_refused_and_a_stale_one_replaced(self):
        with Stack(web=False) as s:
            done = subprocess.run(s.command("api"), env=s.environment(),
                                  capture_output=True, text=True, timeout=20,
                                  check=False)
            self.assertEqual(done.returncode, 78)
            self.assertIn("another program is listening", done.stderr)
            s.kill("api")
            self.assertTrue(os.path.exists(
                os.path.join(s.run_dir, "api.sock")))
            s.start("api")
            wait_until(lambda: "ready to serve" in s.log("api").split(
                "ready to serve", 1)[-1], 10, "the new parent")
            s.start("web")
            s.wait_healthy()

    def test_workers_end_with_a_killed_parent(self):
        with Stack() as s:
            parent = s.processes["api"].pid

            def children():
                with open("/proc/%d/task/%d/children" % (parent, parent),
                          encoding="ascii") as f:
                    return [int(x) for x in f.read().split()]
            workers = wait_until(children, 5, "workers")
            s.kill("api")
            wait_until(lambda: not any(os.path.exists("/proc/%d" % w)
                                       for w in workers), 8,
                       "the workers to end")

    def test_a_killed_worker_is_replaced(self):
        with Stack() as s:
            parent = s.processes["api"].pid

            def children():
                with open("/proc/%d/task/%d/children" % (parent, parent),
                          encoding="ascii") as f:
                    return {int(x) for x in f.read().split()}
            before = children()
            for pid in before:
                os.kill(pid, 9)
            wait_until(lambda: len(children() - before) == len(before), 5,
                       "new workers")
            s.wait_healthy()


if __name__ == "__main__":
    unittest.main()
