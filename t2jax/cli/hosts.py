"""Flags and life of a command that runs on several hosts at once."""

import argparse
import contextlib
import sys
import traceback
from collections.abc import Iterator
from typing import Any

FLAGS = ('coordinator', 'processes', 'process')


def describe(group: Any) -> None:
    """Add the flags that say that this host is one of several."""
    group.add_argument('--distributed', action='store_true', help='one of several hosts that the cluster tells apart')
    group.add_argument('--coordinator', metavar='HOST:PORT', help='or say it: address of host 0,')
    group.add_argument('--processes', type=int, help='how many hosts there are,')
    group.add_argument('--process', type=int, help='and which this one is, from 0')


def are_several(options: argparse.Namespace) -> bool:
    """Tell whether flags say that there are other hosts."""
    return options.distributed or any(getattr(options, flag) is not None for flag in FLAGS)


@contextlib.contextmanager
def joined(options: argparse.Namespace) -> Iterator[None]:
    """Join the other hosts, if there are any, for as long as this is entered."""
    if not are_several(options):
        yield
        return
    from t2jax import distributed
    from t2jax.training.stopping import Stopped

    distributed.start(options.coordinator, options.processes, options.process)
    try:
        yield
    except Stopped:  # all hosts stop at one step
        distributed.stop()
        raise
    except KeyboardInterrupt:
        print('\nstopped', file=sys.stderr)
        distributed.leave(130)
    except Exception as error:
        known = isinstance(error, (ValueError, OSError, FloatingPointError))
        print(f't2jax {options.command}: {error}' if known else traceback.format_exc(), file=sys.stderr)
        distributed.leave(2)  # the other hosts are in the middle of something together
    distributed.stop()
