"""Makes a tiny language model of random weights, for a real vLLM server to serve: ``tiny_model.py FOLDER``.

It runs in .venv-vllm and takes seconds. What the model says is noise; what a schema makes of the noise is not.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

BEGIN, END, PAD = "<|begin|>", "<|end|>", "<|pad|>"
CONTEXT = 16_384

TEXT = [
    "Which nodes, classes and properties of the graph does the question speak of?",
    "You answer questions from a knowledge graph. Use the handles alone: n0 n1 n2 n3 p0 p1 p2 c0 c1 v0 v1.",
    "n3 Apollo 11 (mission), p7 commander (mission to person), c2 astronaut, v4 the literal of a label.",
    '{"form": "select", "patterns": [{"subject": "?x", "property": "p7", "object": "n3"}], "limit": 10}',
    '{"claims": [{"text": "Neil Armstrong commanded Apollo 11.", "facts": ["f1", "f2"]}], "abstain": false}',
    "select ask count describe filter optional union minus group order limit true false null",
    "The crew landed on the Moon on 20 July 1969; the first steps came six hours later.",
]

CHAT_TEMPLATE = (
    "{% for message in messages %}<|begin|>{{ message['role'] }}\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|begin|>assistant\n{% endif %}"
)


def make(folder: Path) -> None:
    """Writes configuration, weights (the same ones each time) and tokenizer of the model into the folder."""
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(TEXT, vocab_size=600, min_frequency=2, special_tokens=[BEGIN, END, PAD])
    tokenizer: Any = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call, unused-ignore]
        tokenizer_object=trained._tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    torch.manual_seed(0)
    model: Any = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4,
            head_dim=32,  # vLLM's attention on a CPU knows no smaller one, and dies of it at the first request
            max_position_embeddings=CONTEXT,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            tie_word_embeddings=False,
        )
    )
    model.to(torch.bfloat16).save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
