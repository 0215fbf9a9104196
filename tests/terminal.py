"""Programs run in a terminal of their own, as a person sees them."""

from __future__ import annotations

import os
import pty
import select
from collections.abc import Callable, Mapping, Sequence


def in_a_terminal(
    arguments: Sequence[str],
    env: Mapping[str, str] | None = None,
    press: Callable[[int], bool] = lambda pid: False,
) -> tuple[int, str]:
    """The exit code and all that a program writes; `press(pid)` says when Ctrl-C is pressed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(arguments[0], arguments, {**os.environ, **(env or {}), "TERM": "xterm"})
    text, is_pressed = b"", False
    while True:
        ready, _, _ = select.select([terminal], [], [], 0.05)
        try:
            chunk = os.read(terminal, 1 << 16) if ready else None
        except OSError:  # how Linux tells that the other side has closed
            break
        if chunk == b"":
            break
        text += chunk or b""
        if not is_pressed and press(pid):
            is_pressed = True
            os.write(terminal, b"\x03")
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)
    return code, text.decode(errors="replace")
