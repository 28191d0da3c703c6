"""Priors whose structure the aggregate posterior is to take on."""
