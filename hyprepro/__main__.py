"""`python -m hyprepro` is `hyprepro`."""

from hyprepro.cli import main

main()
