"""Many runs as one: what a study file asks for, and how far it has come on disk."""
