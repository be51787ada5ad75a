"""TensorBoard event files, written where the metrics are: a full disk is an error there, not in some thread."""

import sys
import time
from functools import cache
from typing import Any

from etils import epath


class Board:
    """An event file of one attempt at a run."""

    def __init__(self, folder: epath.Path, step: int) -> None:
        """Begin after `step`: events of later steps, from an attempt that was killed, are hidden.

        Raises ImportError where tensorboardX, or what it needs for a bucket, is missing, OSError where it cannot write.
        """
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2
        from tensorboardX.summary import scalar

        folder.mkdir(parents=True, exist_ok=True)
        self._events, self._scalar = event_pb2, scalar
        self._writer = EventsWriter(str(folder / 'events'))
        log = event_pb2.SessionLog
        self._write(step=step + 1, session_log=log(status=log.START))

    def add(self, step: int, row: dict[str, float]) -> None:
        """Write numbers by name; raises OSError where that cannot be."""
        for name, value in row.items():
            self._write(step=step, summary=self._scalar(name, value))
        self._writer.flush()

    def _write(self, **event: Any) -> None:
        self._writer.write_event(self._events.Event(wall_time=time.time(), **event))


def open_board(folder: epath.Path, step: int) -> Board | None:
    """Open a board; where a package is missing for it, say so once and return None."""
    try:
        return Board(folder, step)
    except ImportError as missing:
        _say_once(f'no TensorBoard ({missing}); metrics.jsonl has the same')
        return None


@cache
def _say_once(sentence: str) -> None:
    print(sentence, file=sys.stderr)
