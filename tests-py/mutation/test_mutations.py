"""The list of mutations fits the extension of now. Whether they are caught, `make mutate` tells."""

from __future__ import annotations

from mutation.mutate import PAGE, mutate, sources, with_table
from mutation.mutations import MUTATIONS
from support.server import REPOSITORY


def test_every_mutation_can_be_applied() -> None:
    texts = sources()
    for mutation in MUTATIONS:
        path, text = mutate(mutation, texts)
        assert text != texts[path], mutation.name


def test_their_tests_exist() -> None:
    files = {test.partition("::")[0] for mutation in MUTATIONS for test in mutation.tests}
    assert [file for file in sorted(files) if not (REPOSITORY / file).is_file()] == []


def test_no_two_have_one_name() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)


def test_the_documents_list_them() -> None:
    """`make mutate-docs` writes the list."""
    page = PAGE.read_text("utf-8")
    assert with_table(page) == page
