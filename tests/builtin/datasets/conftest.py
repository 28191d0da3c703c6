"""The real data of `tests/data`, for the data set components too."""

from tests.data.conftest import real_data as real_data
