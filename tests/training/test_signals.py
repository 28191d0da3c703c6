"""Signals are remembered until the loop stops, and handled by others again afterwards."""

from __future__ import annotations

import os
import signal

import pytest

from aerepr.training.signals import Signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_kept_and_the_handler_put_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Signals() as signals:
        assert signals.caught is None
        os.kill(os.getpid(), number)
        assert signals.caught == number
        os.kill(os.getpid(), signal.SIGTERM)  # a second request changes nothing
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_stops_at_once() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Signals():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
