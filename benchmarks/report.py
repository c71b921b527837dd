"""Where benchmarks write what they measured, and on what machine."""

import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch

RESULTS = Path(__file__).parent.parent / "docs" / "results.md"


def machine() -> str:
    """Name processor, cores, GPU, torch and how busy the machine is, in words."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists() and (found := re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.M)):
        cpu = found[1].strip()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{cpu} with {os.cpu_count()} cores, of which torch uses {torch.get_num_threads()}{load}; "
        f"{gpu}; torch {torch.__version__}, Python {platform.python_version()}"
    )


def spread(values: Sequence[float], unit: str, digits: int = 1) -> str:
    """Write the median and, in brackets, the least and the greatest value."""
    low, high = min(values), max(values)
    return f"{median(values):.{digits}f} {unit} ({low:.{digits}f}–{high:.{digits}f})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a Markdown table, numbers to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def publish(name: str, text: str) -> None:
    """Print Markdown and put it between this benchmark's markers in docs/results.md."""
    print(text)
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    page = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else "# Results\n"
    if start not in page:
        page = f"{page.rstrip()}\n\n{start}\n{end}\n"
    before, rest = page.split(start)
    after = rest.split(end)[1]
    RESULTS.write_text(f"{before}{start}\n{text}\n{end}{after}", encoding="utf-8")
