"""Data cards: those of the core, and what a malformed one is told."""

from __future__ import annotations

import pytest

from aerepr.registry.card import Card, FileCard, parse_card
from aerepr.registry.catalogue import core_catalogue
from aerepr.registry.registry import Registry

PUBLISHED = {
    "cars3d",
    "celeba",
    "dsprites",
    "fashion_mnist",
    "mnist",
    "mpi3d_real",
    "mpi3d_real_complex",
    "mpi3d_realistic",
    "mpi3d_toy",
    "rfd",
    "shapes3d",
    "smallnorb",
}
CARDS = {note.name: note.card for note in core_catalogue().components if note.card is not None}


def table(**changes: object) -> dict[str, object]:
    texts = {key: key.upper() for key in ("title", "homepage", "licence", "citation", "by_hand")}
    return {**texts, "files": [{"name": "a.npz"}], **changes}


def test_every_published_data_set_has_a_card():
    assert set(CARDS) == PUBLISHED
    for name, card in CARDS.items():
        assert all((card.title, card.homepage, card.licence, card.citation, card.by_hand)), name
        for file in card.files:
            assert all(url.startswith(("https://", "http://")) for url in file.urls), name


def test_the_sizes_known_by_heart():
    mnist = {file.name: file.size for file in CARDS["mnist"].files}
    assert mnist == {
        "train-images-idx3-ubyte.gz": 9_912_422,
        "train-labels-idx1-ubyte.gz": 28_881,
        "t10k-images-idx3-ubyte.gz": 1_648_877,
        "t10k-labels-idx1-ubyte.gz": 4_542,
    }
    assert CARDS["mnist"].size == sum(mnist.values())
    assert CARDS["dsprites"].size is None


def test_a_card_in_full():
    card = parse_card(
        table(
            files=[
                {"name": "a.npz", "urls": ["https://x/a.npz"], "size": 3, "sha256": "0" * 64},
                {"name": "b.zip", "md5": "f" * 32, "unpacks_to": "b/c", "optional": True},
            ]
        )
    )
    assert card == Card(
        *("TITLE", "HOMEPAGE", "LICENCE", "CITATION", "BY_HAND"),
        files=(
            FileCard("a.npz", ("https://x/a.npz",), 3, f"sha256:{'0' * 64}"),
            FileCard("b.zip", hash=f"md5:{'f' * 32}", unpacks_to="b/c", optional=True),
        ),
    )
    assert card.size is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"files": []}, "files is empty"),
        ({"license": "MIT"}, "no key license"),
        ({"files": [{"name": "a", "url": "https://x"}]}, 'file "a": no key url'),
        ({"files": [{"name": "../a"}]}, "leads out"),
        ({"files": [{"name": "/a"}]}, "leads out"),
        ({"files": [{"name": "a", "unpacks_to": "b/../../c"}]}, "leads out"),
        ({"files": [{"name": "a", "size": "3 GB"}]}, "expected a number of bytes"),
        ({"files": [{"name": "a", "sha256": "0" * 63}]}, "expected 64 hexadecimal digits"),
        ({"files": [{"name": "a", "sha256": "0" * 64, "md5": "0" * 32}]}, "two hashes"),
    ],
)
def test_a_malformed_card_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        parse_card(table(**changes))


def test_a_plugin_brings_cards_too_and_a_malformed_one_is_reported(install):
    catalogue = """
        [[components]]
        kind = "dataset"
        name = "{name}"
        summary = "a test"
        [components.card]
        title = "A test"
        homepage = "https://example.org"
        licence = "MIT"
        citation = "none"
        by_hand = "draw it"
        files = [{{ name = "a.npz"{more} }}]
        """
    for package, more in (("good_cards", ""), ("bad_cards", ", size = 0")):
        points = {"aerepr.datasets": {package: f"{package}:Part"}, "aerepr.recipes": {package: package}}
        install(package, points, catalogue.format(name=package, more=more))
    registry = Registry()
    assert registry.note("dataset", "good_cards").card.files == (FileCard("a.npz"),)
    assert registry.note("dataset", "bad_cards").card is None
    (problem,) = [found.problem for found in registry.catalogues if found.problem]
    assert "size 0, expected a number of bytes" in problem
