"""``python -m tokenmeter``: the command line where its script is not on the path."""

from tokenmeter.cli import main

main()
