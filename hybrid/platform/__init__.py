"""What the chip is joined to: the host that runs the ANN part, and the link between them."""

from hybrid.platform.profiles import Host, Link, host_of_device, load_host, load_link

__all__ = ["Host", "Link", "host_of_device", "load_host", "load_link"]
