"""Reports as files: `--report FILE`, and what is kept for the console by itself."""

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ledger.adapters.report_directory import ReportDirectory
from ledger.config import Settings
from streams.cli.running import complain, refuse


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


def keep_report(settings: Settings, kind: str, at: datetime, document: Mapping[str, Any], page: str) -> None:
    """Keep a report in LEDGER_REPORTS_DIR, where that is set; what cannot be kept is told, and fails nothing."""
    if settings.reports_dir is None:
        return
    directory, name = ReportDirectory(settings.reports_dir), f"{kind}-{at:%Y%m%dT%H%M%S.%fZ}"
    try:
        directory.write(f"{name}.json", json.dumps(document, default=str, indent=2).encode())
        directory.write(f"{name}.html", page.encode())
    except OSError as error:
        complain(f"The report could not be kept for the console: {error}.")
