"""What the pages say is run: each Python block, and what it prints."""

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"```python\n(.*?)```(?:\s+```text\n(.*?)```)?", re.DOTALL)


@pytest.mark.slow
def test_the_samplers_fault_is_as_the_page_says():
    (code, printed), *_ = BLOCK.findall((ROOT / "docs" / "published.md").read_text())
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {})
    assert out.getvalue() == printed
