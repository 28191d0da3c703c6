"""What terms that compare a batch with the prior ask of its size."""

from __future__ import annotations


def require_several(codes: int, training: bool, term: str) -> None:
    """Refuse a training batch of one code; what is left of a validation split may be one.

    Raises:
        ValueError: says what to set.
    """
    if training and codes < 2:
        raise ValueError(
            f"{term} compares the codes of a batch with the prior, and the batch has {codes}: set train.batch_size to 2 or more"
        )
