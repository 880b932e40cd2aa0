"""What a page carries comes back as it was, by Python's own gzip, base64 and JSON."""

import base64
import gzip
import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nasproxy.page import packing


def unpacked(text: str) -> bytes:
    return gzip.decompress(base64.b64decode(text, validate=True))


@given(st.lists(st.floats(), min_size=1, max_size=20))
def test_numbers_come_back_bit_by_bit(values: list[float]) -> None:
    column = np.array(values)
    planes = np.frombuffer(unpacked(packing.numbers([column, -column])), np.uint8)
    found = planes.reshape(8, -1).T.copy().view("<f8").ravel()
    np.testing.assert_array_equal(found, [*values, *(-column)])


@given(st.lists(st.text(), max_size=250))
def test_texts_come_back_in_blocks(values: list[str]) -> None:
    blocks = packing.blocks(values)
    assert len(blocks) == -(-len(values) // packing.BLOCK)
    found = [text for block in blocks for text in json.loads(unpacked(block))]
    assert found == values


def test_what_utf8_has_no_letter_for_is_replaced() -> None:
    assert json.loads(unpacked(packing.texts(["a\ud800"]))) == ["a?"]


def test_the_same_page_packs_the_same() -> None:
    assert packing.texts(["a"]) == packing.texts(["a"])
    assert unpacked(packing.texts(["a"])) == b'["a"]'


@given(st.text())
def test_json_in_a_script_ends_no_element(text: str) -> None:
    found = packing.script_json({"text": text})
    assert not set("<>&") & set(found)
    assert json.loads(found) == {"text": text}
