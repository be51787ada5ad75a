"""How models are fine-tuned: the two stages, learning rates, epochs, batch (T2, "Post-training")."""

import dataclasses

# They differ in the tokens that count towards the loss and in nothing else: of prompt and answer, or of the answer.
STAGES = ('ft', 'sft')


@dataclasses.dataclass(frozen=True)
class FineTuning:
    """How models are fine-tuned; the defaults are the paper's."""

    stages: tuple[str, ...] = STAGES
    learning_rates: tuple[float, ...] = (2e-5,)  # constant, each tried
    epochs: int = 6
    batch: int = 8
    seed: int = 0  # of the order of questions
    together: int = 1  # fine-tunings of one model shape that are trained at once, under vmap
    steps_per_dispatch: int = 8
    checkpoint_steps: int = 0  # how often an unfinished fine-tuning is saved; 0: at its end alone

    def __post_init__(self) -> None:
        if not self.stages or not set(self.stages) <= set(STAGES):
            raise ValueError(f'stages are {", ".join(self.stages) or "none"}; use {" or ".join(STAGES)} or both')
        if not self.learning_rates or min(self.learning_rates) <= 0:
            raise ValueError(f'learning_rates are {self.learning_rates}; give at least one, each above 0')
        if len(set(map(spell, self.learning_rates))) < len(self.learning_rates):
            raise ValueError(f'of the learning_rates {self.learning_rates} two are the same; leave one out')
        for name in ('epochs', 'batch', 'together', 'steps_per_dispatch'):
            if getattr(self, name) < 1:
                raise ValueError(f'{name} is {getattr(self, name)}; it has to be at least 1')


def spell(rate: float) -> str:
    """Write a learning rate, as names of runs have it."""
    return f'{rate:.3g}'
