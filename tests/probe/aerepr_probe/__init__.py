"""Third-party components that try the contracts of aerepr from outside."""
