"""Tables: questions about many things at once, over a graph that looks like a database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import rdflib

import kgllm
from kgllm import Assistant
from kgllm.tables.marks import marks
from kgllm.words import tokenize

LIBRARY = """
@prefix : <https://example.org/> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
:Author a rdfs:Class ; rdfs:label "author" . :Book a rdfs:Class ; rdfs:label "book" .
:Branch a rdfs:Class ; rdfs:label "branch" . :Copy a rdfs:Class ; rdfs:label "copy" .
:author_name rdfs:label "author name" . :age rdfs:label "age" . :country rdfs:label "country" .
:first_name rdfs:label "first name" . :last_name rdfs:label "last name" .
:title rdfs:label "title" . :pages rdfs:label "pages" . :year rdfs:label "year" . :by rdfs:label "written by" .
:city rdfs:label "city" . :floorarea rdfs:label "floorarea" . :of rdfs:label "copy of" . :at rdfs:label "kept at" .
:a1 a :Author ; :author_name "Vera Holm" ; :first_name "Vera" ; :last_name "Holm" ; :age 40 ; :country "Norway" .
:a2 a :Author ; :author_name "Iko Sato" ; :first_name "Iko" ; :last_name "Sato" ; :age 62 ; :country "Japan" .
:a3 a :Author ; :author_name "Nils Berg" ; :first_name "Nils" ; :last_name "Berg" ; :age 30 ; :country "Norway" .
:b1 a :Book ; :title "North Wind" ; :pages 120 ; :year 2001 ; :by :a1 .
:b2 a :Book ; :title "Salt" ; :pages 300 ; :year 2010 ; :by :a1 .
:b3 a :Book ; :title "Paper Boats" ; :pages 180 ; :year 2010 ; :by :a2 .
:l1 a :Branch ; :city "Bergen" ; :floorarea 900 . :l2 a :Branch ; :city "Kyoto" ; :floorarea 400 .
:l3 a :Branch ; :city "Oslo" ; :floorarea 700 .
:c1 a :Copy ; :of :b1 ; :at :l1 . :c2 a :Copy ; :of :b2 ; :at :l1 . :c3 a :Copy ; :of :b3 ; :at :l2 .
:c4 a :Copy ; :of :b3 ; :at :l1 .
"""


@pytest.fixture(scope="module")
def library() -> Iterator[Assistant]:
    """Three authors, three books, and four copies in two of three branches."""
    with kgllm.open(rdflib.Graph().parse(data=LIBRARY, format="turtle"), planner="embedded") as kg:
        yield kg


def rows(kg: Assistant, question: str) -> set[tuple[str, ...]]:
    """The rows of an answer, as text; none of an abstention."""
    answer = kg.ask(question)
    return {tuple(str(term) for term in row) for row in answer.rows.rows} if not answer.abstained else set()


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        # several columns
        ("What are the titles and pages of the books from 2010?", {("Salt", "300"), ("Paper Boats", "180")}),
        ("What are the first, last, and author name of authors above age 50?", {("Iko", "Sato", "Iko Sato")}),
        ("Show the first and last names of all authors.", {("Vera", "Holm"), ("Iko", "Sato"), ("Nils", "Berg")}),
        # functions
        ("What is the average age of the authors?", {("44",)}),
        ("What are the minimum and maximum pages of all books?", {("120", "300")}),
        ("What is the total pages of the books from 2010?", {("480",)}),
        # groups
        ("How many books has each author? Show author name and count.", {("Vera Holm", "2"), ("Iko Sato", "1")}),
        ("For each country, how many authors are there?", {("Norway", "2"), ("Japan", "1")}),
        ("What is the average age of the authors of each country?", {("Norway", "35"), ("Japan", "62")}),
        # conditions
        ("Which titles have books with more than 150 pages and less than 200 pages?", {("Paper Boats",)}),
        ("What are the author names of authors above age 35?", {("Vera Holm",), ("Iko Sato",)}),
        ("Show the titles of books with between 100 and 200 pages.", {("North Wind",), ("Paper Boats",)}),
        ("What are the titles of the books whose title contains the word 'Boat'?", {("Paper Boats",)}),
        ("What are the author names of authors older than the average age?", {("Iko Sato",)}),
        ("Show the title and year of the books of Vera Holm.", {("North Wind", "2001"), ("Salt", "2010")}),
        # counts as conditions and as orders
        ("What are the author names of authors with at least two books?", {("Vera Holm",)}),
        ("Which cities have branches with more than 2 copies?", {("Bergen",)}),
        ("What is the author name of the author with the most books?", {("Vera Holm",)}),
        ("What are the author names of the authors with at least 2 titles?", {("Vera Holm",)}),
        ("What is the city of the branch with the fewest copies?", {("Kyoto",)}),
        ("What is the most common country of the authors?", {("Norway",)}),
        # extremes
        ("What are the title and year of the book with the largest pages?", {("Salt", "2010")}),
        ("What is the author name of the youngest author?", {("Nils Berg",)}),
        ("What is the city of the branch with the smallest floor area?", {("Kyoto",)}),
        # denials
        ("What are the author names of the authors without any books?", {("Nils Berg",)}),
        ("Which cities have branches that do not have any copies?", {("Oslo",)}),
        # two at once, and one of two
        ("What are the cities of branches that have copies of both Salt and Paper Boats?", {("Bergen",)}),
        ("What are the ages of the authors from Norway or Japan?", {("40",), ("62",), ("30",)}),
    ],
)  # fmt: skip
def test_a_table_has_what_is_asked_for(library: Assistant, question: str, expected: set[tuple[str, ...]]) -> None:
    assert rows(library, question) == expected


LEDGER = """
@prefix : <https://example.org/> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
:Order a rdfs:Class ; rdfs:label "order" . :order_number rdfs:label "order number" . :paid rdfs:label "paid on" .
:has_sale_price rdfs:label "has sale price" . :has_list_price rdfs:label "has list price" .
:sale_price_amount rdfs:label "sale price amount" . :list_price_amount rdfs:label "list price amount" .
:o1 a :Order ; :order_number "A1" ; :has_sale_price [ :sale_price_amount 80 ] ;
  :has_list_price [ :list_price_amount 90 ] ; :paid "2019-03-01"^^<http://www.w3.org/2001/XMLSchema#date> .
:o2 a :Order ; :order_number "B2" ; :has_sale_price [ :sale_price_amount 50 ] ;
  :has_list_price [ :list_price_amount 70 ] ; :paid "2021-07-09"^^<http://www.w3.org/2001/XMLSchema#date> .
"""


@pytest.fixture(scope="module")
def ledger() -> Iterator[Assistant]:
    """Two orders, whose prices are nodes without a class."""
    with kgllm.open(rdflib.Graph().parse(data=LEDGER, format="turtle"), planner="embedded") as kg:
        yield kg


def test_what_stands_at_a_node_without_a_class_is_an_attribute_of_the_thing(ledger: Assistant) -> None:
    expected = {("80", "A1"), ("50", "B2")}
    assert rows(ledger, "What are the sale price amounts of all orders by order number?") == expected


def test_a_year_is_compared_with_a_date(ledger: Assistant) -> None:
    assert rows(ledger, "What are the order number and sale price amount of orders paid in 2019?") == {("A1", "80")}
    assert rows(ledger, "What are the order number and sale price amount of orders paid after 2019?") == {("B2", "50")}


def test_an_order_is_kept(library: Assistant) -> None:
    answer = library.ask("List the author names of all authors sorted by age in descending order.")
    assert [str(term) for term in answer.results] == ["Iko Sato", "Vera Holm", "Nils Berg"]


def kinds(question: str) -> list[str]:
    """The kinds of the marks of a question."""
    return [mark.kind for mark in marks(question, tokenize(question))]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How many books per author?", ["count", "each"]),
        ("How many books has a person?", ["count"]),
        ("Which authors have at least 2 books?", ["operator", "number"]),
        ("Which author has the least books?", ["most"]),
        ("Which books have no more than 100 pages?", ["operator", "number"]),
        ("Which books have no pages?", ["not"]),
        ("Which books are above the average price?", ["average"]),
        ("What is the average price?", ["function"]),
        ("Who wrote the notebook?", []),
    ],
)
def test_a_form_is_told_from_words_that_look_like_it(question: str, expected: list[str]) -> None:
    assert kinds(question) == expected


def test_a_count_of_one_thing_is_no_group(library: Assistant) -> None:
    assert rows(library, "How many different countries are the authors from?") == {("2",)}
    assert rows(library, "How many books were written by the author with the author name Vera Holm?") == {("2",)}


def test_a_denial_that_no_table_reads_is_not_answered(library: Assistant) -> None:
    assert library.ask("Who did not write Salt?").abstained
    assert library.ask("Is Salt not a book?").abstained


def test_a_word_of_a_longer_name_is_not_taken_for_a_form(library: Assistant) -> None:
    assert rows(library, "What are the first name and country of Iko Sato?") == {("Iko", "Japan")}


@pytest.mark.parametrize(
    "question",
    [
        "Which authors contain fish?",
        "What is the average weight of the authors?",
        "What are the author names of authors sorted by the number of prizes?",
        "List the author names of all authors sorted by prizes.",
        "Which author has the most prizes?",
        "What are the author names of the authors older than the average prize?",
    ],
)
def test_a_form_that_no_part_of_the_table_reads_is_not_answered_with_everything(
    library: Assistant, question: str
) -> None:
    assert not rows(library, question)


def test_an_order_is_by_a_number_of_things_or_by_what_is_shown(library: Assistant) -> None:
    answer = library.ask("List the author names of the authors sorted by the number of books in descending order.")
    assert [str(term) for term in answer.results] == ["Vera Holm", "Iko Sato"]
    answer = library.ask("List the author names of all authors in alphabetical order.")
    assert [str(term) for term in answer.results] == ["Iko Sato", "Nils Berg", "Vera Holm"]


def test_both_of_two_numbers_are_read(library: Assistant) -> None:
    expected = {("North Wind",), ("Paper Boats",)}
    assert rows(library, "Show the titles of books with 120 or 180 pages.") == expected
    assert rows(library, "Show the titles of books with pages of 120 or 180.") == expected
    assert rows(library, "Show the titles of books with between 130 and 200 pages.") == {("Paper Boats",)}
    assert rows(library, "What are the author names and the number of books for each?") == {
        ("Vera Holm", "2"),
        ("Iko Sato", "1"),
    }


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How many authors have at least 2 books?", {("1",)}),
        ("How many countries have at least 2 authors?", {("1",)}),
        ("How many authors have at least one book?", {("2",)}),
        ("What are the author names of the 2 youngest authors?", {("Nils Berg",), ("Vera Holm",)}),
        ("What are the 2 most common countries of the authors?", {("Norway",), ("Japan",)}),
        (
            "What are the author names of the top 1,000 youngest authors?",
            {("Nils Berg",), ("Vera Holm",), ("Iko Sato",)},
        ),
    ],
)
def test_each_group_is_held_to_a_number_and_so_many_are_kept(
    library: Assistant, question: str, expected: set[tuple[str, ...]]
) -> None:
    assert rows(library, question) == expected


def test_an_order_of_counts_that_are_not_told_apart_is_no_count_of_all(library: Assistant) -> None:
    assert rows(library, "How many books has the author with the most books?") != {("3",)}
    assert rows(library, "How many books has the oldest author?") != {("3",)}
    answer = library.ask("What is the average age of the authors of each country, sorted by age?")
    assert [str(row[1]) for row in answer.rows.rows] == ["35", "62"]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Show the titles of the books and the rank", []),
        ("Which order is the oldest?", ["extreme"]),
        ("Show the books ranked by age", ["order"]),
        ("Show the books and sort them by age", ["order"]),
        ("Sort the books by age", ["order"]),
        ("Count the books", ["count"]),
        ("Count the number of books", ["count"]),
        ("Show the account of the books", []),
        ("Show the 3 youngest authors", ["extreme"]),
    ],
)
def test_a_noun_is_no_sort(question: str, expected: list[str]) -> None:
    assert kinds(question) == expected


def test_the_name_of_a_class_is_no_sort(ledger: Assistant) -> None:
    expected = {("https://example.org/o1", "80"), ("https://example.org/o2", "50")}
    assert rows(ledger, "What is the average sale price amount for each order in the graph?") == expected


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What are the author names of authors without books who are from Norway?", {("Nils Berg",)}),
        ("What are the author names of authors who do not have books and are from Norway?", {("Nils Berg",)}),
        ("What are the author names of authors who are not from Norway and have books?", {("Iko Sato",)}),
        ("What are the author names of authors without books from 2001?", {("Iko Sato",), ("Nils Berg",)}),
        ("What are the author names of authors without books and copies?", set()),
        (
            "Which author does not have any books? List the author name, country and age.",
            {("Nils Berg", "Norway", "30")},
        ),
    ],
)
def test_a_denial_ends_with_its_clause(library: Assistant, question: str, expected: set[tuple[str, ...]]) -> None:
    assert rows(library, question) == expected


WORKSHOP = """
@prefix : <https://example.org/> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
:Painter a rdfs:Class ; rdfs:label "painter" . :Canvas a rdfs:Class ; rdfs:label "canvas" .
:Medal a rdfs:Class ; rdfs:label "medal" . :surname rdfs:label "surname" . :height rdfs:label "height" .
:age rdfs:label "age" . :painted rdfs:label "painted by" . :won rdfs:label "won by" . :metal rdfs:label "metal" .
:p1 a :Painter ; :surname "Rossi" ; :age 30 . :p2 a :Painter ; :surname "Kahn" ; :age 50 .
:p3 a :Painter ; :surname "Lund" ; :age 70 . :p4 a :Painter ; :surname "Mbeki" ; :age 60 .
:fee rdfs:label "fee" . :p1 :fee "1,200" . :p2 :fee "1,900" . :p3 :fee "1,100" . :p4 :fee "1,400" .
:v1 a :Canvas ; :height 100 ; :age 900 ; :painted :p1 . :v2 a :Canvas ; :height 40 ; :age 800 ; :painted :p1 .
:v3 a :Canvas ; :height 60 ; :age 700 ; :painted :p2 .
:m1 a :Medal ; :metal "gold" ; :won :p1 . :m2 a :Medal ; :metal "tin" ; :won :p1 .
:m3 a :Medal ; :metal "tin" ; :won :p3 .
"""


@pytest.fixture(scope="module")
def workshop() -> Iterator[Assistant]:
    """Painters, of whom one has canvases and medals, one canvases, one medals and one neither."""
    with kgllm.open(rdflib.Graph().parse(data=WORKSHOP, format="turtle"), planner="embedded") as kg:
        yield kg


def test_each_thing_that_is_denied_is_absent_by_itself(workshop: Assistant) -> None:
    assert rows(workshop, "What are the surnames of the painters without canvases or medals?") == {("Mbeki",)}
    expected = {("Lund",), ("Mbeki",)}
    assert rows(workshop, "What are the surnames of the painters without any canvases?") == expected


def test_an_average_is_of_the_things_that_are_compared(workshop: Assistant) -> None:
    expected = {("Lund",), ("Mbeki",)}
    assert rows(workshop, "What are the surnames of the painters above the average age?") == expected


def test_a_sum_beside_what_hangs_elsewhere_is_not_given(workshop: Assistant) -> None:
    assert not rows(
        workshop, "What are the surname, the total height of the canvases and the number of medals of each painter?"
    )
    expected = {("Rossi", "140"), ("Kahn", "60")}
    assert rows(workshop, "What are the surname and the total height of the canvases of each painter?") == expected


def test_things_are_not_ordered_by_how_often_they_are_themselves(workshop: Assistant) -> None:
    assert len(rows(workshop, "What is the most common canvas?")) != 1  # not any one of them
    assert rows(workshop, "What is the most common metal of the medals?") == {("tin",)}


def test_numbers_with_commas_are_sorted_as_text(workshop: Assistant) -> None:
    answer = workshop.ask("List the surnames of all painters sorted by fee in descending order.")
    assert [str(term) for term in answer.results] == ["Kahn", "Mbeki", "Rossi", "Lund"]
