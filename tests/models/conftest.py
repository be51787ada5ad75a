"""What holds for the decoder holds for each of its variants."""

import pytest


@pytest.fixture(scope='session')
def tiny(variant):
    """One of the variants, in place of the plain decoder."""
    return variant
