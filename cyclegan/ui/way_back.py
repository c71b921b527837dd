"""The way back of a result that is kept, for whoever asks: the page's client, or a download."""

from collections.abc import Callable

from cyclegan.ui.models import Shelf
from cyclegan.ui.results import Result, ResultStore
from cyclegan.ui.translation import Step, way_back

Recover = Callable[[str], Result]
"""Gives the result of a token with its way back, if its model knows one. Raises UserError."""


def make_recover(shelf: Shelf, store: ResultStore, step: Step) -> Recover:
    """Make the function that translates results back, each once. Safe under threads."""

    def recover(token: str) -> Result:
        with store.open(token).turn:
            # Somebody else may have had it made meanwhile.
            result = store.open(token)
            if result.recovered or not result.two_ways:
                return result
            return store.add_recovered(token, way_back(step, shelf, result.there()))

    return recover
