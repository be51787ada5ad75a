"""Parity with PyTorch: the same architecture, loss and recipe written for it, on the same weights and tokens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2jax import costs
from t2jax import mesh as meshes
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.training.recipe import Recipe, make_schedule, optimizer
from t2jax.training.step import TrainState, loss_fn, make_train_steps

torch = pytest.importorskip('torch', reason="torch is not installed; pip install '.[test]'")
from experiments import torch_decoder  # noqa: E402

STEPS = 50
SMALL = ModelConfig(vocab=64, d_model=32, n_layers=2, hidden_multiple=16)


@pytest.fixture(autouse=True)
def one_thread():
    """PyTorch's threads wait for each other; where tests share cores, that takes far longer than the work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def draw_tokens(*shape, vocab):
    """Draw rows that walk up the vocabulary in steps of 0 to 3: something to learn."""
    rng = np.random.default_rng(0)
    steps = rng.integers(0, 4, shape)
    steps[..., 0] = rng.integers(0, vocab, shape[:-1])
    return np.cumsum(steps, axis=-1) % vocab


def draw_params(model):
    """Draw weights of the usual size, and gains off one: leaving one out, or swapping two, shows."""
    rng = np.random.default_rng(1)

    def draw(path, leaf):
        noise = rng.normal(size=leaf.shape).astype(np.float32)
        return 1 + 0.3 * noise if path[-1].key == 'gain' else model.d_model**-0.5 * noise

    shapes = jax.eval_shape(lambda: transformer.init_params(model, jax.random.key(0)))
    return jax.tree.map(jnp.array, jax.tree_util.tree_map_with_path(draw, shapes))


@pytest.mark.parametrize(('width', 'depth'), [(96, 3), pytest.param(224, 6, marks=pytest.mark.slow)])
def test_logits_and_gradients_equal_pytorchs(width, depth):
    """Two shapes of the ladder, 512 words: logits within 1e-4, each gradient within 1e-5 of its largest entry."""
    model = ModelConfig(vocab=512, d_model=width, n_layers=depth)
    params = draw_params(model)
    tokens = draw_tokens(2, 65, vocab=model.vocab)
    gradient = jax.jit(jax.grad(loss_fn, has_aux=True), static_argnums=(1, 2))
    grads, loss = gradient(params, model, Recipe(), jnp.array(tokens))
    logits = jax.jit(transformer.forward, static_argnums=0)(model, params, jnp.array(tokens[:, :-1]))

    decoder = torch_decoder.load(model, 64, params)
    ids = torch.from_numpy(tokens)
    theirs = decoder(ids[:, :-1])
    objective, nll = torch_decoder.objective(theirs, ids[:, 1:], Recipe().z_loss)
    objective.backward()
    np.testing.assert_allclose(logits, theirs.detach(), rtol=0, atol=1e-4)
    assert float(loss) == pytest.approx(nll.item(), abs=1e-5)
    ours = torch_decoder.state_dict(grads)
    assert set(ours) == {name for name, _ in decoder.named_parameters()}
    for name, parameter in decoder.named_parameters():
        largest = parameter.grad.abs().max().item()
        np.testing.assert_allclose(ours[name], parameter.grad, rtol=0, atol=1e-5 * largest, err_msg=name)


def check_curves(model, recipe, atol):
    """Train both from the same params for 50 steps; returns losses, gradient norms and learning rates."""
    budget = STEPS * recipe.batch_tokens
    tokens = draw_tokens(STEPS, recipe.batch_sequences, recipe.sequence_length + 1, vocab=model.vocab)
    params = draw_params(model)
    state = TrainState(jnp.int32(0), params, optimizer(recipe).init(params))
    trainer = torch_decoder.Trainer(torch_decoder.load(model, recipe.sequence_length, params), model, recipe, budget)
    train_steps = make_train_steps(model, recipe, meshes.make_mesh(jax.devices()[:1]))
    state, losses, norms = train_steps(state, make_schedule(recipe, model, budget), jnp.array(tokens), jnp.int32(STEPS))
    rates, theirs = [], []
    for batch in tokens:
        rates.append(trainer.rate())
        theirs.append(trainer.train_step(torch.from_numpy(batch)))
    np.testing.assert_allclose(losses, [loss for loss, _ in theirs], rtol=0, atol=atol)
    np.testing.assert_allclose(norms, [norm for _, norm in theirs], rtol=atol)
    for name, value in torch_decoder.state_dict(state.params).items():
        # By norm: Adam turns rounding of one near-zero gradient into a whole step of that entry.
        parameter = trainer.decoder.get_parameter(name).detach()
        assert (value - parameter).norm() <= atol * parameter.norm(), name
    return np.array(losses), np.array(norms), np.array(rates)


def test_loss_curves_coincide_over_fifty_steps_of_the_recipe():
    """Warmup over N tokens, the peak and the cosine all lie in the run, and clipping acts in it."""
    recipe = Recipe(batch_sequences=32, sequence_length=64)
    warmup = costs.count_params(SMALL) / recipe.batch_tokens
    losses, norms, rates = check_curves(SMALL, recipe, atol=2e-5)
    assert 10 < warmup < 20 and rates.argmax() == pytest.approx(warmup, abs=1)
    assert rates[-1] < 0.01 * rates.max()
    assert norms.max() > recipe.clip_norm > norms.min()
    assert losses[-1] < losses[0] / 1.5


@pytest.mark.slow
def test_loss_curves_coincide_at_a_shape_of_the_ladder():
    """The 5M shape with 4,096 words; warmup is cut to a tenth of the run, as 50 steps are fewer than N tokens."""
    model = ModelConfig(vocab=4096, d_model=96, n_layers=3)
    recipe = Recipe(batch_sequences=8, sequence_length=128)
    recipe = Recipe(8, 128, warmup_tokens_per_param=5 * recipe.batch_tokens / costs.count_params(model))
    losses, _, _ = check_curves(model, recipe, atol=1e-3)
    assert losses[-1] < losses[0] - 0.3
