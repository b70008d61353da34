"""What a worker process may do, set by itself before it reads a foreign byte: no network, no other program, no core.

On Linux a seccomp filter refuses sockets and new processes: Oxigraph's ``SERVICE`` dials in Rust, out of sight of
Python, and cannot be switched off. Elsewhere ``forbid_new_files`` leaves no descriptor to dial with.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
from typing import Literal

__all__ = ["Sandbox", "enter", "forbid_new_files"]

Sandbox = Literal["seccomp", "no new files"]

_EPERM, _ENOSYS = 1, 38
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # linux/bpf_common.h, 32-bit words
_CLONE_THREAD = 0x00010000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2

# Per machine: its AUDIT_ARCH, clone, clone3, and the calls that are refused: socket, connect, accept, sendto, sendmsg,
# bind, listen, socketpair, accept4, sendmmsg; fork, vfork (x86_64 alone has them); execve, execveat; ptrace,
# process_vm_readv, process_vm_writev; io_uring_setup (a ring opens sockets behind the filter's back).
_CALLS = {
    "x86_64": (
        (0xC000003E, 56, 435),
        (41, 42, 43, 44, 46, 49, 50, 53, 288, 307, 57, 58, 59, 322, 101, 310, 311, 425),
    ),
    "aarch64": (
        (0xC00000B7, 220, 435),
        (198, 203, 202, 206, 211, 200, 201, 199, 242, 269, 221, 281, 117, 270, 271, 425),
    ),
}


def enter(*, memory_bytes: int) -> Sandbox:
    """Lock this process in, for good, and say by what. Address space is bounded by ``memory_bytes``.

    Where it returns "no new files", the caller must call ``forbid_new_files`` once its own files are open.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
    return "seccomp" if _filter_system_calls() else "no new files"


def forbid_new_files() -> None:
    """Set the limit of open files to those that are open now."""
    highest = max(fd for fd in range(resource.getrlimit(resource.RLIMIT_NOFILE)[0]) if _is_open(fd))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, highest + 1))


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _filter_system_calls() -> bool:
    if platform.system() != "Linux" or platform.machine() not in _CALLS:
        return False
    program = _program(*_CALLS[platform.machine()])
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    filters = ctypes.create_string_buffer(header, len(header))
    libc = ctypes.CDLL(None, use_errno=True)
    nothing = ctypes.c_ulong(0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), nothing, nothing, nothing) != 0:
        return False
    return bool(libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), filters, nothing, nothing) == 0)


def _program(machine: tuple[int, int, int], refused: tuple[int, ...]) -> bytes:
    """The filter: another machine's calls kill, refused ones give EPERM, a ``clone`` that is no thread gives EPERM."""
    arch, clone, clone3 = machine
    steps = [
        (
            _LOAD,
            0,
            0,
            4,
        ),  # the word at 4 of struct seccomp_data is the machine, at 0 the call, at 16 its first argument
        (_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),
        (_AT_LEAST, 0, 1, 0x40000000),  # the x32 calls of x86_64: the same calls by other numbers
        (_RETURN, 0, 0, _REFUSE | _EPERM),
    ]
    for call in refused:
        steps += [(_EQUAL, 0, 1, call), (_RETURN, 0, 0, _REFUSE | _EPERM)]
    steps += [
        (_EQUAL, 0, 1, clone3),  # its flags are behind a pointer; on ENOSYS the C library falls back to clone
        (_RETURN, 0, 0, _REFUSE | _ENOSYS),
        (_EQUAL, 0, 3, clone),
        (_LOAD, 0, 0, 16),
        (_ANY_BIT, 1, 0, _CLONE_THREAD),
        (_RETURN, 0, 0, _REFUSE | _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("@HBBI", *step) for step in steps)
