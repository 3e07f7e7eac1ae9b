"""The errors that a user meets: one sentence each, with a place and what to do."""


class OrzeError(Exception):
    """A fault that ends a command with one clear sentence and no traceback."""

    exit_code = 2


class ConfigError(OrzeError):
    """Every fault found in orze.yaml or on the command line, told at once.

    Args:
        problems: one sentence each, beginning with `file:line:` where there is one.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class MountError(OrzeError):
    """The directory of the results cannot carry the protocol."""


class GpuError(OrzeError):
    """A card was asked for that is not there, or the driver does not answer."""
