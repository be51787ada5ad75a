"""Models that others trained and published, to lay over an allocation: how far from Chinchilla practice has gone.

N is as published, some exact and some rounded to a name: the total with embeddings (of Gemma 3 without the vision
encoder). This project counts no input embedding, but the head: the same where both are one matrix (Gemma, small Qwen,
LFM2.5, OLMo 1B), and less by vocabulary x width where they are two (Llama, larger Qwen, OLMo 7B). D counts pre-training
tokens,
repeats included; "15T+" and "up to" are read as that number. C = 6 N D leaves out attention, distillation and
post-training, and takes LFM2.5, which has convolutions beside attention, for a decoder like the others.
"""

from dataclasses import dataclass

from t2jax import costs


@dataclass(frozen=True)
class PublicModel:
    """A published model: `params` N and `tokens` D; `source` is an arXiv id or the name of a model card."""

    name: str
    params: float
    tokens: float
    source: str

    @property
    def tokens_per_param(self) -> float:
        """D/N."""
        return self.tokens / self.params

    @property
    def train_flops(self) -> float:
        """C = 6 N D."""
        return costs.train_flops(self.params, self.tokens)


# In the order in which a figure names them where there is no room for all.
PUBLIC_MODELS = (
    PublicModel('Chinchilla 70B', 70e9, 1.4e12, 'arXiv 2203.15556'),
    PublicModel('LFM2.5 350M', 350e6, 28e12, 'model card LiquidAI/LFM2.5-350M'),
    PublicModel('Llama 3.1 405B', 405e9, 15.6e12, 'arXiv 2407.21783'),
    PublicModel('Qwen3 0.6B', 0.6e9, 36e12, 'arXiv 2505.09388'),
    PublicModel('Llama 1 7B', 6.7e9, 1.0e12, 'arXiv 2302.13971'),
    PublicModel('Gemma 3 27B', 27.0e9, 14e12, 'arXiv 2503.19786'),
    PublicModel('Llama 3.1 8B', 8e9, 15e12, 'model card meta-llama/Llama-3.1-8B'),
    PublicModel('OLMo 1B', 1e9, 3e12, 'model card allenai/OLMo-1B-hf'),
    PublicModel('Qwen2.5 72B', 72.7e9, 18e12, 'arXiv 2412.15115'),
    PublicModel('Gemma 1 2B', 2.5e9, 3e12, 'arXiv 2403.08295'),
    PublicModel('Llama 2 70B', 70e9, 2e12, 'arXiv 2307.09288'),
    PublicModel('Qwen3 8B', 8.2e9, 36e12, 'arXiv 2505.09388'),
    PublicModel('OLMo 2 32B', 32e9, 6e12, 'model card allenai/OLMo-2-0325-32B'),
    PublicModel('Gemma 3 1B', 1.0e9, 2e12, 'arXiv 2503.19786'),
    PublicModel('Llama 1 65B', 65.2e9, 1.4e12, 'arXiv 2302.13971'),
    PublicModel('Llama 2 7B', 7e9, 2e12, 'arXiv 2307.09288'),
    PublicModel('Llama 2 13B', 13e9, 2e12, 'arXiv 2307.09288'),
    PublicModel('Llama 3.1 70B', 70e9, 15e12, 'model card meta-llama/Llama-3.1-70B'),
    PublicModel('Gemma 1 7B', 8.5e9, 6e12, 'arXiv 2403.08295'),
    PublicModel('Gemma 2 2B', 2.6e9, 2e12, 'arXiv 2408.00118'),
    PublicModel('Gemma 2 9B', 9.2e9, 8e12, 'arXiv 2408.00118'),
    PublicModel('Gemma 2 27B', 27.2e9, 13e12, 'arXiv 2408.00118'),
    PublicModel('Gemma 3 4B', 3.9e9, 4e12, 'arXiv 2503.19786'),
    PublicModel('Gemma 3 12B', 11.8e9, 12e12, 'arXiv 2503.19786'),
    PublicModel('Qwen2.5 0.5B', 0.49e9, 18e12, 'arXiv 2412.15115'),
    PublicModel('Qwen2.5 7B', 7.6e9, 18e12, 'arXiv 2412.15115'),
    PublicModel('Qwen3 32B', 32.8e9, 36e12, 'arXiv 2505.09388'),
    PublicModel('OLMo 7B', 7e9, 2.5e12, 'model card allenai/OLMo-1B-hf'),
    PublicModel('OLMo 2 7B', 7e9, 4e12, 'model card allenai/OLMo-2-1124-7B'),
    PublicModel('OLMo 2 13B', 13e9, 5e12, 'model card allenai/OLMo-2-1124-13B'),
)
