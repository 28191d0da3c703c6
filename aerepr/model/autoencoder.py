"""The autoencoder: five parts, composed, and nothing of any particular model."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from aerepr.kinds.batch import Batch
from aerepr.kinds.decoder import Decoder
from aerepr.kinds.encoder import Encoder
from aerepr.kinds.likelihood import Likelihood
from aerepr.kinds.posterior import Posterior
from aerepr.kinds.prior import Prior
from aerepr.kinds.step import Step


class Autoencoder(nn.Module):
    """Encoder, posterior, prior, decoder, likelihood.

    Args:
        features: width of vector data that is standardised, whose mean and deviation are then buffers of the model.
    """

    def __init__(
        self,
        encoder: Encoder,
        posterior: Posterior,
        prior: Prior,
        decoder: Decoder,
        likelihood: Likelihood,
        features: int | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.posterior = posterior
        self.prior = prior
        self.decoder = decoder
        self.likelihood = likelihood
        self.standardized = features is not None
        self.offset: Tensor
        self.scale: Tensor
        if features is not None:
            self.register_buffer("offset", torch.zeros(features))
            self.register_buffer("scale", torch.ones(features))

    def normalise(self, x: Tensor) -> Tensor:
        """Data units to what the encoder sees; the identity unless the data is standardised."""
        return (x - self.offset) / self.scale if self.standardized else x

    def denormalise(self, x: Tensor) -> Tensor:
        """The inverse of `normalise`: what the encoder sees to data units."""
        return x * self.scale + self.offset if self.standardized else x

    def draw(self, step: Step) -> Step:
        """Fill in the encoder's half of a step: parameters, distributions, code drawn in `step.mode`."""
        return self.drawn(step, self.encoder(step.batch.first))

    def drawn(self, step: Step, params_BDK: Tensor) -> Step:
        """The same, of parameters that the encoder gave before."""
        z_BD = self.posterior.draw(params_BDK, self._noise(params_BDK, step), step.mode)
        posterior = self.posterior(params_BDK)
        return replace(
            step, params_BDK=params_BDK, posterior=posterior, prior=self.prior(), prior_map=self.prior, z_BD=z_BD
        )

    def _noise(self, params_BDK: Tensor, step: Step) -> Tensor:
        if step.mode == "sample":
            return step.noise("posterior", self.posterior.noise, self.posterior.noise_shape)
        return params_BDK.new_zeros(params_BDK.shape[0], *self.posterior.noise_shape)

    def infer(self, step: Step) -> Step:
        """Fill in a step: as `draw`, and the decoder's output with its likelihood."""
        step = self.draw(step)
        raw = self.decoder(step.z_BD)
        return replace(step, raw=raw, likelihood=self.likelihood(raw))

    def represent(self, batch: Batch) -> Tensor:
        """Codes (B, D) of a batch in `represent` mode."""
        return self._code(batch.first)

    def encode(self, x: Tensor) -> Tensor:
        """Codes (B, D) of data in data units, in `represent` mode."""
        return self._code(self.normalise(x))

    def decode(self, z_BD: Tensor) -> Tensor:
        """Decoded examples (B, *shape) in data units: the likelihood's mean."""
        return self.denormalise(self.likelihood.mean(self.decoder(z_BD)))

    def forward(self, x: Tensor) -> Tensor:
        """Reconstructions of data in data units."""
        return self.decode(self.encode(x))

    def _code(self, x: Tensor) -> Tensor:
        params_BDK = self.encoder(x)
        # A deterministic mode ignores the noise, so zeros of the right shape serve.
        noise = params_BDK.new_zeros(params_BDK.shape[0], *self.posterior.noise_shape)
        return self.posterior.draw(params_BDK, noise, "represent")
