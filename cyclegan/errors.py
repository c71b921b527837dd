"""The one kind of error that people see."""


class UserError(Exception):
    """Something that the person at the keyboard can mend.

    Its text is one sentence that says what is wrong, where, and what to do. The command line
    prints it and exits with code 2; the page shows it; a traceback is never shown for it.
    """

    exit_code = 2
