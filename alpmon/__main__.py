"""`python -m alpmon`."""

from alpmon.cli import main

main(prog_name="alpmon")
