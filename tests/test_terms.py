"""Terms: what is written is read back, and what is shown is safe to show."""

from __future__ import annotations

import unicodedata

import pyoxigraph as ox
import pytest
import rdflib
from hypothesis import given, settings
from hypothesis import strategies as st

from kgllm.engines import guard
from kgllm.terms import (
    WELL_KNOWN_PREFIXES,
    BNode,
    Literal,
    Namespaces,
    Term,
    URIRef,
    clean,
    from_ox,
    local_name,
    n3,
    parse_term,
    readable,
    to_ox,
)

few = settings(max_examples=80, deadline=None)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
locals_ = st.text(st.characters(categories=["L", "N"]), max_size=12)
iris = st.builds(lambda local: URIRef("http://example.org/" + local), locals_)
languages = st.sampled_from(["en", "en-gb", "de", "zh-hans"])
literals = st.one_of(
    st.builds(Literal, texts),
    st.builds(lambda text, lang: Literal(text, lang=lang), texts, languages),
    st.builds(lambda text, iri: Literal(text, datatype=iri), texts, iris),
)
terms: st.SearchStrategy[Term] = st.one_of(iris, literals, st.builds(BNode, st.from_regex(r"\A[a-z][a-z0-9]*\Z")))


@few
@given(terms)
def test_a_term_written_and_read_is_the_same(term: Term) -> None:
    assert parse_term(n3(term)) == term
    assert from_ox(to_ox(term)) == term


@few
@given(texts)
def test_another_text_is_another_term(text: str) -> None:
    assert parse_term(n3(Literal(text + "x"))) != Literal(text)


def test_a_literal_keeps_the_form_in_which_it_was_written() -> None:
    huge = Literal("1e999999999", datatype=URIRef("http://www.w3.org/2001/XMLSchema#decimal"), normalize=False)
    assert str(parse_term(n3(huge))) == "1e999999999"


def test_a_literal_keeps_its_form_whatever_another_library_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rdflib, "NORMALIZE_LITERALS", True)
    written = '"05"^^<http://www.w3.org/2001/XMLSchema#integer>'
    assert str(parse_term(written)) == "05"
    assert str(from_ox(ox.Literal("05", datatype=ox.NamedNode("http://www.w3.org/2001/XMLSchema#integer")))) == "05"


def test_a_string_of_xsd_is_the_plain_one() -> None:
    assert parse_term(n3(Literal("a", datatype=URIRef("http://www.w3.org/2001/XMLSchema#string")))) == Literal("a")


@pytest.mark.parametrize(
    "text", ["", "a", '"a', '"a"b', "<a b>", "<a", "_:", '"a"@', '"a"^^<>', '"\\uD800"', '"a" "b"', "<a> .", '"a\nb"']
)
def test_what_is_no_term_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an N-Triples term"):
        parse_term(text)


@pytest.mark.parametrize("iri", ["http://a.org/> . <b", "http://a.org/ b", "a", "http://a.org/\n", "http://a.org/{}"])
def test_an_iri_that_could_break_out_is_not_written(iri: str) -> None:
    with pytest.raises(ValueError, match="IRI"):
        n3(URIRef(iri))
    with pytest.raises(ValueError, match="IRI"):
        n3(Literal("a", datatype=URIRef(iri)))


@few
@given(st.text(max_size=60), st.integers(1, 80))
def test_clean_text_is_one_line_of_seen_characters(text: str, cap: int) -> None:
    shown = clean(text, cap=cap)
    assert len(shown) <= cap
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    assert clean(shown, cap=cap) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "␛[31mred"),
        ("a\u202eb", "a<U+202E>b"),
        ("a\u200bb", "a<U+200B>b"),
        ("a\U000e0041b", "a<U+E0041>b"),
        ("a\u3164b", "a<U+3164>b"),
        ("a\nb\tc", "a b c"),
        ("a\uffffb\ufdd0", "a<U+FFFF>b<U+FDD0>"),
        ("\x7f\x85", "␡<U+0085>"),
        ("日本語 naïve 🚀 ½", "日本語 naïve 🚀 ½"),
    ],
)
def test_what_a_terminal_could_obey_is_shown_and_what_is_text_stays(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_a_long_text_is_cut_with_a_mark() -> None:
    assert clean("a" * 300) == "a" * 300
    assert clean("a" * 301) == "a" * 299 + "…"
    assert len(clean("\u202e" * 300)) == 300
    assert clean("a" * 301, cap=None) == "a" * 301


@pytest.mark.parametrize(
    ("iri", "name"),
    [
        ("http://a.org/x#Neil_Armstrong", "Neil_Armstrong"),
        ("http://a.org/x/", "x"),
        ("urn:isbn:123", "123"),
        ("http://a.org/K%C3%B6ln", "Köln"),
        ("http://a.org/%20", "http://a.org/%20"),
        ("///", "///"),
    ],
)
def test_a_local_name_is_what_a_person_would_read(iri: str, name: str) -> None:
    assert local_name(iri) == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hasBomPart", "has bom part"),
        ("release_year", "release year"),
        ("XMLDocument", "XML document"),
        ("A115-1234", "A115-1234"),
        ("___", "___"),
    ],
)
def test_a_name_is_read_as_words_and_is_never_lost(name: str, words: str) -> None:
    assert readable(name) == words


@few
@given(locals_)
def test_a_curie_expands_to_its_iri(local: str) -> None:
    spaces = Namespaces({"": "http://example.org/", "ex": "http://example.org/x/"})
    for iri in (f"http://example.org/{local}", f"http://example.org/x/{local}"):
        assert spaces.expand(spaces.curie(iri)) == URIRef(iri)


@pytest.mark.parametrize("text", ["Neil Armstrong", "unknown:thing", "http//x", ""])
def test_what_is_neither_curie_nor_iri_expands_to_nothing(text: str) -> None:
    assert Namespaces().expand(text) is None


def test_the_prefixes_of_the_data_come_first() -> None:
    spaces = Namespaces({"s": "https://schema.org/", "rdfs": "http://example.org/mine#"})
    assert spaces.curie("https://schema.org/name") == "s:name"
    assert spaces.curie("http://example.org/mine#a") == "rdfs:a"
    assert spaces.curie("http://www.w3.org/2000/01/rdf-schema#label").startswith("<")


def test_a_prefix_that_an_engine_could_read_as_a_keyword_is_not_used() -> None:
    keywords = {keyword.lower() for keyword in guard._DENIED}
    spaces = Namespaces({keyword: f"http://{keyword}.org/" for keyword in keywords} | {"ex": "http://ex.org/"})
    assert {spaces.curie(f"http://{keyword}.org/a") for keyword in keywords} == {
        f"<http://{keyword}.org/a>" for keyword in keywords
    }
    assert spaces.curie("http://ex.org/a.service") == "<http://ex.org/a.service>"
    assert spaces.curie("http://ex.org/a.part") == "ex:a.part"
    assert spaces.curie("http://ex.org/a.b.c") == "<http://ex.org/a.b.c>"


@pytest.mark.parametrize(
    ("prefix", "namespace"), [("a b", "http://x.org/"), ("_", "http://x.org/"), ("x", "http://x.org/> SELECT")]
)
def test_a_prefix_that_sparql_does_not_allow_is_not_written(prefix: str, namespace: str) -> None:
    spaces = Namespaces({prefix: namespace})
    assert spaces.curie(namespace + "a").startswith("<")
    assert spaces.sparql([namespace + "a"]) == ""


def test_the_prefix_lines_are_those_that_are_needed() -> None:
    lines = Namespaces().sparql([WELL_KNOWN_PREFIXES["owl"] + "Class", "http://example.org/a"])
    assert lines == "PREFIX owl: <http://www.w3.org/2002/07/owl#>\n"
    ox.Store().query(lines + "ASK { ?s a owl:Class }")
