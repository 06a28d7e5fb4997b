"""Which network interface has an address of this machine."""

import fcntl
import os
import socket
import struct

_SIOCGIFADDR = 0x8915


def talk_where_ray_does() -> None:
    """Lets gloo, in this process and those that it starts, use the network by which Ray knows this node.

    By itself it looks up the host's name, which on many machines is an address that no other one can reach.
    """
    from ray.util import get_node_ip_address

    name = interface_of(get_node_ip_address())
    if name is not None:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", name)


def interface_of(address: str) -> str | None:
    """The name of the interface with an IPv4 address; None where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode())
            try:
                answer = fcntl.ioctl(anything.fileno(), _SIOCGIFADDR, request)
            except OSError:  # it has no IPv4 address
                continue
            if socket.inet_ntoa(answer[20:24]) == address:
                return name
    return None
