"""Makes a tiny cross-encoder of random weights, for a real vLLM server to score with: ``tiny_cross_encoder.py FOLDER``.

Its tokenizer is that of the embedding model whose folder is the second argument. It runs in .venv-vllm.
"""

import shutil
import sys
from pathlib import Path

import torch
from transformers import BertConfig, BertForSequenceClassification


def make(folder: Path, tokenizer: Path) -> None:
    """Writes configuration, weights (the same ones each time) and tokenizer into the folder."""
    torch.manual_seed(0)
    config = BertConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128)
    config.num_labels = 1
    BertForSequenceClassification(config).save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        shutil.copy(tokenizer / file, folder)


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2]))
