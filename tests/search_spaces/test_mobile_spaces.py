"""MNAS, Accel-NASBench and NAS-Bench-Macro: published counts, networks, keys, programs."""

import json
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from nasproxy.errors import ArchitectureError, DataError
from nasproxy.networks import execution
from nasproxy.networks.graph import Graph
from nasproxy.networks.layers import BNReLU, ConvBN, DepthwiseBN, SqueezeExcite
from nasproxy.space import network as network_of
from search_spaces import MNAS, AccelNASBench, NASBenchMacro
from search_spaces.mnas.network import rounded
from tests.support import reference
from tests.support.networks import programs as programs_of

IMAGENET, CIFAR = (224, 224, 3), (32, 32, 3)


@pytest.fixture(scope="session")
def accel_table(shared: Path) -> pd.DataFrame:
    path = shared / "data" / "truth" / "accel_nasbench.parquet"
    if not path.is_file():
        pytest.skip("shared/ holds no accel_nasbench.parquet")
    return pd.read_parquet(path)


def table_macs(graph: Graph) -> int:
    """Operations as Accel-NASBench's table counts them: four a value that batch norm makes, one a
    product with a weight, one a value that is averaged and one an average."""
    count = graph.flops // 2
    for step in graph.steps:
        image = graph.shapes[step.inputs[0]]
        match step.layer:
            case ConvBN() | DepthwiseBN() | BNReLU():
                count += 4 * int(np.prod(step.layer.shape(image)))
            case SqueezeExcite(channels=channels):
                count += channels * (image[0] * image[1] + 1)
    height, width, channels = graph.shapes[-3]
    return count + channels * (height * width + 1)


def test_accel_table_parameters_and_macs(accel_table: pd.DataFrame) -> None:
    """Every row, to the precision given; MACs with batch norm and means counted, to the last."""
    space = AccelNASBench()
    keys = set()
    for row in accel_table.to_dict("records"):
        key = space.row_key(row)
        keys.add(key)
        graph = space.graph(space.find(key), IMAGENET, 1000)
        assert graph.parameters / 1e6 == pytest.approx(row["params"], abs=1e-9)
        assert table_macs(graph) / 1e6 == pytest.approx(row["macs"], abs=1e-6)
    assert 0 < len(accel_table) - len(keys) < 20  # a few are there twice


def test_macro_table_parameters_and_flops(shared: Path) -> None:
    path = shared / "data" / "truth" / "nasbench_macro.parquet"
    if not path.is_file():
        pytest.skip("shared/ holds no nasbench_macro.parquet")
    table = pd.read_parquet(path)
    assert len(table) == table["arch"].nunique() == 3**8
    space = NASBenchMacro()
    for row in table.to_dict("records"):
        graph = space.graph(space.find(space.row_key(row)), CIFAR, 10)
        assert graph.parameters == row["params"]
        assert graph.flops == 2 * row["flops"]


def test_extremes_of_the_tables() -> None:
    """Published counts, for a checkout without the tables."""
    smallest = NASBenchMacro().graph("0" * 8, CIFAR, 10)
    assert (smallest.parameters, smallest.flops) == (387_882, 2 * 7_713_280)
    row = AccelNASBench().find("e6k3l1/e4k5l2/e6k3l3/e6k5l3/e6k5l2/e1k3l2/e1k3l2")
    assert AccelNASBench().graph(row, IMAGENET, 1000).parameters == 2_501_160


# Programs


def covering(space: MNAS | AccelNASBench) -> Iterable[Any]:
    """Architectures that hold every layer of a space: each block in all its ways after each number
    of channels that the block before can make."""
    choices = [space.block_choices(i) for i in range(7)]
    first = [{field: values[0] for field, values in block.items()} for block in choices]
    for i, block in enumerate(choices):
        before = choices[i - 1].get("multiplier", (1.0,)) if i else (None,)
        for multiplier, *values in product(before, *block.values()):
            blocks = [dict(b) for b in first]
            if i and "multiplier" in block:
                blocks[i - 1]["multiplier"] = multiplier
            blocks[i] = dict(zip(block, values, strict=True))
            yield space.assemble([b[field] for b in blocks for field in space.fields])


def count(space: Any, architectures: Iterable[Any]) -> int:
    programs: set[Any] = set()
    for architecture in dict.fromkeys(architectures):
        programs |= programs_of(space.graph(architecture, CIFAR, 10))
    return len(programs)


@pytest.mark.parametrize(
    ("space", "programs"),
    [(MNAS(), 588), (MNAS(width=16), 436), (AccelNASBench(), 167), (AccelNASBench(width=16), 167)],
    ids=str,
)
def test_programs_of_the_whole_space(space: MNAS | AccelNASBench, programs: int) -> None:
    """As docstrings say; a sample of the space asks for none that is not among them."""
    covered = list(covering(space))
    assert count(space, covered) == programs
    assert count(space, [*covered, *space.sample(100, 0)]) == programs


def test_programs_of_macro() -> None:
    space = NASBenchMacro()
    assert count(space, map("".join, product("012", repeat=8))) == 38
    assert all(f" {n} programs" in (k.__doc__ or "") for k, n in ((NASBenchMacro, 38), (MNAS, 588)))
    assert " 167 programs" in (AccelNASBench.__doc__ or "")


# Networks


@pytest.mark.parametrize("space", [MNAS(width=8), AccelNASBench(width=8), NASBenchMacro(width=8)])
@pytest.mark.parametrize("grey", [False, True], ids=["colour", "grey"])
def test_network_equals_its_definition(space: Any, grey: bool) -> None:
    """Features padded or not, of a network drawn from the space; grey images get a stem of one."""
    shape = (32, 32, 1 if grey else 3)
    rng = np.random.default_rng(0)
    graph = space.graph(space.sample(1, 2)[0], shape, 4)
    images = rng.normal(size=(3, *shape)).astype(np.float32)
    params = execution.initialise(graph, rng)
    expected, _, _ = reference.forward(graph, params, [{} for _ in params], images)
    padded = execution.pad(graph)
    features = execution.features(
        padded, execution.place(padded, params), [{} for _ in params], jax.device_put(images)
    )
    assert expected.any()
    got = np.asarray(features)[:, : graph.features]
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4 * expected.max())


@pytest.mark.parametrize("space", [MNAS(width=8), AccelNASBench(width=8)])
def test_counts_equal_the_flax_modules(space: Any) -> None:
    for architecture in space.sample(2, 1):
        network = network_of(space, architecture, CIFAR, 10)
        arrays = jax.tree.leaves(nnx.state(network, nnx.Param))
        assert network.graph.parameters == sum(array.size for array in arrays)


def test_accel_is_a_part_of_mnas() -> None:
    """MNAS given Accel's filters, ratio and gate builds the same network from the same choices."""
    accel = AccelNASBench()
    mnas = MNAS(
        filters=(16, 24, 40, 80, 112, 192, 320),
        layers=(2, 2, 2, 2, 2, 3, 2),
        expansions=(6,) * 7,
        gate="hard_sigmoid",
    )
    key = "mbconv5se25-identity-100x3/" * 6 + "mbconv3-none-100x1"
    ours = mnas.graph(mnas.find(key), CIFAR, 10)
    assert ours == accel.graph(accel.find("e6k5l3se/" * 6 + "e6k3l1"), CIFAR, 10)


PLAIN = [f"conv3-none-100x{layers}" for layers in (1, 1, 2, 3, 2, 2, 1)]
"""Codes of an architecture of MNAS without anything but convolutions."""


@pytest.mark.parametrize(
    ("code", "layers"),
    [
        ("conv5-none-100x2", "ProjectAdd ProjectAdd"),
        ("conv5-identity-100x2", "ProjectAdd ProjectAdd"),
        ("conv5se25-identity-100x2", "ProjectAdd SqueezeExcite ProjectAdd SqueezeExcite Add"),
        (
            "sepconv3-pool-100x2",
            "DepthwiseBN ProjectAdd AveragePool3x3 DepthwiseBN ProjectAdd",
        ),
        ("mbconv3se25-none-100x1", "ConvBN DepthwiseBN SqueezeExcite ProjectAdd"),
    ],
)
def test_a_block_is_built_of_what_it_says(code: str, layers: str) -> None:
    space = MNAS()
    key = "/".join([PLAIN[0], code, *PLAIN[2:]])
    steps = space.graph(space.find(key), CIFAR, 10).steps[2:-13]
    assert [type(step.layer).__name__ for step in steps] == layers.split()
    values = dict(enumerate(steps, 3))  # the stem made value 1, the first block 2
    reads = values[2 + len(steps)].inputs
    assert len(reads) == (2 if "identity" in code or "pool" in code else 1)


@pytest.mark.parametrize(
    ("channels", "expected"), [(16, 16), (12, 16), (20, 24), (10, 16), (4, 8), (60, 64), (100, 104)]
)
def test_channels_are_rounded_by_mobilenets_rule(channels: float, expected: int) -> None:
    assert rounded(channels, 8) == expected


# Keys and bad input


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(0, 20))
@pytest.mark.parametrize("kind", [MNAS, AccelNASBench, NASBenchMacro])
def test_keys_and_json_round_trip_along_mutations(kind: type, seed: int, steps: int) -> None:
    space = kind()
    rng = np.random.default_rng(seed)
    (architecture,) = space.sample(1, seed)
    for _ in range(steps):
        mutant = space.mutate(architecture, rng)
        assert space.key(mutant) != space.key(architecture)
        architecture = mutant
    assert space.find(space.key(architecture)) == architecture
    assert space.from_json(space.to_json(architecture)) == architecture
    assert hash(space.from_json(space.to_json(architecture))) == hash(architecture)


def test_what_has_no_effect_is_no_other_architecture() -> None:
    """The skip of a block of one layer, in keys and JSON."""
    space = MNAS()
    plain = space.find("/".join(PLAIN))
    assert space.find("/".join(["conv3-pool-100x1", *PLAIN[1:]])) == plain
    assert space.find("/".join([*PLAIN[:2], "conv3-pool-100x2", *PLAIN[3:]])) != plain
    record = json.loads(space.to_json(plain))
    record["blocks"][0]["skip"] = "identity"
    assert space.from_json(json.dumps(record)) == plain


def test_every_choice_is_drawn_as_often_as_it_is_listed() -> None:
    """MNAS's first block has one layer twice (one fewer than one is one) and two once."""
    drawn = [blocks[0].layers for blocks in MNAS().sample(900, 0)]
    assert np.mean(np.array(drawn) == 1) == pytest.approx(2 / 3, abs=0.06)


@pytest.mark.parametrize(
    ("kind", "key", "message"),
    [
        (AccelNASBench, "e6k7l1" + "/e6k3l1" * 6, "block 0.*kernel=7: choose one of 3, 5"),
        (AccelNASBench, "e6k3l1" * 7, "no block of accel_nasbench"),
        (AccelNASBench, "e6k3l1/" * 5 + "e6k3l1", "6 blocks.*has 7"),
        (AccelNASBench, "e6k3l4" + "/e6k3l1" * 6, "block 0.*layers=4: choose one of 1, 2, 3"),
        (MNAS, "/".join(["conv3-none-80x1", *PLAIN[1:]]), "multiplier=0.8: choose one of 0.75"),
        (NASBenchMacro, "01201203", "eight|8 digits"),
    ],
)
def test_blocks_out_of_range(kind: type, key: str, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        kind().find(key)


def test_json_out_of_range() -> None:
    space = MNAS()
    record = json.loads(space.to_json(space.sample(1, 0)[0]))
    for change, message in (
        ({"kernel": True}, "kernel=True"),
        ({"skip": []}, r"skip=\[\]"),
        ({"layers": 9}, "block 3.*layers=9: choose one of 3, 4, 5"),
        ({"size": 3}, "block 3.*give it op, kernel"),
    ):
        blocks = [dict(b) for b in record["blocks"]]
        blocks[3] |= change
        with pytest.raises(ArchitectureError, match=message):
            space.from_json(json.dumps({"blocks": blocks}))


def test_images_smaller_than_the_strides() -> None:
    spaces: list[tuple[Any, int]] = [(MNAS(), 32), (AccelNASBench(), 32), (NASBenchMacro(), 8)]
    for space, side in spaces:
        (architecture,) = space.sample(1, 0)
        assert space.graph(architecture, (side, side, 3), 10).shapes[-3][:2] == (1, 1)
        with pytest.raises(DataError, match=f"at least {side}×{side}"):
            space.graph(architecture, (side, side - 1, 3), 10)
