"""What stands behind the protocols. Engines know the language (terms, errors, protocols) and nothing else of kgllm."""
