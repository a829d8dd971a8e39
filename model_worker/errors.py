"""What is said of a checkpoint that cannot be used."""


class ModelError(ValueError):
    """A checkpoint that cannot be used; the message says why and what to change."""
