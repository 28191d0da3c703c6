"""The real data of the core's tests."""

from tests.data.conftest import real_data as real_data
