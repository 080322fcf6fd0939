"""An S3 server for tests: moto's, in memory, on a free port of loopback, which it prints.

moto looks whether a key is there and puts it in two steps, and its server has threads: of two puts
with `If-None-Match: *` at once both could be in. So writes go one at a time here, as they would be
seen to go by a store that keeps the promise.
"""
import threading

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server


class OneWriteAtATime:
    def __init__(self, app):
        self.app = app
        self.lock = threading.Lock()

    def __call__(self, environ, start_response):
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return self.app(environ, start_response)
        with self.lock:
            return list(self.app(environ, start_response))


class Quiet(MotoRequestHandler):
    def log_request(self, *_):
        pass


app = OneWriteAtATime(DomainDispatcherApplication(create_backend_app))
server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
print(server.server_port, flush=True)
server.serve_forever()
