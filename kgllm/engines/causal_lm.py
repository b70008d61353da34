"""Language models that are trained here: a small one from nothing, or adapters to one that was trained before.

TRL's supervised trainer does the work, PEFT the adapters (extra ``tune``). What is written is a folder that
``vllm serve`` takes. PyTorch and these are imported when a model is made.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kgllm.engines.sentence_transformers import quiet_transformers
from kgllm.engines.trainers import needed, quiet_datasets, tell_steps
from kgllm.errors import BackendError
from kgllm.protocols import Completion, Message, Progress, Usage, turns

__all__ = ["CHECKPOINTS", "SIZES", "Shape", "TrainedModel", "Training", "from_pretrained", "from_scratch", "train"]

_BEGIN, _END, _PAD = "<|begin|>", "<|end|>", "<|pad|>"
_TEMPLATE = (
    "{% for message in messages %}<|begin|>{{ message['role'] }}\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|begin|>assistant\n{% endif %}"
)
_HEAD = 64  # width of a head of attention; vLLM's attention on a CPU knows none under 32
_PIECES = r"""[\[\]{}",:]+(?:[a-z_]+"[\[\]{}",:]+)*| ?[npcvx]\d{1,3}(?!\w)| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+"""
"""What stands between two handles of a plan, a handle, a word, a digit, other signs, blanks."""
CHECKPOINTS = "checkpoints"


@dataclass(frozen=True, slots=True)
class Shape:
    """A Llama of so many layers, its widths, and how many tokens its vocabulary has at most."""

    layers: int
    width: int
    inner: int
    vocabulary: int


SIZES: Mapping[str, Shape] = {"3m": Shape(4, 192, 576, 1024), "12m": Shape(6, 384, 1152, 2048)}
"""By their millions of parameters."""


_SAVE_LEAST = 20  # steps between two checkpoints of little training, whose epochs are shorter


@dataclass(frozen=True, slots=True)
class Training:
    """How to train: ``rate`` is the highest learning rate, ``batch`` counts conversations.

    A checkpoint is saved every epoch, and at the latest after ``save_every`` steps.
    """

    epochs: float = 5.0
    batch: int = 16
    rate: float = 1e-3
    seed: int = 0
    save_every: int = 200


class TrainedModel:
    """A model with its tokenizer, on the machine's GPU if it has one. It is a ``LanguageModel`` without any constraint.

    What it writes is taken as it comes: a schema is not kept to, and JSON is only parsed.
    """

    def __init__(self, model: Any, tokenizer: Any, *, name: str, context: int) -> None:
        import torch

        self.name = name
        self.model = model
        self.tokenizer = tokenizer
        self.context = context
        self.device = "cuda" if torch.cuda.is_available() else "cpu"

    def complete(
        self, conversations: Sequence[Sequence[Message]], *, schema: Mapping[str, Any], max_tokens: int
    ) -> list[Completion]:
        """One completion a conversation, greedy, in order."""
        import torch

        texts = [
            self.tokenizer.apply_chat_template(turns(said), tokenize=False, add_generation_prompt=True)
            for said in conversations
        ]
        given = self.tokenizer(
            texts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False
        ).to(self.device)
        self.model.to(self.device).eval()
        with torch.inference_mode(), _quiet():
            written = self.model.generate(
                input_ids=given["input_ids"],
                attention_mask=given["attention_mask"],
                max_new_tokens=max_tokens,
                do_sample=False,
                pad_token_id=self.tokenizer.pad_token_id,
            )
        length = given["input_ids"].shape[1]
        replies = self.tokenizer.batch_decode(written[:, length:], skip_special_tokens=True)
        return [_parsed(reply) for reply in replies]

    def stream(
        self, conversation: Sequence[Message], *, schema: Mapping[str, Any], max_tokens: int
    ) -> Iterator[str | Completion]:
        """The whole of one completion."""
        yield from self.complete([conversation], schema=schema, max_tokens=max_tokens)

    def tokens(self, prompt: str | Sequence[Message]) -> int:
        """How many tokens a text has, or a conversation as the chat template writes it."""
        if isinstance(prompt, str):
            return len(self.tokenizer(prompt, add_special_tokens=False)["input_ids"])
        text = self.tokenizer.apply_chat_template(turns(prompt), tokenize=False, add_generation_prompt=True)
        return self.tokens(str(text))

    def context_length(self) -> int:
        """How many tokens prompt and answer may have together."""
        return self.context

    def parameters(self) -> int:
        """How many numbers it has learned or is to learn."""
        return sum(part.numel() for part in self.model.parameters())

    def save(self, folder: Path) -> None:
        """Write it as a folder that ``vllm serve`` takes, adapters merged into the weights."""
        model = self.model.merge_and_unload() if hasattr(self.model, "merge_and_unload") else self.model
        with _quiet():
            model.save_pretrained(folder, safe_serialization=True)
            self.tokenizer.save_pretrained(folder)


def from_scratch(texts: Sequence[str], *, size: str, context: int, seed: int = 0) -> TrainedModel:
    """A model of random weights, with a tokenizer that is made of the texts. ``size`` is one of ``SIZES``.

    Raises ``BackendError`` without the extra ``tune``.
    """
    torch, transformers = _libraries()
    shape = SIZES[size]
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=_tokenizer(texts, shape.vocabulary),
        bos_token=_BEGIN,
        eos_token=_END,
        pad_token=_PAD,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = _TEMPLATE
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.width // _HEAD,
        num_key_value_heads=shape.width // _HEAD,
        head_dim=_HEAD,
        max_position_embeddings=context,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    return TrainedModel(transformers.LlamaForCausalLM(config), tokenizer, name=f"{size} from scratch", context=context)


def _tokenizer(texts: Sequence[str], vocabulary: int) -> Any:
    """Byte pairs over words, handles, and the JSON between two handles, so that a plan is a third as many tokens."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=[_BEGIN, _END, _PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def from_pretrained(name: str) -> TrainedModel:
    """A causal model of a folder or a model hub, in bfloat16 on a GPU and in float32 on a CPU.

    Raises ``BackendError`` if it cannot be had.
    """
    torch, transformers = _libraries()
    weights = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(name, use_safetensors=True, dtype=weights)
        tokenizer = transformers.AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError, KeyError) as error:
        raise BackendError(
            f"{name} cannot be loaded as a language model",
            why=str(error).partition("\n")[0],
            try_next="name a folder with safetensors weights, or a model hub's name",
        ) from error
    if tokenizer.chat_template is None:
        raise BackendError(f"{name} has no chat template", try_next="tune a model that was made to chat")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    context = int(getattr(model.config, "max_position_embeddings", 4096))
    return TrainedModel(model, tokenizer, name=name, context=context)


def train(
    model: TrainedModel,
    conversations: Sequence[Mapping[str, Any]],
    held_out: Sequence[Mapping[str, Any]],
    folder: Path,
    *,
    training: Training,
    adapters: bool,
    progress: Progress,
) -> list[dict[str, float]]:
    """Train on conversations of a ``prompt`` and a ``completion``; the loss is over the completions alone.

    Gives the held-out loss at the end of each epoch, nothing where none is held out. With ``adapters`` only low-rank
    ones (LoRA) are trained. Training goes on from the last checkpoint under ``folder``, if there is one; that it is of
    the same training, and that it is removed in the end, is the caller's care.
    """
    _libraries()
    import torch
    from datasets.arrow_dataset import Dataset
    from peft import LoraConfig
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    checkpoints = folder / CHECKPOINTS
    on_gpu = torch.cuda.is_available()
    lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM") if adapters else None
    with _quiet():
        config = SFTConfig(
            output_dir=str(checkpoints),
            num_train_epochs=training.epochs,
            per_device_train_batch_size=training.batch,
            per_device_eval_batch_size=training.batch,
            learning_rate=training.rate,
            lr_scheduler_type="cosine",
            warmup_steps=0.05,
            weight_decay=0.01,
            adam_beta2=0.95,
            max_length=model.context,
            seed=training.seed,
            use_cpu=not on_gpu,
            bf16=on_gpu or has_fast_bfloat16(),
            gradient_checkpointing=on_gpu and adapters,
            train_sampling_strategy="random",  # batches of one length have plans of one shape, and teach nothing but it
            eval_strategy="epoch" if held_out else "no",
            save_strategy="steps",
            save_steps=min(training.save_every, max(_SAVE_LEAST, len(conversations) // training.batch)),
            save_total_limit=1,
            logging_strategy="epoch",
            disable_tqdm=True,
            report_to="none",
        )
        trainer = SFTTrainer(
            model=model.model,
            args=config,
            train_dataset=Dataset.from_list([dict(each) for each in conversations]),
            eval_dataset=Dataset.from_list([dict(each) for each in held_out]) if held_out else None,
            processing_class=model.tokenizer,
            peft_config=lora,
        )
        tell_steps(trainer, progress)
        whole = [file.parent for file in checkpoints.glob("checkpoint-*/trainer_state.json")]  # written last
        last = max(whole, key=lambda folder: folder.stat().st_mtime, default=None)
        trainer.train(resume_from_checkpoint=str(last) if last is not None else None)
    model.model = trainer.model
    return [
        {"epoch": round(entry["epoch"], 2), "held_out_loss": round(entry["eval_loss"], 4)}
        for entry in trainer.state.log_history
        if "eval_loss" in entry
    ]


def has_fast_bfloat16() -> bool:
    """Whether the processor multiplies in bfloat16, which is several times as fast; weights stay in float32."""
    import torch

    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _libraries() -> tuple[Any, Any]:
    torch, transformers, *_ = needed(
        "torch", "transformers", "datasets", "peft", "trl", what="training a language model"
    )
    return torch, transformers


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' own bars and advice off the terminal."""
    with quiet_transformers(), quiet_datasets(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _parsed(reply: str) -> Completion:
    try:
        return Completion(json.loads(reply), Usage(), reply)
    except ValueError:
        return Completion(None, Usage(), reply)
