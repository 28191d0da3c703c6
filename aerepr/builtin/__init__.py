"""The components that ship with the core, shaped exactly like a plugin."""
