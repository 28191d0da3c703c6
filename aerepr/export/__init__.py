"""Decoders that leave Python."""
