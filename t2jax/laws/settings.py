"""How the laws of a study are fitted and tested."""

from dataclasses import dataclass

from t2jax.laws.search import OBJECTIVES


@dataclass(frozen=True)
class LawSettings:
    """The objective of every fit, its random starts, which runs are kept from the test, and how sure we want to be."""

    objective: str = 'sse'
    starts: int = 500
    overtrained_from: float = 300.0  # tokens per parameter; runs beyond are held out to test extrapolation
    refits: int = 200  # to runs drawn again, for the bands of an answer; 0: none

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise ValueError(f'laws.objective is {self.objective!r}; use {" or ".join(OBJECTIVES)}')
        if self.starts < 1:
            raise ValueError(f'laws.starts is {self.starts}; it has to be at least 1')
        if self.refits < 0:
            raise ValueError(f'laws.refits is {self.refits}; it has to be at least 0')
