"""A small run beside the questions and words of a made-up study, trained in a second or two."""

import jax
import numpy as np

from t2jax.data.feed import Feed
from t2jax.data.shards import Shards
from t2jax.data.vocabulary import WordVocabulary
from t2jax.mesh import Layout, make_mesh
from t2jax.models.config import ModelConfig
from t2jax.tasks.questions import Question, write_questions
from t2jax.training import loop
from t2jax.training.recipe import Recipe
from t2jax.training.runs import RunConfig

WORDS = WordVocabulary('1 2 3 4 5 6 7 8 9 . ,'.split())
RUN = RunConfig(
    'small',
    ModelConfig(vocab=12, d_model=16, n_layers=2, n_heads=2, hidden_multiple=8),
    8 * 16 * 60,
    Recipe(batch_sequences=8, sequence_length=16, learning_rate=1e-2, warmup_tokens_per_param=0.1),
    seed=1,
    layout=Layout(steps_per_dispatch=20),
)
QUESTIONS = [
    Question(f'q{i}', prompt, f' {answer}')
    for i, (prompt, answer) in enumerate(
        [('1 2 3', '4 .'), ('2 3', '4 5 .'), ('7', '8 .'), ('1 2 3 4 5 6 7', '8 9 .'), ('9 , 3', '4 .')]
    )
]


def make_run(workdir):
    """Train RUN on numbers that count upwards, and write the words and QUESTIONS as task `count`; return its folder."""
    rng = np.random.default_rng(0)
    ids = np.concatenate(
        [
            WORDS.encode(' '.join(str(n) for n in range(a, rng.integers(a, 10) + 1)) + ' .')
            for a in rng.integers(1, 10, 4000)
        ]
    )
    names = ('vocabulary', 'vocabulary_name', 'vocabulary_size', 'end_id')
    about = dict(zip(names, (WORDS.fingerprint, WORDS.name, len(WORDS), WORDS.end_id)))
    feed = Feed(Shards((ids,), about), 8, 16, seed=0)
    folder = workdir / 'runs' / RUN.name
    loop.train(RUN, feed, folder, make_mesh(jax.devices()[:1]))
    WORDS.save(workdir / 'data' / 'vocabulary.json')
    write_questions(workdir / 'data' / 'questions' / 'count.jsonl', QUESTIONS)
    return folder
