"""What all commands raise."""

from cyclegan.errors import UserError


class CommandError(UserError):
    """A command that was asked for what cannot be done."""
