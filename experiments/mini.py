"""The mini study: Train-to-Test from end to end on two CPU cores, nothing downloaded.

    t2jax study experiments/mini.py

22 decoders of 3k to 90k params learn a small generated world of 85 words at four training budgets, 5e10 to 4e11
FLOPs. Each is measured by its loss on held-out text, and on 4 x 256 questions by likelihood and by 64 real samples a
question. Chinchilla's law and T2's two approaches are fitted; every budget is allocated twice: for one answer, and for
all the samples that 1e6 FLOPs per served token buy.
"""

from configs import grid, ladder, recipe
from t2jax.data.world import World
from t2jax.posttraining.settings import FineTuning
from t2jax.study_config import PostTraining, StudyConfig

WORLD = World(seed=0)
SMALLEST, *OTHERS = ladder.mini(len(WORLD.vocabulary()))

# Below 5e10 FLOPs no size has learnt to look back in its context; each further budget doubles the time of the study.
BUDGETS = (5e10, 1e11, 2e11, 4e11)

STUDY = StudyConfig(
    workdir='out/mini',
    seed=0,
    world=WORLD,
    recipe=recipe.MINI,
    # The smallest size brackets the low budgets; at the high ones it alone would take as long as all the others.
    runs=grid.isoflop([SMALLEST], BUDGETS[:2]) + grid.isoflop(OTHERS, BUDGETS),
    posttraining=PostTraining(
        tasks=('knowledge', 'arithmetic', 'spatial'),  # of the fourth, causal, the test asks every fact there is
        # the paper's rate, and two for models as small as these, up to a quarter of what they were trained at
        tuning=FineTuning(learning_rates=(2e-5, 2e-4, 2e-3), together=24, steps_per_dispatch=64),
        refits=100,
    ),
    inference_flops=1e6,  # 5 samples of the largest model, 150 of the smallest
)
