"""Structural similarity against its definition, window by window, and against scikit-image where it is installed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from aerepr.layers.ssim import WINDOW, ssim


@pytest.fixture
def pairs() -> tuple[torch.Tensor, torch.Tensor]:
    """Four pairs of images, not square: noise beside noise, and a smooth picture beside ever more noise."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(4, 3, 17, 14, generator=generator)
    x[1:] = torch.linspace(0, 1, 14).sin()
    noise = torch.rand(4, 3, 17, 14, generator=generator)
    share = torch.tensor([1.0, 0.02, 0.2, 0.6])[:, None, None, None]
    return x, (1 - share) * x + share * noise


def slow(x: np.ndarray, y: np.ndarray) -> float:
    """Of one channel, (H, W): a loop over windows."""
    place = np.arange(11) - 5
    window = np.exp(-(place[:, None] ** 2 + place[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    found = []
    for i in range(x.shape[0] - 10):
        for j in range(x.shape[1] - 10):
            a, b = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
            m_a, m_b = (window * a).sum(), (window * b).sum()
            v_a, v_b = (window * (a - m_a) ** 2).sum(), (window * (b - m_b) ** 2).sum()
            c = (window * (a - m_a) * (b - m_b)).sum()
            found.append((2 * m_a * m_b + 1e-4) * (2 * c + 9e-4) / ((m_a**2 + m_b**2 + 1e-4) * (v_a + v_b + 9e-4)))
    return float(np.mean(found))


def test_it_is_the_mean_over_windows_and_channels(pairs):
    x, y = (images.double() for images in pairs)
    expected = [
        np.mean([slow(a, b) for a, b in zip(u, v, strict=True)]) for u, v in zip(x.numpy(), y.numpy(), strict=True)
    ]
    assert_close(ssim(*pairs), torch.tensor(expected), rtol=1e-9, atol=1e-10)
    assert expected[1] > expected[2] > expected[3] > expected[0]


def test_scikit_image_says_the_same(pairs):
    metrics = pytest.importorskip("skimage.metrics")
    expected = [
        metrics.structural_similarity(
            x, y, data_range=1.0, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        for x, y in zip(*(images.double().numpy() for images in pairs), strict=True)
    ]
    assert_close(ssim(*pairs), torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-10)


def test_what_is_equal_scores_1_and_what_is_inverted_less_than_0(pairs):
    x, _ = pairs
    assert_close(ssim(x, x), torch.ones(4, dtype=torch.float64))
    assert float(ssim(x[:1], 1 - x[:1])) < 0


def test_flat_images_are_compared_by_their_level():
    a, b = torch.full((1, 1, WINDOW, WINDOW), 0.2), torch.full((1, 1, WINDOW, WINDOW), 0.8)
    assert float(ssim(a, b)) == pytest.approx((2 * 0.2 * 0.8 + 1e-4) / (0.2**2 + 0.8**2 + 1e-4), rel=1e-5)
