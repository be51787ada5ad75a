"""What a study is: its world, its grid of runs, and how they are trained, measured and fitted. A page of values."""

import dataclasses
import math

from t2jax import costs
from t2jax.data.world import World
from t2jax.evaluation import runner
from t2jax.laws.settings import LawSettings
from t2jax.mesh import Layout
from t2jax.models.config import ModelConfig
from t2jax.posttraining.settings import FineTuning
from t2jax.training.recipe import Recipe
from t2jax.training.runs import RunConfig

LAYOUT = Layout(steps_per_dispatch=256)  # models of a millisecond a step: the host looks seldom


@dataclasses.dataclass(frozen=True)
class GridRun:
    """One run of a grid: a model and how many tokens it is trained on."""

    name: str
    model: ModelConfig
    tokens: float


@dataclasses.dataclass(frozen=True)
class PostTraining:
    """Which tasks every run is fine-tuned on, and how: T2's third question. Without tasks, none is."""

    tasks: tuple[str, ...] = ()
    train_questions: int = 192
    validation_questions: int = 64
    tuning: FineTuning = FineTuning()
    refits: int = 200  # of every law of every stage, for the intervals of its optimum

    def __post_init__(self) -> None:
        if self.refits < 1:
            raise ValueError(f'posttraining.refits is {self.refits}; it has to be at least 1')


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """Everything that decides a study's outcome, and `workdir`, where it goes."""

    workdir: str
    seed: int  # of initial params and of data order; the world has its own
    world: World
    recipe: Recipe
    runs: tuple[GridRun, ...]
    inference_flops: float  # C_inf of the allocation: FLOPs of all samples, per served token
    evaluation: runner.Evaluation = runner.Evaluation()
    laws: LawSettings = LawSettings()
    posttraining: PostTraining = PostTraining()
    runs_at_once: int = 2  # small runs side by side, one a device; a CPU is split into this many

    def __post_init__(self) -> None:
        names = [run.name for run in self.runs]
        if not names:
            raise ValueError('the study has no runs; its grid needs at least one')
        if len(set(names)) < len(names):
            raise ValueError(f'run names repeat: {sorted({n for n in names if names.count(n) > 1})}; rename them')
        if not 0 < self.inference_flops < math.inf:
            raise ValueError(f'inference_flops is {self.inference_flops}; a budget has to be above 0 and finite')
        if self.runs_at_once < 1:
            raise ValueError(f'runs_at_once is {self.runs_at_once}; it has to be at least 1')

    def run_configs(self) -> list[RunConfig]:
        """Return the grid as full training configs."""
        return [RunConfig(r.name, r.model, r.tokens, self.recipe, self.seed, LAYOUT) for r in self.runs]

    def sizes(self) -> dict[str, tuple[float, float]]:
        """Return N and D of each run, D in whole steps as really trained."""
        steps = {run.name: self.recipe.steps(run.tokens) for run in self.runs}
        return {
            run.name: (costs.count_params(run.model), steps[run.name] * self.recipe.batch_tokens) for run in self.runs
        }
