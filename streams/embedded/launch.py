"""Run as a script: ties a server's life to its supervisor's, gives up root's rights, and becomes the server.

Arguments: the supervisor's pid, the signal for when it dies, how far it lets others go first, the uid (-1: stay),
the gid, the capability to keep (-1: none), then the command. It imports nothing of this project, so that it starts in
milliseconds.
"""

import ctypes
import os
import sys
import time
from contextlib import suppress

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAPABILITY_VERSION_3 = 0x20080522
WEIGHING_TRIES = 10


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable"))


def control(option: int, *arguments: int) -> None:
    """prctl(2); raises OSError."""
    padded = (*arguments, 0, 0, 0, 0)[:4]
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, *(ctypes.c_ulong(value) for value in padded)) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def keep_only(capability: int) -> None:
    """Hold this capability and no other, also after exec."""
    library = ctypes.CDLL(None, use_errno=True)
    bits = 1 << capability
    sets = (_Sets * 2)(_Sets(bits, bits, bits), _Sets(0, 0, 0))
    if library.capset(ctypes.byref(_Header(CAPABILITY_VERSION_3, 0)), sets) != 0:
        raise OSError(ctypes.get_errno(), "capset")
    control(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)


def become(uid: int, gid: int, capability: int) -> None:
    """Change to the account, for good."""
    if capability >= 0:
        control(PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if capability >= 0:
        keep_only(capability)


def yield_to_others(niceness: int) -> None:
    """Let other processes go first."""
    os.nice(niceness)
    with suppress(OSError):
        weigh_session(niceness)


def weigh_session(niceness: int) -> None:
    """Have Linux weigh this session less, where it weighs sessions; raises OSError.

    All who are not root may do so ten times a second together.
    """
    group = os.open("/proc/self/autogroup", os.O_WRONLY)
    try:
        for _ in range(WEIGHING_TRIES):
            with suppress(BlockingIOError):
                os.write(group, b"%d" % niceness)
                return
            time.sleep(0.11)
    finally:
        os.close(group)


def follow(supervisor: int, signal_number: int) -> None:
    """Have the kernel send the signal when the supervisor dies, however it dies (Linux only)."""
    if sys.platform == "linux":
        # Last, since a change of account takes the wish back.
        control(PR_SET_PDEATHSIG, signal_number)
    if os.getppid() != supervisor:
        sys.exit("the supervisor is gone")


def main(arguments: list[str]) -> None:
    """Become the command."""
    supervisor, signal_number, niceness, uid, gid, capability = (int(argument) for argument in arguments[:6])
    if niceness:
        yield_to_others(niceness)
    if uid >= 0:
        become(uid, gid, capability)
    follow(supervisor, signal_number)
    os.execv(arguments[6], arguments[6:])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
