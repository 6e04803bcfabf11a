"""`python -m guard`: the same as the command `guard`."""

from __future__ import annotations

from guard.cli.main import main

if __name__ == "__main__":
    main(prog_name="guard")
