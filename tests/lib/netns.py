"""A network namespace of its own: its addresses come and go as a test likes."""
import ctypes
import os
import shutil
import subprocess

import pytest

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _enter(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


class Namespace:
    """Made and entered by `with`: by this thread, and the threads and processes
    that it starts. It has lo and `dev`, an interface that leads to another one
    here: what is sent to this host's own addresses arrives all the same."""

    dev = "veth0"

    def __init__(self):
        self.name = "bearerd-test-%d" % os.getpid()

    def __enter__(self):
        if not shutil.which("ip"):
            pytest.skip("iproute2 is not installed")
        done = subprocess.run(["ip", "netns", "add", self.name], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if done.returncode:
            pytest.skip("network namespaces are not permitted: %s" % done.stdout.decode().strip())
        self.before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            inside = os.open("/run/netns/" + self.name, os.O_RDONLY)
            try:
                _enter(inside)
            finally:
                os.close(inside)
            self.ip("link set lo up")
            if subprocess.run(["ip", "link", "add", self.dev, "type", "veth", "peer", "veth1"],
                              stderr=subprocess.DEVNULL).returncode:
                pytest.skip("the kernel has no veth interfaces")
            self.ip("link set veth1 up")
            self.ip("link set %s up" % self.dev)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        _enter(self.before)
        os.close(self.before)
        subprocess.run(["ip", "netns", "del", self.name], check=True)

    def ip(self, command):
        subprocess.run(["ip"] + command.split(), check=True)

    def batch(self, commands):
        """Many at once, in one process."""
        subprocess.run(["ip", "-batch", "-"], input="\n".join(commands).encode(), check=True)

    def add(self, address, prefix=32):
        self.ip("addr add %s/%d dev %s" % (address, prefix, self.dev))

    def remove(self, address, prefix=32):
        self.ip("addr del %s/%d dev %s" % (address, prefix, self.dev))
