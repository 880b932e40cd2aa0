"""``python -m nasproxy``: the command line."""

from nasproxy.cli import main

main()
