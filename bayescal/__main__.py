"""`python -m bayescal` is `bayescal`."""

from bayescal.cli import main

main()
