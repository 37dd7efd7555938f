"""The real daemon, in a thread, so that blocking clients can talk to it."""

import asyncio
import threading
from contextlib import suppress

from xenwire.xenstored.server import serve


class Daemon:
    """A daemon at `path`; leave the block, or `stop` it, to end it."""

    def __init__(self, path):
        self.path = path
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main)

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join()

    def _main(self):
        with suppress(asyncio.CancelledError):
            asyncio.run(self._serve())

    async def _serve(self):
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        await serve(self.path, ready=self._ready.set)
