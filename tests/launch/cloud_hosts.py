"""The fake cloud's hosts: local processes that a variable in their environment marks, and their metadata servers."""

import contextlib
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


class Host:
    """One machine of a slice: a home, an environment that marks its processes, a metadata server."""

    def __init__(self, node, worker, home):
        self.node, self.worker, self.home = node, worker, home
        self.name = f'{node}-{worker}'
        self.preempted = threading.Event()
        self.environment, self.metadata, self.process = {}, {}, None
        self.server = ThreadingHTTPServer(('127.0.0.1', 0), _metadata_handler(self))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={'poll_interval': 0.05}, daemon=True).start()

    def close(self):
        """End its metadata server, and a startup script that has dropped its mark; the rest is dead."""
        if self.process:
            if self.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if self.server:
            server, self.server = self.server, None
            server.shutdown()
            server.server_close()


def processes(url, host=None, on_hosts=False):
    """Return (process id, host, command line) of what sees a cloud: all, on any host, or on one; never the caller."""
    found = []
    for folder in Path('/proc').iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:  # the environment of a zombie is empty
            environment = (folder / 'environ').read_bytes().split(b'\0')
            line = (folder / 'cmdline').read_bytes().rstrip(b'\0').decode('utf-8', 'replace')
        except OSError:
            continue
        if f'FAKE_CLOUD={url}'.encode() not in environment:
            continue
        of = next((entry[10:].decode() for entry in environment if entry.startswith(b'FAKE_HOST=')), None)
        if (host is None or of == host) and (of is not None or not on_hosts):
            found.append((int(folder.name), of, line))
    return found


def kill(url, host=None):
    """Kill -9 all that sees a cloud, or that is on one of its hosts, until there is none; return how many."""
    killed, quiet = 0, 0
    while quiet < 2:
        found = processes(url, host)
        quiet = 0 if found else quiet + 1
        for pid, _, _ in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed += 1
        time.sleep(0.01)
    return killed


def _metadata_handler(host):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            url = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            if self.headers.get('Metadata-Flavor') != 'Google':
                return self._say(403, 'Missing Metadata-Flavor:Google header.\n')
            name = url.path.removeprefix('/computeMetadata/v1/instance/')
            if name == 'preempted':
                if query.get('wait_for_change') == 'true' and query.get('last_etag', self._etag()) == self._etag():
                    before, end = self._etag(), time.monotonic() + float(query.get('timeout_sec', 3600))
                    while self._etag() == before and host.server and time.monotonic() < end:
                        host.preempted.wait(0.05) if before == 'FALSE' else time.sleep(0.05)
                return self._say(200, self._etag())
            if name not in host.metadata:
                return self._say(404, '<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>\n')
            return self._say(200, host.metadata[name])

        def _etag(self):
            return 'TRUE' if host.preempted.is_set() else 'FALSE'

        def _say(self, code, text):
            body = text.encode()
            with contextlib.suppress(OSError):
                self.send_response(code)
                self.send_header('Metadata-Flavor', 'Google')
                self.send_header('ETag', self._etag())
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler
