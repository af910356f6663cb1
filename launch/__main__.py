"""Where the program `ideomotor` begins: nothing of it is loaded before a Ctrl-C is taken care of."""

import atexit
import os
import signal
import sys

INTERRUPTED = 130


def main() -> int:
    """Runs the command line of this process; a Ctrl-C before and after the command proper ends it at once."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _leave)
    from ideomotor.launch.cli import main

    code = main()
    if code == INTERRUPTED:  # nobody waits for a second or two while Python takes torch apart
        atexit._run_exitfuncs()
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
        os._exit(code)
    return code


def _leave(number: int, frame: object) -> None:
    os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())
