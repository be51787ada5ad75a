"""OpenLM checkpoints: logits of an independent OpenLM in PyTorch, and a sentence for every file that is not whole."""

import argparse
import pickle
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2jax.interop.openlm import import_openlm
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.training.trained import open_trained, save_imported

torch = pytest.importorskip('torch', reason="torch is not installed; pip install '.[test]'")
from torch import nn  # noqa: E402

VOCAB, WIDTH, DEPTH, HIDDEN = 50, 32, 3, 256


class Rotary(nn.Module):
    """Turns pairs (i, i + K/2) of [batch, length, heads, K] by position x inv_freq."""

    def __init__(self, width, base):
        super().__init__()
        self.register_buffer('inv_freq', base ** -(torch.arange(0, width, 2).float() / width))

    def forward(self, x):
        angles = torch.arange(x.shape[1]).float()[:, None, None] * self.inv_freq
        turned = torch.polar(torch.ones_like(angles), angles) * torch.complex(*x.chunk(2, dim=-1))
        return torch.cat([turned.real, turned.imag], dim=-1)


class OpenAttention(nn.Module):
    def __init__(self, heads, base, qk_norm):
        super().__init__()
        self.heads = heads
        self.in_proj = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out_proj = nn.Linear(WIDTH, WIDTH, bias=False)
        self.pos_embed = Rotary(WIDTH // heads, base)
        self.q_norm = nn.LayerNorm(WIDTH, bias=False) if qk_norm else nn.Identity()
        self.k_norm = nn.LayerNorm(WIDTH, bias=False) if qk_norm else nn.Identity()

    def forward(self, x):
        q, k, v = self.in_proj(x).split(WIDTH, dim=-1)
        by_head = lambda part: part.reshape(*part.shape[:2], self.heads, -1)
        q, k = self.pos_embed(by_head(self.q_norm(q))), self.pos_embed(by_head(self.k_norm(k)))
        scores = torch.einsum('bqhk,bshk->bhqs', q, k) * q.shape[-1] ** -0.5
        ahead = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        weights = scores.masked_fill(ahead, float('-inf')).softmax(-1)
        return self.out_proj(torch.einsum('bhqs,bshk->bqhk', weights, by_head(v)).flatten(2))


class OpenFeedForward(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.w12, self.w3 = nn.Linear(WIDTH, 2 * hidden, bias=False), nn.Linear(hidden, WIDTH, bias=False)

    def forward(self, x):
        both = self.w12(x)
        half = both.shape[-1] // 2
        return self.w3(nn.functional.silu(both[..., :half]) * both[..., half:])


class OpenBlock(nn.Module):
    def __init__(self, heads, base, qk_norm, hidden):
        super().__init__()
        self.attention, self.feed_forward = OpenAttention(heads, base, qk_norm), OpenFeedForward(hidden)
        self.attention_norm, self.ffn_norm = nn.LayerNorm(WIDTH, bias=False), nn.LayerNorm(WIDTH, bias=False)

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.ffn_norm(x))


class OpenLM(nn.Module):
    """A decoder with OpenLM's names; every weight, gains too, is random."""

    def __init__(self, heads=4, base=10_000.0, qk_norm=True, hidden=HIDDEN):
        super().__init__()
        self.tok_embeddings = nn.Embedding(VOCAB, WIDTH)
        self.layers = nn.ModuleList(OpenBlock(heads, base, qk_norm, hidden) for _ in range(DEPTH))
        self.norm, self.output = nn.LayerNorm(WIDTH, bias=False), nn.Linear(WIDTH, VOCAB, bias=False)
        torch.manual_seed(7)
        for weight in self.parameters():
            nn.init.normal_(weight, 1.0 if weight.ndim == 1 else 0.0, 0.3)

    def forward(self, tokens):
        x = self.tok_embeddings(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.output(self.norm(x))


TOKENS = np.random.default_rng(0).integers(0, VOCAB, (2, 24))


def theirs(model):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for a busy core take longer than the work
    with torch.inference_mode():
        logits = model.eval()(torch.from_numpy(TOKENS)).numpy()
    torch.set_num_threads(threads)
    return logits


def ours(about, params):
    return np.asarray(transformer.forward(about.model, params, jnp.asarray(TOKENS)))


def is_close(about, params, logits):
    assert logits.std() > 0.5
    np.testing.assert_allclose(ours(about, params), logits, rtol=0, atol=1e-4)


@pytest.fixture
def write(tmp_path):
    """Save anything as a checkpoint and return its path."""

    def save(value, **options):
        path = tmp_path / 'epoch_1.pt'
        torch.save(value, path, **options)
        return path

    return save


@pytest.mark.parametrize(
    'shape',
    [{}, {'heads': 2}, {'base': 500_000.0}, {'base': 12_345.0}, {'qk_norm': False}, {'hidden': 112}, {'heads': 16}],
    ids=str,
)
def test_logits_are_openlms(write, shape):
    model = OpenLM(**shape)
    about, params = import_openlm(write(model.state_dict()))
    is_close(about, params, theirs(model))
    assert about.model.n_heads == shape.get('heads', 4) and about.model.qk_norm == shape.get('qk_norm', True)
    assert about.model.d_hidden == shape.get('hidden', HIDDEN)
    if shape.get('heads') != 16:  # heads two wide turn once, whatever the base
        assert about.model.rotary_base == shape.get('base', 10_000.0)


def test_params_are_those_of_a_model_of_ours(write):
    about, params = import_openlm(write(OpenLM().state_dict()), tokens=1e9, name='small', compute_dtype='bfloat16')
    shapes = jax.eval_shape(lambda: transformer.init_params(about.model, jax.random.key(0)))
    assert jax.tree.map(lambda x: (x.shape, x.dtype), params) == jax.tree.map(lambda x: (x.shape, x.dtype), shapes)
    assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves(params))
    assert (about.name, about.tokens, about.context) == ('small', 1e9, 2048)
    assert about.model == ModelConfig(VOCAB, WIDTH, DEPTH, 4, compute_dtype='bfloat16')


@pytest.mark.parametrize('prefix', ['module.', '_orig_mod.', '_orig_mod.module.', 'module._orig_mod.module.'])
def test_wrappers_and_a_training_state_around_the_weights_make_no_difference(write, prefix):
    model = OpenLM()
    optimizer = torch.optim.AdamW(model.parameters())
    saved = {
        'epoch': 1,
        'name': 'a run',
        'loss': np.float64(2.5),
        'step': np.int64(4),
        'args': argparse.Namespace(lr=3e-3, model='small', nested=argparse.Namespace(seed=np.float32(1))),
        'optimizer': optimizer.state_dict(),
        'state_dict': {prefix + name: value for name, value in model.state_dict().items()},
    }
    is_close(*import_openlm(write(saved)), theirs(model))


def test_a_compiled_block_inside_makes_no_difference(write):
    model = OpenLM()
    names = {name: name.replace('layers.1.', 'layers.1._orig_mod.') for name in model.state_dict()}
    is_close(*import_openlm(write({names[k]: v for k, v in model.state_dict().items()})), theirs(model))


def test_the_old_format_is_read(write):
    model = OpenLM()
    path = write({'state_dict': model.state_dict()}, _use_new_zipfile_serialization=False)
    is_close(*import_openlm(path), theirs(model))


@pytest.mark.parametrize('kind', ['float16', 'bfloat16'])
def test_weights_of_half_precision_are_read(write, kind):
    model = OpenLM(base=500_000.0).to(getattr(torch, kind))  # the rotary buffer as well
    about, params = import_openlm(write(model.state_dict()))
    rounded = OpenLM(base=500_000.0)
    rounded.load_state_dict({k: v.float() for k, v in model.state_dict().items() if 'inv_freq' not in k}, strict=False)
    is_close(about, params, theirs(rounded))
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype('float32')}


def test_without_the_rotary_buffer_heads_are_four_or_what_is_said(write):
    model = OpenLM(heads=2)
    path = write({name: value for name, value in model.state_dict().items() if 'inv_freq' not in name})
    assert import_openlm(path)[0].model.n_heads == 4
    is_close(*import_openlm(path, heads=2), theirs(model))


def test_a_model_of_the_papers_width_has_the_papers_config(write):
    about, _ = import_openlm(write(OpenLM().state_dict()))
    assert about.model.hidden_multiple == 256 and about.model.d_hidden == 256


def test_an_import_saved_and_opened_gives_the_same_logits(write, tmp_path, one_device):
    model = OpenLM()
    about, params = import_openlm(write(model.state_dict()), tokens=5e9)
    save_imported(tmp_path / 'imported', about, params)
    trained = open_trained(tmp_path / 'imported')
    assert trained.imported == about and trained.tokens == 5e9
    is_close(about, trained.load(one_device), theirs(model))


def renamed(state, old, new):
    return {new if name == old else name: value for name, value in state.items()}


FAULTS = {
    'missing': (lambda s: s.pop('layers.1.ffn_norm.weight'), r'it misses 1 \(layers\.1\.ffn_norm\.weight\)$'),
    'missing norm of q': (lambda s: s.pop('layers.2.attention.q_norm.weight'), r'misses 1 \(layers\.2\.att\S+q_norm'),
    'missing head': (lambda s: s.pop('output.weight'), r'misses 1 \(output\.weight\)'),
    'missing layer': (
        lambda s: [s.pop(name) for name in list(s) if name.startswith('layers.1.')],
        r'misses 8 \(layers\.1\..*has beyond it 8 \(layers\.2\.',
    ),
    'bias': (lambda s: s.update({'norm.bias': torch.zeros(WIDTH)}), r'it has beyond it 1 \(norm\.bias\)$'),
    'many': (
        lambda s: s.update({f'more.{i}': torch.zeros(1) for i in range(20)}),
        r'beyond it 20 \(more\.0-19\)$',
    ),
    'shape': (
        lambda s: s.update({'layers.0.attention.in_proj.weight': torch.zeros(WIDTH, 3 * WIDTH)}),
        r'another shape 1 \(layers\.0\.attention\.in_proj\.weight \(\[32, 96\], not \[96, 32\]',
    ),
    'integers': (
        lambda s: s.update({'norm.weight': torch.ones(WIDTH, dtype=torch.int8)}),
        r'no dense tensor of floats: 1 \(norm\.weight \(torch\.int8\)\); save',
    ),
    'no tensor': (
        lambda s: s.update({'norm.weight': 3}),
        r'no dense tensor of floats: 1 \(norm\.weight \(int\)\); save',
    ),
    'nan': (lambda s: s['output.weight'][3].fill_(float('nan')), r'not finite in 1 \(output\.weight\)'),
    'infinity': (lambda s: s['layers.0.ffn_norm.weight'].fill_(float('inf')), 'not finite in 1'),
    'twice': (
        lambda s: s.update({'module.norm.weight': torch.zeros(WIDTH)}),
        r'weights twice, wrapped and not: 2 \(norm\.weight, module\.norm\.weight\)',
    ),
    'narrow': (
        lambda s: [s.update({name: value[:, :80]}) for name, value in s.items() if 'w3' in name],
        'a SwiGLU of width 80, and at d_model 32 it has to be 85 rounded up',
    ),
    'another model': (lambda s: s.pop('tok_embeddings.weight'), r'no OpenLM model: it has no tok_embeddings'),
    'no layers': (
        lambda s: [s.pop(name) for name in list(s) if name.startswith('layers.')],
        r'epoch_1\.pt: model\.n_layers is 0',
    ),
    'unlike buffers': (
        lambda s: s['layers.2.attention.pos_embed.inv_freq'].mul_(2),
        'layers with unlike rotary positions',
    ),
    'scaled buffers': (
        lambda s: [value[1:].mul_(0.5) for name, value in s.items() if 'inv_freq' in name],
        r'inv_freq is not base\^\(-2i/K\)',
    ),
    'buffers of another width': (
        lambda s: [s.update({name: value[:3]}) for name, value in s.items() if 'inv_freq' in name],
        r'inv_freq \[3\] asks for heads 6 wide, which 32 does not split into',
    ),
    'buffers of integers': (
        lambda s: [s.update({name: value.int()}) for name, value in s.items() if 'inv_freq' in name],
        r'no dense tensor of floats: 3 \(layers\.0-2\.attention\.pos_embed\.inv_freq \(torch\.int32\)\)',
    ),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_a_model_that_is_not_whole_is_refused_by_name(write, fault):
    damage, sentence = FAULTS[fault]
    state = OpenLM().state_dict()
    damage(state)
    with pytest.raises(ValueError, match=sentence) as caught:
        import_openlm(write(state))
    assert 'epoch_1.pt' in str(caught.value) and '\n' not in str(caught.value)


ODD = {
    'meta': lambda value: value.to('meta'),
    'sparse': lambda value: value.to_sparse(),
    'complex': lambda value: value.to(torch.complex64),
    'a number': lambda value: np.float64(1.5),
    'a namespace': lambda value: argparse.Namespace(shape=tuple(value.shape), dtype=value.dtype),
    'a list': lambda value: value.tolist(),
}


@pytest.mark.parametrize('odd', ODD)
@pytest.mark.parametrize(
    'name', ['tok_embeddings.weight', 'layers.0.feed_forward.w3.weight', 'layers.0.attention.pos_embed.inv_freq']
)
def test_what_is_no_dense_tensor_of_floats_is_refused_by_name(write, name, odd):
    state = OpenLM().state_dict()
    state[name] = ODD[odd](state[name])
    with pytest.raises(
        ValueError, match=rf'epoch_1\.pt has what is no dense tensor of floats: 1 \({re.escape(name)} \('
    ):
        import_openlm(write(state))


def test_parameters_that_want_gradients_are_weights(write):
    model = OpenLM()
    state = {name: nn.Parameter(value) for name, value in model.state_dict().items()}
    is_close(*import_openlm(write(state)), theirs(model))


def test_layers_of_the_same_fault_are_told_as_runs(write):
    state = {name: value for name, value in OpenLM().state_dict().items() if 'ffn_norm' not in name}
    with pytest.raises(ValueError, match=r'it misses 3 \(layers\.0-2\.ffn_norm\.weight\)$'):
        import_openlm(write(state))


def test_all_faults_come_in_one_sentence(write):
    state = renamed(OpenLM().state_dict(), 'norm.weight', 'final.weight')
    state['output.weight'] = torch.zeros(VOCAB + 1, WIDTH)
    sentence = r'it misses 1 \(norm\.weight\); it has beyond it 1 \(final\.weight\); it has of another shape 1 \(output'
    with pytest.raises(ValueError, match=sentence):
        import_openlm(write(state))


@pytest.mark.parametrize(('heads', 'sentence'), [(8, 'has 4 heads by its .*inv_freq, not 8')])
def test_other_heads_than_the_buffers_are_refused(write, heads, sentence):
    with pytest.raises(ValueError, match=sentence):
        import_openlm(write(OpenLM().state_dict()), heads=heads)


def test_heads_that_do_not_split_the_width_are_refused_with_the_file(write):
    state = {name: value for name, value in OpenLM().state_dict().items() if 'inv_freq' not in name}
    with pytest.raises(ValueError, match=r'epoch_1\.pt: model\.d_model 32 does not split into 3 heads'):
        import_openlm(write(state), heads=3)


class Trap:
    """Makes a file when it is unpickled as pickle does."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), 'w')


@pytest.mark.parametrize('place', ['beside', 'inside', 'alone'])
@pytest.mark.parametrize('new', [True, False], ids=['zip', 'legacy'])
def test_code_in_a_pickle_is_named_and_not_run(write, tmp_path, new, place):
    trap, state = Trap(tmp_path / 'sprung'), OpenLM().state_dict()
    value = {
        'beside': {'hook': trap, 'state_dict': state},
        'inside': {'state_dict': {**state, 'x': trap}},
        'alone': trap,
    }[place]
    path = write(value, _use_new_zipfile_serialization=new)
    with pytest.raises(ValueError, match=r'epoch_1\.pt .*more than weights in it \(\w*\.?open\), which was not run'):
        import_openlm(path)
    assert not (tmp_path / 'sprung').exists()
    torch.load(path, weights_only=False)  # the trap works
    assert (tmp_path / 'sprung').exists()


def test_a_plain_pickle_with_code_is_not_run(tmp_path):
    path = tmp_path / 'model.pt'
    path.write_bytes(pickle.dumps(Trap(tmp_path / 'sprung'), protocol=2))
    with pytest.raises(ValueError, match=r'model\.pt is '):
        import_openlm(path)
    assert not (tmp_path / 'sprung').exists()


@pytest.mark.parametrize('content', [b'', b'not a checkpoint at all', b'PK\x03\x04 neither', b'\x80\x02cos\nsystem\n.'])
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / 'model.pt'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'model\.pt is (not a PyTorch checkpoint|a pickle with more)') as caught:
        import_openlm(path)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('new', [True, False], ids=['zip', 'legacy'])
@pytest.mark.parametrize('share', [0.1, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(write, new, share):
    path = write(OpenLM().state_dict(), _use_new_zipfile_serialization=new)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r'epoch_1\.pt is not a PyTorch checkpoint, or not all of one'):
        import_openlm(path)


@pytest.mark.parametrize('value', [[1, 2], torch.zeros(3), {'state_dict': None}], ids=lambda v: type(v).__name__)
def test_a_file_without_a_state_dict_is_refused(write, value):
    with pytest.raises(ValueError, match='no state dict; save the model.state_dict'):
        import_openlm(write(value))


def test_a_missing_file_is_an_error_of_its_own(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(f'no checkpoint file {tmp_path / "gone.pt"}')):
        import_openlm(tmp_path / 'gone.pt')


def test_without_torch_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch', None)
    with pytest.raises(ValueError, match=r"not installed; pip install 't2jax\[interop\]'"):
        import_openlm(tmp_path / 'model.pt')


def test_the_tests_model_is_of_random_gains():
    gains = [weight for weight in OpenLM().parameters() if weight.ndim == 1]
    assert len(gains) == 4 * DEPTH + 1 and all(gain.std() > 0.1 for gain in gains)
