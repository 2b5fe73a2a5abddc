"""`python -m hybrid` is `hybrid`."""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is open yet: end at once, until the command takes over

from hybrid.cli import main

main()
