"""The likelihood of each question's answer, and of text.

NLL_i = -sum over the answer's tokens of log p, p_i = exp(-NLL_i) (T2, "Metrics").
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.tasks.questions import EncodedQuestions


def answer_nll(model: ModelConfig, params: transformer.Params, questions: EncodedQuestions) -> np.ndarray:
    """Compute the summed negative log-likelihood of every answer, [Q] in nats (float64)."""
    tokens, is_answer = join(questions)
    return np.asarray(_nll(params, tokens, is_answer, model=model), np.float64)


def text_loss(model: ModelConfig, params: transformer.Params, text_BT: np.ndarray) -> float:
    """Compute the mean loss of windows of text, ids [B, T + 1], in nats per token."""
    is_target = np.ones(text_BT.shape, bool)
    nll_B = _nll(params, text_BT.astype(np.int32), is_target, model=model)
    return float(np.asarray(nll_B, np.float64).sum() / (text_BT.shape[0] * (text_BT.shape[1] - 1)))


def join(questions: EncodedQuestions) -> tuple[np.ndarray, np.ndarray]:
    """Lay each answer behind its prompt: ids [Q, P + S], and which of them belong to the answer."""
    rows, P = questions.prompts.shape
    S = questions.answers.shape[1]
    tokens = np.concatenate([questions.prompts, np.zeros((rows, S), np.int32)], axis=1)
    starts = questions.prompt_lengths[:, None]
    np.put_along_axis(tokens, starts + np.arange(S), questions.answers, axis=1)
    columns = np.arange(P + S)
    return tokens, (columns >= starts) & (columns < starts + questions.answer_lengths[:, None])


@partial(jax.jit, static_argnames='model')
def _nll(params: transformer.Params, tokens_BT: jax.Array, is_answer_BT: jax.Array, *, model: ModelConfig) -> jax.Array:
    log_p_BTV = jax.nn.log_softmax(transformer.forward(model, params, tokens_BT[:, :-1]))
    log_p_BT = jnp.take_along_axis(log_p_BTV, tokens_BT[:, 1:, None], axis=-1)[..., 0]
    return -jnp.where(is_answer_BT[:, 1:], log_p_BT, 0.0).sum(-1)
