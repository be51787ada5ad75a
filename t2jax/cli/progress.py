"""Progress of long work on the terminal: done, rate and time left."""

from typing import Any, Self


class LateBar:
    """A progress bar that appears with the first news, so that a refusal stands alone."""

    def __init__(self, unit: str, name: str, shown: bool) -> None:
        self._unit, self._name, self._shown, self._bar = unit, name, shown, None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        if self._bar:
            self._bar.close()

    def progress(self, done: float, total: float, resumed: bool) -> None:
        """Move on, without a claim to speed for what an earlier call has drawn."""
        from tqdm import tqdm

        if not self._shown:
            return
        self._bar = self._bar or tqdm(unit=self._unit, unit_scale=True, desc=self._name, mininterval=1)
        self._bar.total = total
        self._bar.initial += done if resumed else 0
        self._bar.update(done)
