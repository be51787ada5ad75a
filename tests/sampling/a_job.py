"""`t2jax sample` in a process of its own that takes its time: python a_job.py PAUSE sample ... [--devices N].

Every file waits PAUSE seconds before it is written, and files and tiles are small, so that a kill finds work to lose.
"""

import sys
import time

import jax

from t2jax.cli import main
from t2jax.sampling import store, work

pause, *arguments = sys.argv[1:]
if '--devices' in arguments:
    at = arguments.index('--devices')
    jax.config.update('jax_num_cpu_devices', int(arguments[at + 1]))
    del arguments[at : at + 2]
work.MOST_LOGITS['cpu'] = 4 * 12 * 20  # 20 slots of twelve words: two rows of a job of 40 samples a question
write_file = store.write_file


def write_slowly(*given):
    time.sleep(float(pause))
    write_file(*given)


store.write_file = write_slowly
sys.exit(main(arguments))
