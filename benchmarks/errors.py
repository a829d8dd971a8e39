"""What a benchmark says when it cannot run as it was asked to."""


class OptionError(ValueError):
    """A value that a benchmark cannot take; the message says what to change."""
