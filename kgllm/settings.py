"""Settings, and where each came from: an option, a KGLLM_* variable, ./kgllm.toml, the user's config.toml, a default.

OPENAI_BASE_URL and OPENAI_API_KEY, which are there for other programs too, come after the files.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

from kgllm.errors import SettingsError

__all__ = ["Planner", "Settings", "read_settings"]

Planner: TypeAlias = Literal["auto", "embedded", "model"]
MOST_IN_FLIGHT: Final = 1024

DEFAULT: Final = "default"
FILE: Final = "kgllm.toml"

_TABLES: Mapping[str, Mapping[str, str]] = {
    "": {
        "planner": "planner",
        "strict": "strict",
        "min_confidence": "min_confidence",
        "timeout": "timeout_s",
        "runs": "runs",
        "log": "log",
    },
    "llm": {
        "base_url": "base_url",
        "model": "model",
        "temperature": "temperature",
        "seed": "seed",
        "in_flight": "in_flight",
        "no_cache": "no_cache",
        "examples": "examples",
    },
    "embed": {"base_url": "embed_base_url", "model": "embed_model"},
    "rerank": {"base_url": "rerank_base_url", "model": "rerank_model"},
    "index": {"folder": "index"},
}
_GRAPH_KEYS: Mapping[str, str] = {
    "source": "graph",
    "ontology": "ontology",
    "shapes": "shapes",
    "labels": "labels",
    "languages": "languages",
    "index": "index",
}
_VARIABLES: Mapping[str, str] = {
    "KGLLM_GRAPH": "graph",
    "KGLLM_ONTOLOGY": "ontology",
    "KGLLM_SHAPES": "shapes",
    "KGLLM_INDEX": "index",
    "KGLLM_PLANNER": "planner",
    "KGLLM_BASE_URL": "base_url",
    "KGLLM_MODEL": "model",
    "KGLLM_API_KEY": "api_key",
    "KGLLM_EMBED_BASE_URL": "embed_base_url",
    "KGLLM_EMBED_MODEL": "embed_model",
    "KGLLM_RERANK_BASE_URL": "rerank_base_url",
    "KGLLM_RERANK_MODEL": "rerank_model",
    "KGLLM_LANG": "languages",
    "KGLLM_LABEL": "labels",
    "KGLLM_STRICT": "strict",
    "KGLLM_MIN_CONFIDENCE": "min_confidence",
    "KGLLM_TIMEOUT": "timeout_s",
    "KGLLM_CACHE_DIR": "cache_dir",
    "KGLLM_TEMPERATURE": "temperature",
    "KGLLM_SEED": "seed",
    "KGLLM_IN_FLIGHT": "in_flight",
    "KGLLM_NO_CACHE": "no_cache",
    "KGLLM_EXAMPLES": "examples",
    "KGLLM_LOG": "log",
    "KGLLM_RUNS": "runs",
}
_SHARED_VARIABLES: Mapping[str, str] = {"OPENAI_BASE_URL": "base_url", "OPENAI_API_KEY": "api_key"}

_OFF = (False, "off", "no", "false", "0")

_Layer: TypeAlias = dict[str, tuple[Any, str]]
"""A setting's name to its value, not yet checked, and its origin."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All that can be set. ``origins`` says of each field whence its value came; paths are absolute or as given."""

    cache_dir: Path
    graph: tuple[str, ...] = ()
    ontology: tuple[str, ...] = ()
    shapes: tuple[str, ...] = ()
    index: Path | None = None
    planner: Planner = "auto"
    base_url: str | None = None
    model: str | None = None
    api_key: str | None = field(default=None, repr=False)
    embed_base_url: str | None = None
    embed_model: str = ""  # empty: the default model, or the only one that the server at embed_base_url lists
    rerank_base_url: str | None = None
    rerank_model: str | None = None
    languages: tuple[str, ...] = ("en", "")
    labels: tuple[str, ...] = ()  # CURIEs or IRIs of the properties that name and describe nodes
    strict: bool = False
    min_confidence: float = 0.2  # probability in [0, 1] that an answer is right, below which it is not given
    timeout_s: float = 30
    temperature: float = 0.0
    seed: int | None = None
    in_flight: int = 64  # questions that a model is asked at a time
    no_cache: bool = False
    examples: bool = True  # solved questions in a model's prompt
    log: bool | None = None  # None: the CLI logs, the SDK does not
    runs: Path | Literal["off"] | None = None  # None: in the user's data folder
    prefixes: Mapping[str, str] = field(default_factory=dict)
    graph_names: tuple[str, ...] = ()  # what kgllm.toml has a table for
    unread_variables: tuple[str, ...] = ()  # KGLLM_* variables that mean nothing
    origins: Mapping[str, str] = field(default_factory=dict)


def read_settings(
    given: Mapping[str, tuple[Any, str]],
    *,
    environment: Mapping[str, str],
    folder: Path,
    user_folder: Path,
    cache_dir: Path,
) -> Settings:
    """The settings: those ``given`` (``None`` is not given), then the environment's, then the two folders' files'.

    Each of the given has its origin beside it. Raises ``SettingsError`` for an unknown key, naming the nearest known
    one, and for a value that cannot be used.
    """
    files = [_File.read(folder / FILE), _File.read(user_folder / "config.toml")]
    layers: list[_Layer] = [
        {key: (value, origin) for key, (value, origin) in given.items() if value is not None and value != []},
        _variables(environment, _VARIABLES),
        *(file.settings for file in files),
        _variables(environment, _SHARED_VARIABLES),
    ]
    tables = {name: table for file in reversed(files) for name, table in file.graphs.items()}
    found: _Layer = {}
    for layer in layers:
        for key, entry in layer.items():
            found.setdefault(key, entry)
    _choose_graph(found, files, tables, layers)
    prefixes = {prefix: iri for file in reversed(files) for prefix, iri in file.prefixes.items()}
    checked = {key: _checked(key, value, origin) for key, (value, origin) in found.items()}
    checked.setdefault("cache_dir", cache_dir)
    return Settings(
        **checked,
        prefixes=prefixes,
        graph_names=tuple(tables),
        unread_variables=tuple(
            sorted(name for name in environment if name.startswith("KGLLM_") and name not in _VARIABLES)
        ),
        origins={key: origin for key, (_, origin) in found.items()},
    )


def _choose_graph(
    found: _Layer, files: Sequence[_File], tables: Mapping[str, _Layer], layers: Sequence[_Layer]
) -> None:
    """Put the tables of the graphs that are named, or of the only one there is, where nothing stronger stands."""
    if "graph" in found:
        given, origin = found["graph"]
        parts = _texts(given)
    else:
        own = next((file for file in files if file.graphs), None)
        if own is None:
            return
        if len(own.graphs) > 1:
            raise SettingsError(
                f"{own.path} has several graphs: {', '.join(own.graphs)}",
                try_next=f"name one: -g {next(iter(own.graphs))}",
            )
        parts, origin = list(own.graphs), str(own.path)
    named = [tables[part] for part in parts if part in tables]
    if not named:
        return
    stronger = {key for layer in layers[:2] for key in layer}
    sources: list[str] = []
    for part in parts:
        sources += tables[part]["graph"][0] if part in tables else [part]
    found["graph"] = (sources, f"{origin}, {named[0]['graph'][1]}" if origin != named[0]["graph"][1] else origin)
    for key in {key for table in named for key in table} - {"graph"} - stronger:
        holders = [table[key] for table in named if key in table]
        value = holders[0][0] if key in {"index", "languages"} else [item for held, _ in holders for item in held]
        found[key] = (value, holders[0][1])


@dataclass(frozen=True, slots=True)
class _File:
    """What a settings file says; nothing if it is not there."""

    path: Path
    settings: _Layer = field(default_factory=dict)
    graphs: dict[str, _Layer] = field(default_factory=dict)
    prefixes: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> _File:
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return cls(path)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path} is not TOML: {error}", try_next="correct that place") from None
        except OSError as error:
            raise SettingsError(f"{path} cannot be read", why=str(error.strerror)) from None
        file = cls(path)
        top = {key: value for key, value in tables.items() if not isinstance(value, dict)}
        known_tables = [*_TABLES, "graph", "prefixes"]
        for name, table in {"": top, **{k: v for k, v in tables.items() if isinstance(v, dict)}}.items():
            if name == "graph":
                for graph_name, graph in table.items():
                    file.graphs[graph_name] = file._graph(graph_name, graph)
            elif name == "prefixes":
                file.prefixes.update({prefix: file._text(f"prefixes.{prefix}", iri) for prefix, iri in table.items()})
            elif name in _TABLES:
                file._take(name, table)
            else:
                raise _unknown(path, name, known_tables)
        return file

    def _take(self, name: str, table: Mapping[str, Any]) -> None:
        known = _TABLES[name]
        for key, value in table.items():
            if key not in known:
                tops = [other for other in (*_TABLES, "graph", "prefixes") if other] if not name else []
                raise _unknown(self.path, f"{name}.{key}" if name else key, [*_full(name, known), *tops])
            is_path = known[key] == "index" or (known[key] == "runs" and value not in _OFF)
            value = self._path(value) if is_path else value
            self.settings[known[key]] = (value, str(self.path))

    def _graph(self, name: str, table: Any) -> _Layer:
        place = f"graph.{name}"
        if not isinstance(table, dict):
            raise SettingsError(f"{self.path}: {place} has to be a table", try_next=f"[{place}] with source = …")
        if "source" not in table:
            raise SettingsError(
                f"{self.path}: [{place}] has no source", try_next='source = "FILE, glob, folder or URL"'
            )
        layer: _Layer = {}
        for key, value in table.items():
            if key not in _GRAPH_KEYS:
                raise _unknown(self.path, f"{place}.{key}", _full(place, _GRAPH_KEYS))
            items = [self._text(f"{place}.{key}", item) for item in (value if isinstance(value, list) else [value])]
            if key in {"source", "ontology", "shapes"}:
                items = [self._path(item) for item in items]
            layer[_GRAPH_KEYS[key]] = (self._path(items[0]) if key == "index" else items, str(self.path))
        return layer

    def _text(self, key: str, value: Any) -> str:
        if not isinstance(value, str):
            raise SettingsError(f"{self.path}: {key} has to be text in quotes, not {value!r}")
        return value

    def _path(self, value: Any) -> Any:
        """A path of the file is relative to the folder that the file is in."""
        if not isinstance(value, str) or value.startswith(("http://", "https://")):
            return value
        return str(self.path.parent / Path(value).expanduser())


def _variables(environment: Mapping[str, str], known: Mapping[str, str]) -> _Layer:
    """What the environment says. Several paths stand in one variable as in PATH; a URL holds colons of its own."""
    layer: _Layer = {}
    for name, key in known.items():
        value: Any = environment.get(name, "").strip()
        if value and key in {"graph", "ontology", "shapes"} and not value.startswith(("http://", "https://")):
            value = [part for part in value.split(os.pathsep) if part]
        if value:
            layer[key] = (value, name)
    return layer


def _full(table: str, keys: Iterable[str]) -> list[str]:
    return [f"{table}.{key}" if table else key for key in keys]


def _unknown(path: Path, key: str, known: Sequence[str]) -> SettingsError:
    names = [name for name in known if name]
    near = difflib.get_close_matches(key, names, n=1, cutoff=0)
    return SettingsError(
        f"{path}: unknown key {key}",
        why=f"known are {', '.join(names)}",
        try_next=f"did you mean {near[0]}?" if near else "",
    )


def _checked(key: str, value: Any, origin: str) -> Any:
    """The value as its field holds it. Raises ``SettingsError`` naming the key and the origin."""
    if key in {"graph", "ontology", "shapes"}:
        return tuple(_texts(value))
    if key == "labels":
        return tuple(part for text in _texts(value) for part in re.split(r"[,\s]+", text) if part)
    if key == "languages":
        languages = [part.strip().lower() for text in _texts(value) for part in text.split(",")]
        return tuple(dict.fromkeys([*languages, ""]))
    if key in {"index", "cache_dir"}:
        return Path(_text(key, value, origin)).expanduser()
    if key == "planner":
        if value not in get_args(Planner):
            raise SettingsError(f"planner cannot be {value!r}, from {origin}", try_next="auto, embedded or model")
        return value
    if key == "timeout_s":
        return _seconds(value, origin)
    if key in {"temperature", "min_confidence"}:
        return _number(key, value, origin, most=2 if key == "temperature" else 1)
    if key in {"seed", "in_flight"}:
        least, most = (1, MOST_IN_FLIGHT) if key == "in_flight" else (0, 2**63 - 1)
        return _whole_number(key, value, origin, least=least, most=most)
    if key in {"strict", "no_cache", "log", "examples"}:
        return _switch(key, value, origin)
    if key == "runs":
        return "off" if value in _OFF else Path(_text(key, value, origin)).expanduser()
    return _text(key, value, origin).strip()


def _text(key: str, value: Any, origin: str) -> str:
    if not isinstance(value, str | Path):
        raise SettingsError(f"{key} has to be text, not {value!r}, from {origin}")
    return str(value)


def _texts(value: Any) -> list[str]:
    return [str(value)] if isinstance(value, str | Path) else [str(item) for item in value]


def _seconds(value: Any, origin: str) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds < 1e6 or isinstance(value, bool):
        raise SettingsError(f"timeout cannot be {value!r}, from {origin}", try_next="a number of seconds above 0")
    return seconds


def _number(key: str, value: Any, origin: str, *, most: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number <= most or isinstance(value, bool):
        raise SettingsError(f"{key} cannot be {value!r}, from {origin}", try_next=f"a number from 0 to {most:g}")
    return number


def _whole_number(key: str, value: Any, origin: str, *, least: int, most: int) -> int:
    text = str(value).strip()
    is_whole = text.isascii() and text.isdigit() and len(text) < 20
    if not is_whole or not least <= int(text) <= most:
        raise SettingsError(f"{key} cannot be {value!r}, from {origin}", try_next=f"a whole number, at least {least}")
    return int(text)


def _switch(key: str, value: Any, origin: str) -> bool:
    if isinstance(value, bool):
        return value
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if str(value).lower() not in words:
        raise SettingsError(f"{key} cannot be {value!r}, from {origin}", try_next="true or false")
    return words[str(value).lower()]
