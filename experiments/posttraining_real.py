"""Fine-tuning on real questions: does a small model answer held-out ones better afterwards?

    python experiments/real_text.py ../shared/data/text/dickens.jsonl.gz
    python experiments/posttraining_real.py ../shared/data/tasks

Takes the model of the first command, 282k params that have read Dickens alone, and a folder of the rows of ARC-Easy,
OpenBookQA and SciQ as JSON lines, named as below (of SciQ, questions and answers alone, without passages). `t2jax
finetune` does the rest, at the paper's rate and a higher one, into out/posttraining_real, with each task's curves as
curves.png. Questions that are in two of the files, and those longer than the model's 128 tokens, are left out.

Two CPU cores, 2026-11-25, half an hour beside other work; 2,196, 4,931 and 11,663 training questions. Mean NLL of the
test's answers in nats, before, and after six epochs at the rate chosen: 1e-3, but for SFT on OpenBookQA 2e-5, the
paper's, which elsewhere leaves validation at 1.1 to 1.4 times the NLL of 1e-3.

    ARC-Easy    49.43   FT 29.17   SFT 33.17      pass@1 8.9e-7   FT 3.5e-4   SFT 5.1e-4
    OpenBookQA  42.56   FT 30.40   SFT 33.56      pass@1 2.7e-5   FT 3.2e-4   SFT 8.9e-5
    SciQ        32.22   FT 13.73   SFT 15.46      pass@1 6.8e-6   FT 1.4e-3   SFT 3.7e-3
"""

import subprocess
import sys
from pathlib import Path

MODEL = Path('out/real_text/runs/small')
OUT = Path('out/posttraining_real')
TASKS = {'arc_easy': 'arc_easy_train', 'openbookqa': 'openbookqa_train', 'sciq': 'sciq_train_qa'}
RATES = '2e-5,1e-3'


def main(folder: Path) -> None:
    """Fine-tune on each task."""
    for task, train in TASKS.items():
        files = [
            f'{task}:{folder / train}.jsonl',
            *(folder / f'{task}_{part}.jsonl' for part in ('validation', 'test')),
        ]
        flags = ['--task', '--validation', '--test']
        command = [part for pair in zip(flags, map(str, files)) for part in pair]
        more = [
            '--tokenizer',
            'out/real_text/tokenizer.json',
            '--learning-rates',
            RATES,
            '--leave-out',
            '--out',
            str(OUT),
        ]
        plot = ['--plot', str(OUT / task / 'curves.png')]
        subprocess.run([sys.executable, '-m', 't2jax', 'finetune', str(MODEL), *command, *more, *plot], check=True)


if __name__ == '__main__':
    main(Path(sys.argv[1]))
