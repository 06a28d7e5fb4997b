"""Rights that a process gives up for good before it looks at strangers' bytes, by means that every Linux user has.

After `confine` it reads the named files and no others (Landlock, from Linux 5.13 on), and has no sockets, no other
programs and no other processes (seccomp); of root's capabilities at most that of reading is left. Confines the calling
thread and those that it starts: call it before there are others. What this kernel can't bar stays open, and `lacking`
tells: limits and the reader's own rules are all there is then.
"""

import ctypes
import errno
import os
import struct
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path

import airshower

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG, _PR_GET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 21, 38

_CAPABILITIES_V3 = 0x20080522
_CAP_DAC_READ_SEARCH = 1 << 2  # root's right to read, which its files may need

_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # on every machine
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # that a version of Landlock knows of; 16 later
_SYSTEM: tuple[str, ...] = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/dev/urandom", "/sys/devices/system/cpu")
_SYSTEM = (*_SYSTEM, "/proc/self", "/proc/cpuinfo", "/proc/meminfo")

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_NUMBERS = {  # of system calls
    "x86_64": {
        "socket": 41, "socketpair": 53, "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "kill": 62, "ptrace": 101,
        "rt_sigqueueinfo": 129, "tkill": 200, "tgkill": 234, "add_key": 248, "keyctl": 250, "unshare": 272,
        "rt_tgsigqueueinfo": 297, "perf_event_open": 298, "prlimit64": 302, "process_vm_readv": 310,
        "process_vm_writev": 311, "seccomp": 317, "bpf": 321, "execveat": 322, "userfaultfd": 323,
    },
    "aarch64": {
        "unshare": 97, "ptrace": 117, "kill": 129, "tkill": 130, "tgkill": 131, "rt_sigqueueinfo": 138, "socket": 198,
        "socketpair": 199, "add_key": 217, "keyctl": 219, "clone": 220, "execve": 221, "rt_tgsigqueueinfo": 240,
        "perf_event_open": 241, "prlimit64": 261, "process_vm_readv": 270, "process_vm_writev": 271, "seccomp": 277,
        "bpf": 280, "execveat": 281, "userfaultfd": 282,
    },
}  # fmt: skip
_NEWER_NUMBERS = {"pidfd_send_signal": 424, "io_uring_setup": 425, "pidfd_open": 434, "clone3": 435, "pidfd_getfd": 438}
_OWN_RULE = ("clone", "clone3", "tgkill", "prlimit64", "seccomp")
_CLONE_THREAD = 0x10000
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000  # with an error's number
_LOAD, _IF_EQUAL, _IF_BITS, _RETURN = 0x20, 0x15, 0x45, 0x06  # instructions of a filter
_NUMBER_AT, _MACHINE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_ALL_THREADS = 1


def confine(readable: Sequence[str]) -> None:
    """Gives up all rights but reading `readable`, files or folders with what is in them, and Python's own libraries.

    Raises OSError where the kernel refuses what it has.
    """
    _checked(_LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _drop_capabilities()
    if _landlock_version():
        _bar_files([*readable, *_SYSTEM, *_libraries()])
    if _has_seccomp():
        _bar_calls()


def lacking() -> tuple[str, ...]:
    """What this machine's kernel can't bar, in words."""
    files = () if _landlock_version() else ("other files (no Landlock)",)
    return (*files, *(() if _has_seccomp() else ("sockets and other processes (no seccomp)",)))


def end_with_parent() -> None:
    """The kernel ends this process when the thread that started it ends."""
    _checked(_LIBC.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0))


def _libraries() -> Iterable[str]:
    """Where Python, its packages and this one are; not the folder around this one, which may hold anything."""
    yield from {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    for package in airshower.__path__:
        yield package
        yield from (str(folder) for folder in Path(package).iterdir() if folder.is_dir())


def _drop_capabilities() -> None:
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITIES_V3, 0))
    held = ctypes.create_string_buffer(24)
    _checked(_LIBC.capget(header, held))
    kept = struct.unpack("=6I", held.raw)[1] & _CAP_DAC_READ_SEARCH
    _checked(_LIBC.capset(header, ctypes.create_string_buffer(struct.pack("=6I", kept, kept, 0, 0, 0, 0), 24)))


def _landlock_version() -> int:
    """0: none."""
    return max(0, _LIBC.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1))


def _bar_files(readable: Iterable[str]) -> None:
    version = _landlock_version()
    rights = (1 << _FILE_RIGHTS.get(version, 16)) - 1
    # TCP from version 4 on, and from 6 on signals and abstract sockets of others
    attributes = struct.pack("=QQQ", rights, 3, 3)[: 8 if version < 4 else 16 if version < 6 else 24]
    rules = _checked(_LIBC.syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0))
    for path in readable:
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue  # what isn't there can't be read either
        allowed = _READ_FILE | (_READ_FOLDER if os.path.isdir(path) else 0)
        _checked(_LIBC.syscall(_LANDLOCK_ADD, rules, 1, struct.pack("=Qi", allowed, place), 0))
        os.close(place)
    _checked(_LIBC.syscall(_LANDLOCK_RESTRICT, rules, 0))
    os.close(rules)


def _has_seccomp() -> bool:
    return os.uname().machine in _NUMBERS and _LIBC.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0


def _bar_calls() -> None:
    machine = os.uname().machine
    numbers = _NUMBERS[machine] | _NEWER_NUMBERS
    refused, own_process = _REFUSE | errno.EPERM, os.getpid()
    steps = [
        (_LOAD, 0, 0, _MACHINE_AT),
        (_IF_EQUAL, 1, 0, _AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, refused),  # a call as another machine numbers them
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    for name, number in numbers.items():
        if name not in _OWN_RULE:
            steps += [(_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, refused)]
    steps += [(_IF_EQUAL, 0, 1, numbers["clone3"]), (_RETURN, 0, 0, _REFUSE | errno.ENOSYS)]  # so that clone is used
    steps += _allowed_if(numbers["clone"], (_IF_BITS, 0, 1, _CLONE_THREAD))
    steps += _allowed_if(numbers["tgkill"], (_IF_EQUAL, 0, 1, own_process))  # as abort() needs it
    steps += _allowed_if(numbers["prlimit64"], (_IF_EQUAL, 0, 1, 0))  # 0: its own
    steps += [(_RETURN, 0, 0, _ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = struct.pack("@HP", len(steps), ctypes.addressof(code))
    _checked(_LIBC.syscall(numbers["seccomp"], 1, _ALL_THREADS, program))


def _allowed_if(number: int, condition: tuple[int, int, int, int]) -> list[tuple[int, int, int, int]]:
    """A call that is allowed if its first argument meets a condition, and refused else."""
    return [
        (_IF_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        condition,
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE | errno.EPERM),
    ]


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"this process can't be confined: {os.strerror(code)}")
    return result
