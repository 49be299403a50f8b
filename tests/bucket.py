# SPDX-License-Identifier: Apache-2.0
"""A bucket to test against: Google Cloud Storage's emulator, in a process of its own that dies with the test's.

In: nothing. Out: the environment variables that send every library of ours to it instead of to Google.
"""

import contextlib
import os
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator

BUCKET = "gs://bucket"
_LIFE = 1800  # seconds; however the tests end, the emulator does not outlive this


@contextlib.contextmanager
def emulator() -> Iterator[dict[str, str]]:
    """Starts the emulator on a free port; gives the variables, for this process or for others."""
    process = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        address = f"http://localhost:{int(process.stdout.readline())}"
        yield {
            "STORAGE_EMULATOR_HOST": address,  # gcsfs, and so epath
            "TENSORSTORE_GCS_HTTP_URL": address,  # Orbax's arrays
            "CLOUD_STORAGE_EMULATOR_ENDPOINT": address,  # ArrayRecord, which else waits for ever
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # else gcsfs asks Google, a minute in each process
            "GOOGLE_CLOUD_PROJECT": "tests",
        }
    finally:
        process.kill()
        process.wait()


def _serve() -> None:
    from gcp_storage_emulator import server
    from gcp_storage_emulator.exceptions import NotFound

    class Handler(server.RequestHandler):
        """Knows generations, by which Orbax's arrays tell whether another process wrote an object since."""

        def generation(self) -> str:
            url = urllib.parse.urlparse(self.path)
            bucket, _, name = url.path.partition("/b/")[2].partition("/o")
            name = urllib.parse.unquote(name[1:]) or urllib.parse.parse_qs(url.query).get("name", [""])[0]
            try:
                return self.storage.get_file_obj(bucket, name)["generation"]
            except NotFound:
                return "0"

        def send_response(self, code, message=None):
            super().send_response(code, message)
            if self.command == "GET" and code in (200, 206):
                self.send_header("x-goog-generation", self.generation())

        def do_POST(self):  # noqa: N802, it is `http.server`'s name
            wanted = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query).get("ifGenerationMatch")
            if wanted in (None, [self.generation()]):
                super().do_POST()
                return
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_error(412)

    server.RequestHandler = Handler
    started = server.create_server("localhost", 0, in_memory=True, default_bucket=BUCKET.removeprefix("gs://"))
    started.start()
    print(started._api._httpd.server_port, flush=True)
    threading.Timer(_LIFE, os._exit, [1]).start()
    sys.stdin.read()  # ends when the test's process does, however it ends
    os._exit(0)


if __name__ == "__main__":
    _serve()
