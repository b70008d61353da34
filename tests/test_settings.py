"""Settings: which source wins, what each value's origin is, and how a mistake is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rdflib

import kgllm
from kgllm.errors import InputError, SettingsError, SourceNotFoundError
from kgllm.opening import make_log, make_model, make_workspace
from kgllm.settings import Settings, read_settings

BUILDING = """
[graph.building]
source = "data/*.ttl"
ontology = ["brick.ttl"]
labels = ["rdfs:label"]
languages = ["de", "en"]
[prefixes]
bldg = "urn:b#"
[llm]
base_url = "http://localhost:8000/v1"
"""

Read = Callable[..., Settings]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def reading(given: dict[str, Any] | None = None, *, toml: str = "", user: str = "", **environment: str) -> Settings:
        for name, text in (("kgllm.toml", toml), ("user/config.toml", user)):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        return read_settings(
            {key: (value, f"--{key}") for key, value in (given or {}).items()},
            environment=environment,
            folder=tmp_path,
            user_folder=tmp_path / "user",
            cache_dir=tmp_path / "cache",
        )

    return reading


def test_nothing_set_gives_the_defaults(read: Read, tmp_path: Path) -> None:
    assert read() == Settings(cache_dir=tmp_path / "cache")


def test_an_option_beats_a_variable_beats_the_file_beats_the_users_beats_the_shared_variable(read: Read) -> None:
    toml, user = '[llm]\nbase_url = "http://file"', '[llm]\nbase_url = "http://user"'
    shared, own = {"OPENAI_BASE_URL": "http://shared"}, {"KGLLM_BASE_URL": "http://own"}
    assert read(**shared).base_url == "http://shared"
    assert read(user=user, **shared).base_url == "http://user"
    assert read(toml=toml, user=user, **shared).base_url == "http://file"
    assert read(toml=toml, user=user, **own, **shared).base_url == "http://own"
    assert read({"base_url": "http://option"}, toml=toml, **own).base_url == "http://option"


def test_each_value_knows_its_origin(read: Read, tmp_path: Path) -> None:
    settings = read({"planner": "embedded"}, toml=BUILDING, KGLLM_TIMEOUT="5")
    assert settings.origins["planner"] == "--planner"
    assert settings.origins["timeout_s"] == "KGLLM_TIMEOUT"
    assert settings.origins["base_url"] == str(tmp_path / "kgllm.toml")
    assert "strict" not in settings.origins


def test_the_only_graph_of_the_file_is_the_default_and_its_paths_are_relative_to_the_file(
    read: Read, tmp_path: Path
) -> None:
    settings = read(toml=BUILDING)
    assert settings.graph == (str(tmp_path / "data/*.ttl"),)
    assert settings.ontology == (str(tmp_path / "brick.ttl"),)
    assert settings.languages == ("de", "en", "")
    assert settings.prefixes == {"bldg": "urn:b#"}


def test_of_several_graphs_one_has_to_be_named(read: Read) -> None:
    two = '[graph.a]\nsource = "a.ttl"\n[graph.b]\nsource = "http://localhost/sparql"\n'
    with pytest.raises(SettingsError, match="several graphs: a, b"):
        read(toml=two)
    assert read({"graph": ["b"]}, toml=two).graph == ("http://localhost/sparql",)
    assert read(toml=two, KGLLM_GRAPH="b").graph == ("http://localhost/sparql",)


def test_a_path_given_leaves_the_files_graph_aside(read: Read) -> None:
    settings = read({"graph": ["mine.ttl"]}, toml=BUILDING)
    assert settings.graph == ("mine.ttl",)
    assert settings.ontology == ()


def test_an_option_beats_what_the_graphs_table_says(read: Read) -> None:
    assert read({"ontology": ["other.ttl"]}, toml=BUILDING).ontology == ("other.ttl",)


def test_several_paths_stand_in_one_variable_but_a_url_stays_whole(read: Read) -> None:
    assert read(KGLLM_SHAPES="a.ttl:b.ttl").shapes == ("a.ttl", "b.ttl")
    assert read(KGLLM_GRAPH="http://localhost:3030/ds").graph == ("http://localhost:3030/ds",)


@pytest.mark.parametrize(
    ("toml", "unknown", "nearest"),
    [
        ("plannner = 'auto'", "plannner", "planner"),
        ("[lmm]\nmodel = 'x'", "lmm", "llm"),
        ("[llm]\nmodle = 'x'", "llm.modle", "llm.model"),
        ("[graph.a]\nsource = 'x'\nshape = 'y'", "graph.a.shape", "graph.a.shapes"),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest_known(read: Read, toml: str, unknown: str, nearest: str) -> None:
    with pytest.raises(SettingsError) as told:
        read(toml=toml)
    assert f"unknown key {unknown}" in told.value.what
    assert told.value.try_next == f"did you mean {nearest}?"


@pytest.mark.parametrize(
    ("toml", "environment", "sign"),
    [
        ("planner = ", {}, "not TOML"),
        ("planner = 'magic'", {}, "planner cannot be 'magic'"),
        ("[llm]\nmodel = 3", {}, "model has to be text"),
        ("[graph.a]\nontology = 'x'", {}, "has no source"),
        ("[graph.a]\nsource = [1]", {}, "graph.a.source has to be text"),
        ("", {"KGLLM_TIMEOUT": "soon"}, "timeout cannot be 'soon', from KGLLM_TIMEOUT"),
        ("", {"KGLLM_TIMEOUT": "-1"}, "timeout cannot be"),
        ("", {"KGLLM_STRICT": "maybe"}, "strict cannot be 'maybe'"),
        ("", {"KGLLM_NO_CACHE": "maybe"}, "no_cache cannot be 'maybe'"),
        ("", {"KGLLM_TEMPERATURE": "3"}, "temperature cannot be '3', from KGLLM_TEMPERATURE"),
        ("[llm]\nseed = -1", {}, "seed cannot be -1"),
        ("[llm]\nseed = 1.5", {}, "seed cannot be 1.5"),
        ("[llm]\nin_flight = 0", {}, "in_flight cannot be 0"),
        ("[llm]\nin_flight = true", {}, "in_flight cannot be True"),
    ],
)
def test_a_value_that_cannot_be_used_is_told(read: Read, toml: str, environment: dict[str, str], sign: str) -> None:
    with pytest.raises(SettingsError, match=sign):
        read(toml=toml, **environment)


def test_how_a_model_is_asked_is_set_in_the_file_or_by_variables(read: Read, tmp_path: Path) -> None:
    settings = read(
        toml="[llm]\ntemperature = 0.5\nseed = 7\nin_flight = 8\nno_cache = true\nexamples = false", KGLLM_SEED="9"
    )
    assert (settings.temperature, settings.seed, settings.in_flight, settings.no_cache) == (0.5, 9, 8, True)
    assert not settings.examples
    assert read().examples


def test_the_run_log_is_a_file_or_off(read: Read, tmp_path: Path) -> None:
    assert read(toml='runs = "mine.sqlite"').runs == tmp_path / "mine.sqlite"
    for settings in (read(toml='runs = "off"'), read(toml="runs = false"), read(KGLLM_RUNS="off")):
        assert settings.runs == "off"
        assert make_log(settings) is None
    log = make_log(read(KGLLM_RUNS=str(tmp_path / "r.sqlite")))
    assert log is not None
    assert log.path == tmp_path / "r.sqlite"


def test_a_variable_that_means_nothing_is_kept_for_the_doctor(read: Read) -> None:
    assert read(KGLLM_PLANER="model").unread_variables == ("KGLLM_PLANER",)


def test_the_key_is_in_no_representation(read: Read) -> None:
    settings = read(OPENAI_API_KEY="sk-canary")
    assert settings.api_key == "sk-canary"
    assert "sk-canary" not in repr(settings)


def test_auto_takes_the_model_if_a_server_is_named_and_embedded_never(read: Read) -> None:
    server = {"base_url": "http://127.0.0.1:9", "model": "tiny"}
    assert make_model(read()) is None
    assert make_model(read({**server, "planner": "embedded"})) is None
    model = make_model(read(server))
    assert model is not None
    assert model.name == "tiny"


@pytest.mark.parametrize("given", [{"planner": "model"}, {"model": "tiny"}])
def test_a_model_without_a_server_is_told(read: Read, given: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="no server is named"):
        make_model(read(given))


def test_a_graph_that_is_nowhere_is_told_with_the_nearest_name(read: Read) -> None:
    with pytest.raises(SourceNotFoundError) as told:
        make_workspace(read({"graph": ["bulding"]}, toml=BUILDING))
    assert "-g building" in told.value.try_next
    with pytest.raises(InputError, match="no graph is named"):
        make_workspace(read())


def test_a_label_property_is_a_curie_of_the_file_or_an_iri(read: Read, tmp_path: Path) -> None:
    (tmp_path / "g.ttl").write_text("<urn:a> <urn:b> <urn:c> .")
    graph = {"graph": [str(tmp_path / "g.ttl")]}
    settings = read({**graph, "labels": ["bldg:name", "urn:x:title"]}, toml=BUILDING)
    assert [str(iri) for iri in make_workspace(settings).settings.describe_with] == ["urn:b#name", "urn:x:title"]
    with pytest.raises(SettingsError, match="its prefix is not known"):
        make_workspace(read({**graph, "labels": ["brick:name"]}))


def test_open_takes_an_rdflib_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KGLLM_CACHE_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    graph = rdflib.Graph().parse(data="<urn:x:Apollo_11> <urn:x:commander> <urn:x:Neil_Armstrong> .", format="turtle")
    with kgllm.open(graph, planner="embedded", timeout_s=7) as kg:
        assert kg.workspace.timeout_s == 7
        assert kg.workspace.store.ask("ASK { <urn:x:Apollo_11> ?p ?o }")


def test_open_reads_the_settings_for_what_is_not_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "g.ttl").write_text("<urn:a> <urn:b> <urn:c> .")
    (tmp_path / "kgllm.toml").write_text('timeout = 9\n[graph.g]\nsource = "g.ttl"\n[index]\nfolder = "here"\n')
    with kgllm.open() as kg:
        assert (kg.workspace.timeout_s, kg.workspace.folder) == (9, tmp_path / "here")
    with kgllm.open(index=tmp_path / "there", timeout_s=2) as kg:
        assert (kg.workspace.timeout_s, kg.workspace.folder) == (2, tmp_path / "there")


def test_what_is_no_graph_and_no_iri_is_bad_input() -> None:
    with pytest.raises(InputError, match="int is no graph"):
        kgllm.open(5)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="is no IRI"):
        kgllm.open("examples/spaceflight.ttl", labels="<a b>")
