"""`--report FILE`: whether it can be written is said before anything is done."""

import os
from pathlib import Path

from streams.cli.running import refuse


def refuse_unwritable(report: Path | None) -> None:
    """Refuse a file that could not be written after all the work; touches nothing."""
    if report is None:
        return
    if report.is_dir():
        refuse(f"--report names a file: {report} is a directory.")
    if not report.parent.is_dir():
        refuse(f"The report cannot be written: there is no directory {report.parent}.")
    if not os.access(report if report.exists() else report.parent, os.W_OK):
        refuse(f"The report cannot be written to {report}: that is not allowed.")
