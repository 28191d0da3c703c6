"""Objectives of flow factorized representations."""
