"""What is said of an evaluation that cannot run."""


class EvalError(RuntimeError):
    """Data, results or options that cannot be used together; the message says what to change."""


class ChoiceError(EvalError):
    """An option with a value that it cannot have."""
