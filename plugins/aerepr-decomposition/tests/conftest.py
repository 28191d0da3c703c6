"""The real data of `tests/data`, for the recipes too."""

from tests.data.conftest import real_data as real_data
