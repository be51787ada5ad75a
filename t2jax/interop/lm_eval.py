"""A trained model inside EleutherAI's lm-evaluation-harness: `t2jax lm-eval --model t2jax --model_args checkpoint=RUN`.

Scores and generations are those that the harness gets from transformers (its HFLM) with the same weights:
log p(continuation | context) over the ids of context + continuation, cut on the left to max_length + 1 and without the
last one as input; and the text before the first stop string. The harness has no plugins: its own command knows the name
`t2jax` only once `main` has registered it.

Where texts begin: as with HFLM, nothing is put before a context but what the model's tokenizer.json puts there, as
Llama's does. `bos=True` puts what `t2jax score` does, before those of a run the end of the document before; `bos=False`
nothing. An empty context is that token, or the end of a document. A text that
spells a special token is text.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from etils import epath
from tqdm import tqdm

from t2jax import costs
from t2jax.evaluation.likelihood import score_rows
from t2jax.evaluation.vocabularies import bos_of, open_vocabulary
from t2jax.interop.generation import generate
from t2jax.interop.special_tokens import puts_bos
from t2jax.mesh import make_mesh
from t2jax.sampling.job import Sampling
from t2jax.sampling.work import WIDTHS
from t2jax.training.trained import open_trained

try:
    from lm_eval import utils as windows
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import TemplateLM
    from lm_eval.models.utils import normalize_gen_kwargs, postprocess_generated_text
except ImportError as missing:
    message = f"lm-evaluation-harness is not installed ({missing}); pip install 't2jax[interop]'"
    raise ValueError(message) from None

NAME = 't2jax'
SCORED_ROWS = 4096  # handed to the model at once; they are padded to one length on the host
NEUTRAL = {'num_beams': 1, 'num_return_sequences': 1, 'repetition_penalty': 1, 'length_penalty': 1, 'min_p': 0}

Tokens = list[int]


class T2jaxLM(TemplateLM):
    """A folder of `t2jax train` or of an import, on one device."""

    def __init__(
        self,
        checkpoint: str = '',
        tokenizer: str | None = None,
        step: int | None = None,
        max_length: int | None = None,
        max_gen_toks: int = 256,
        bos: bool | None = None,
        seed: int = 0,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        device: str | None = None,
    ) -> None:
        """Open a model; the arguments are those of --model_args.

        checkpoint: the folder. tokenizer: a .json or .model file (default: the folder's or its study's). step: of a
        run (default: the last). max_length: tokens at once (default: the context it was trained on). seed: of samples.
        Batches fit the memory and the lengths by themselves and the device is jax's first, so batch_size,
        max_batch_size and device, which the harness hands over, are not looked at. Raises ValueError or OSError where
        folder or tokenizer are not to be used.
        """
        super().__init__()
        if not checkpoint:
            raise ValueError('no model is named; say --model_args checkpoint=FOLDER')
        trained = open_trained(epath.Path(str(checkpoint)), step)
        self._vocabulary = open_vocabulary(trained, None if tokenizer is None else epath.Path(str(tokenizer)))
        begin, _ = bos_of(trained, self._vocabulary)
        if bos and begin is None:
            raise ValueError(f'{checkpoint} was imported without a token that texts begin with; leave bos=True out')
        longest = min(trained.context, WIDTHS[-1])
        self._max_length = longest if max_length is None else max_length
        if not 1 <= self._max_length <= longest:
            raise ValueError(f'max_length is {max_length}; give 1 to {longest}, the context of {checkpoint}')
        is_begun = puts_bos(trained.tokenizer) if bos is None else bos
        self._bos = [begin] if is_begun and begin is not None else []
        self._prefix = self._vocabulary.end_id if begin is None else begin
        self.max_gen_toks, self._seed = max_gen_toks, seed
        self._mesh = make_mesh(jax.devices()[:1])
        self._spelling = self._vocabulary.spelling()
        self._spelling += [b''] * (trained.model.vocab - len(self._spelling))
        self._trained, self._params = trained, trained.load(self._mesh)

    @property
    def eot_token_id(self) -> int:
        """Return the id that ends a document."""
        return self._vocabulary.end_id

    @property
    def prefix_token_id(self) -> int:
        """Return the id that stands for an empty context."""
        return self._prefix

    @property
    def max_length(self) -> int:
        """Return how many tokens the model sees at once."""
        return self._max_length

    @property
    def tokenizer_name(self) -> str:
        """Return what distinguishes the tokenizer, for the harness's caches."""
        return f'{self._vocabulary.name}-{self._vocabulary.fingerprint[:16]}-{len(self._bos)}'

    def get_model_info(self) -> dict[str, Any]:
        """Return what the harness writes beside its results."""
        model = self._trained.model
        return {
            'model_num_parameters': costs.count_params(model),
            'model_dtype': model.compute_dtype,
            'model_revision': str(self._trained.step),
            'model_tokens': self._trained.tokens,
        }

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> Tokens:
        """Turn text into ids, after the token that texts begin with, if any, unless add_special_tokens is False."""
        bos = [] if add_special_tokens is False else self._bos
        return [*bos, *self._vocabulary.encode(string).tolist()]

    def loglikelihood_rolling(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[float]:
        """Return the log-likelihood of whole texts, each token given as much as fits before it, in nats."""
        pairs: list[tuple[None, Tokens, Tokens]] = []
        owners = []
        for i, request in enumerate(requests):
            tokens = self.tok_encode(request.args[0])
            for window in windows.get_rolling_token_windows(tokens, self.prefix_token_id, self.max_length, 1):
                pairs.append((None, *windows.make_disjoint_window(window)))
                owners.append(i)
        scores = self._loglikelihood_tokens(pairs, disable_tqdm)
        totals = np.bincount(owners, [score for score, _ in scores], len(requests)).tolist()
        for request, total in zip(requests, totals, strict=True):
            self.cache_hook.add_partial('loglikelihood_rolling', request.args, total)
        return totals

    def _loglikelihood_tokens(
        self,
        requests: Sequence[tuple[tuple[str, str] | None, Tokens, Tokens]],
        disable_tqdm: bool = False,
        **kwargs: Any,
    ) -> list[tuple[float, bool]]:
        """Return log-likelihood (nats) and greediness of each (text or None, context ids, continuation ids)."""
        if not requests:
            return []
        for text, context, continuation in requests:
            if not context or not 1 <= len(continuation) <= self.max_length:
                raise ValueError(
                    f'{text} has {len(context)} tokens of context and {len(continuation)} of continuation; '
                    f'it takes at least one of each, and at most {self.max_length} of continuation (max_length)'
                )
        rows = [(context + continuation)[-(self.max_length + 1) :] for _, context, continuation in requests]
        lengths = np.array([len(row) for row in rows])
        columns, found = np.arange(lengths.max()), [(0.0, False)] * len(rows)
        order = np.argsort(-lengths, kind='stable')
        with tqdm(total=len(rows), desc='Scoring continuations', disable=disable_tqdm) as bar:
            for start in range(0, len(rows), SCORED_ROWS):
                some = order[start : start + SCORED_ROWS]
                tokens_BT = np.zeros((len(some), len(columns)), np.int32)
                for row_T, i in zip(tokens_BT, some):
                    row_T[: lengths[i]] = rows[i]
                ends_B = lengths[some, None]
                starts_B = ends_B - np.array([[len(requests[i][2])] for i in some])
                is_target_BT = (columns >= starts_B) & (columns < ends_B)
                nll_B, greedy_B = score_rows(self._trained.model, self._params, tokens_BT, is_target_BT)
                for i, nll, greedy in zip(some.tolist(), nll_B.tolist(), greedy_B.tolist()):
                    found[i] = -nll, greedy
                    if requests[i][0] is not None:
                        self.cache_hook.add_partial('loglikelihood', requests[i][0], found[i])
                bar.update(len(some))
        return found

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """Return a text for each (context, arguments of generation): greedy, unless they ask for samples.

        Requests of the same arguments are drawn together. A sample's randomness is its place among the requests.
        """
        alike: dict[str, list[int]] = {}
        for i, request in enumerate(requests):
            alike.setdefault(repr(request.args[1]), []).append(i)
        texts = [''] * len(requests)
        with tqdm(total=len(requests), desc='Generating', disable=disable_tqdm) as bar:
            for same in alike.values():
                sampling = self._sampling(requests[same[0]].args[1])
                room = self.max_length - sampling.max_tokens
                prompts = {i: (self.tok_encode(requests[i].args[0]) or [self.prefix_token_id])[-room:] for i in same}
                drawn = generate(self._trained.model, self._params, self._mesh, prompts, sampling, self._spelling)
                for i, tokens in drawn:
                    texts[i] = self._read(tokens, sampling.stop_strings)
                    self.cache_hook.add_partial('generate_until', requests[i].args, texts[i])
                    bar.update()
        return texts

    def _sampling(self, asked: Mapping[str, Any]) -> Sampling:
        """Say how to draw in t2jax's words; temperature is 1 where samples are asked for and it is not."""
        how = dict(normalize_gen_kwargs(dict(asked), self.max_gen_toks))
        until = [string for string in how.pop('until') if string]
        is_random, temperature = how.pop('do_sample'), float(how.pop('temperature', 1.0))
        most, top_p, top_k = how.pop('max_gen_toks'), how.pop('top_p', None), how.pop('top_k', None)
        unknown = [f'{key}={value}' for key, value in how.items() if value not in (None, NEUTRAL.get(key))]
        if unknown:
            raise ValueError(f'generation with {", ".join(unknown)} is not supported; use temperature, top_p and top_k')
        if most >= self.max_length:
            raise ValueError(
                f'max_gen_toks is {most} and the model sees {self.max_length} tokens at once, which leaves no room for '
                'a prompt; give fewer by --gen_kwargs max_gen_toks=N'
            )
        return Sampling(
            max_tokens=most,
            temperature=temperature if is_random else 0.0,
            top_p=1.0 if top_p is None else float(top_p),
            top_k=int(top_k or 0),
            seed=self._seed,
            stop_tokens=(self.eot_token_id,),
            stop_strings=tuple(until),
        )

    def _read(self, tokens: np.ndarray, until: Sequence[str]) -> str:
        """Turn a sample's ids into the text before its first stop string; end and padding are no text."""
        text = self._vocabulary.decode([token for token in tokens.tolist() if self._spelling[token]])
        return postprocess_generated_text(text, list(until), None)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the harness's own command line, which then knows `--model t2jax`; it prints results, and may exit."""
    import lm_eval.models  # noqa: F401  registers the others, which the harness leaves out once there is one
    from lm_eval.__main__ import cli_evaluate
    from lm_eval.api.registry import model_registry

    if NAME not in model_registry:
        model_registry.register(NAME, target='t2jax.interop.lm_eval:T2jaxLM')
    os.environ.setdefault('DISABLE_MULTIPROC', '1')  # its bootstrap would fork a process that has jax's threads
    before = sys.argv
    sys.argv = ['t2jax lm-eval', *(before[1:] if arguments is None else arguments)]
    try:
        cli_evaluate()
    finally:
        sys.argv = before


if __name__ == '__main__':
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f't2jax: {error}')
