"""What a source may be, and what is said of one that is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgllm.errors import InputError, SourceNotFoundError
from kgllm.sources import file_fingerprint, resolve


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.ttl", "b.nt.gz", "deep/c.TRIG", "notes.txt"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("")
    return tmp_path


def names(source: object) -> list[str]:
    return [file.name for file in resolve(source).files]  # type: ignore[arg-type]


def test_a_path_is_one_file_named_by_its_stem(folder: Path) -> None:
    source = resolve(str(folder / "b.nt.gz"))
    assert (source.kind, source.files, source.url, source.name) == ("files", (folder / "b.nt.gz",), None, "b")


def test_a_folder_is_all_rdf_files_in_it(folder: Path) -> None:
    assert names(folder) == ["a.ttl", "b.nt.gz", "c.TRIG"]
    assert resolve(folder).name == folder.name


def test_a_glob_is_what_it_matches(folder: Path) -> None:
    assert names(str(folder / "*.ttl")) == ["a.ttl"]
    assert names(str(folder / "**" / "*.TRIG")) == ["c.TRIG"]


def test_a_list_is_each_file_once(folder: Path) -> None:
    assert names([folder / "a.ttl", folder]) == ["a.ttl", "b.nt.gz", "c.TRIG"]


def test_a_url_is_an_endpoint_and_its_password_is_kept_apart() -> None:
    source = resolve("https://user:se%3Acret@example.org:81/sparql")
    assert (source.kind, source.files, source.name) == ("endpoint", (), "example.org")
    assert (source.url, source.username, source.password) == ("https://example.org:81/sparql", "user", "se:cret")
    assert "cret" not in repr(source)
    plain = resolve("https://example.org/sparql")
    assert (plain.url, plain.username, plain.password) == ("https://example.org/sparql", None, None)


@pytest.mark.parametrize("url", ["http://[x", "http://example.org:port/", "http://", "http://user:secret@[x"])
def test_a_url_that_is_none_is_told_without_its_password(url: str) -> None:
    with pytest.raises(InputError, match="endpoint") as caught:
        resolve(url)
    assert "secret" not in str(caught.value)


def test_a_url_stands_alone(folder: Path) -> None:
    with pytest.raises(InputError, match="mixed"):
        resolve(["https://example.org/sparql", str(folder)])


def test_what_is_missing_is_told_with_what_is_near(folder: Path) -> None:
    with pytest.raises(SourceNotFoundError) as caught:
        resolve(folder / "aa.ttl")
    assert str(folder / "a.ttl") in caught.value.try_next


def test_a_file_of_another_kind_is_told_which_extensions_there_are(folder: Path) -> None:
    with pytest.raises(InputError, match=r"\.jsonld"):
        resolve(folder / "notes.txt")


@pytest.mark.parametrize("nothing", [[], "empty"])
def test_nothing_is_no_source(folder: Path, nothing: object) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(InputError):
        resolve(folder / "empty" if nothing else [])


def test_the_fingerprint_is_of_what_the_files_say_not_of_their_names_or_order(tmp_path: Path) -> None:
    one, two, copy = (tmp_path / name for name in ("1.nt", "2.nt", "3.nt"))
    one.write_text("x")
    two.write_text("y")
    copy.write_text("x")
    assert file_fingerprint([one, two]) == file_fingerprint([two, copy])
    assert file_fingerprint([one]) != file_fingerprint([two])
