"""Accel-NASBench's part of MNAS."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from nasproxy.checks import Whole, check
from nasproxy.errors import ArchitectureError
from search_spaces.mnas.block import IDENTITY, MBCONV, Block
from search_spaces.mnas.network import Backbone
from search_spaces.mnas.space import BLOCKS, BlockSpace


@dataclass(frozen=True)
class AccelNASBench(BlockSpace):
    """Accel-NASBench's space: MNAS with MBConvs and identity skips only, and expansion searched.

    Blocks to 16, 24, 40, 80, 112, 192 and 320 channels; expansion 1, 4 or 6; kernel 3 or 5; 1 to 3
    layers, the sixth block to 4; squeeze-and-excitation of a quarter of a layer's input channels,
    or none (Ahmad et al. 2024). Parameters are the benchmark's; its table's MACs count four more
    operations for each value that batch norm makes, and every value that is averaged.

    A key's code for a block is expansion, kernel, layers, and ``se`` where there is one:
    ``e6k3l2se``. Scoring the whole space at one image shape takes 167 programs (as many again for
    the batch-norm pass).

    Attributes:
        width: channels of the stem; 32 is the benchmark's. All others are multiplied by width / 32
            and rounded to multiples of 8 by MobileNet's rule.
    """

    width: int = 32

    name: ClassVar[str] = "accel_nasbench"
    fields: ClassVar[tuple[str, ...]] = ("expansion", "kernel", "layers", "se")
    columns: ClassVar[tuple[str, ...]] = tuple(
        f"block{i}_{column}" for i in range(BLOCKS) for column in ("e", "k", "l", "se")
    )
    _code: ClassVar[re.Pattern[str]] = re.compile(r"e(\d{1,4})k(\d{1,4})l(\d{1,4})(se)?")

    def __post_init__(self) -> None:
        check(self.name, self, width=Whole())

    @property
    def backbone(self) -> Backbone:
        return Backbone(self.width, (16, 24, 40, 80, 112, 192, 320), gate="hard_sigmoid")

    def block_choices(self, position: int) -> dict[str, tuple[Any, ...]]:
        return {
            "expansion": (1, 4, 6),
            "kernel": (3, 5),
            "layers": (1, 2, 3, 4) if position == 5 else (1, 2, 3),
            "se": (0.0, 0.25),
        }

    def fixed(self, position: int) -> dict[str, Any]:
        return {"op": MBCONV, "skip": IDENTITY, "multiplier": 1.0}

    def encode(self, block: Block) -> str:
        se = "se" if block.se else ""
        return f"e{block.expansion}k{block.kernel}l{block.layers}{se}"

    def decode(self, code: str) -> dict[str, Any] | None:
        match = self._code.fullmatch(code)
        if match is None:
            return None
        expansion, kernel, layers = map(int, match.groups()[:3])
        se = 0.25 if match[4] else 0.0
        return {"expansion": expansion, "kernel": kernel, "layers": layers, "se": se}

    def row_key(self, row: Mapping[Any, Any]) -> str:
        """The key of a row of the benchmark's table; raises ArchitectureError for another's."""
        blocks = []
        for i in range(BLOCKS):
            e, k, layers, se = (row[f"block{i}_{column}"] for column in ("e", "k", "l", "se"))
            if se not in (0, 1):
                raise ArchitectureError(f"block{i}_se is {se!r}: it is true or false")
            blocks.append({"expansion": e, "kernel": k, "layers": layers, "se": 0.25 * bool(se)})
        return self.key(self.checked(blocks))
