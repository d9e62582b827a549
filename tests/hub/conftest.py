"""A hub that runs during a test."""

import pytest

from tests.hub.server import Hub


@pytest.fixture
def hub():
    running = Hub()
    running.start()
    yield running
    running.stop()  # a test that stops the hub starts it again
