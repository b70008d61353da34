"""``python -m kgllm``: the command line, where the command itself is not on the path."""

from kgllm.cli import main

main()
