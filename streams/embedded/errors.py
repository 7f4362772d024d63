"""What can be wrong with the embedded stack, each as a sentence and what to do about it."""


class EmbeddedError(Exception):
    """The embedded stack cannot do what was asked."""

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__(f"{sentence}\n{hint}" if hint else sentence)
        self.sentence = sentence
        self.hint = hint


class ArtifactsMissingError(EmbeddedError):
    """Kafka's jars are neither in the cache nor to be had over the network."""


class RuntimeMissingError(EmbeddedError):
    """A wheel that carries a server or the Java runtime is not installed."""


class StateDirectoryError(EmbeddedError):
    """The state directory cannot be written, is full, or cannot be locked."""


class PartFailedError(EmbeddedError):
    """A part of the stack does not start."""


class AlreadyRunningError(EmbeddedError):
    """Another process supervises this state directory."""


class StackAwayError(EmbeddedError):
    """An address is neither set nor known from a running stack."""
