"""Regularizers that match the aggregate posterior to the prior."""
