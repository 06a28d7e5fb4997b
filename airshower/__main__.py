"""`python -m airshower`: the command line."""

from airshower.platform.cli import main

main()
