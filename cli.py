from kgllm.cli import main

main()
