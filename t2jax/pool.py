"""Run many small jobs at once, one a device, in threads; stop all of them cleanly when one fails or on Ctrl-C."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import jax

Job = TypeVar('Job')


def run(
    groups: Sequence[Sequence[Job]],
    work: Callable[[Job, jax.Device, Callable[[], bool]], None],
    at_once: int,
) -> None:
    """Do every job of every group; a group's jobs follow one another on one device.

    work(job, device, should_stop) is called in a thread. The first error, or Ctrl-C, makes should_stop() true for
    the others and is raised again once they have returned.
    """
    waiting: queue.SimpleQueue[Sequence[Job]] = queue.SimpleQueue()
    for group in groups:
        waiting.put(group)
    stop, errors = threading.Event(), []

    def serve(device: jax.Device) -> None:
        try:
            while not stop.is_set():
                try:
                    group = waiting.get_nowait()
                except queue.Empty:
                    return
                for job in group:
                    if not stop.is_set():
                        work(job, device, stop.is_set)
        except BaseException as error:
            errors.append(error)  # the first is the cause; later ones may only say that they were stopped
            stop.set()

    devices = jax.local_devices()[:at_once]
    with ThreadPoolExecutor(len(devices)) as threads:
        futures = [threads.submit(serve, device) for device in devices]
        try:
            while wait(futures, timeout=0.2).not_done:
                pass
        except KeyboardInterrupt:
            stop.set()
            raise
    if errors:
        raise errors[0]
