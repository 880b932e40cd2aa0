"""Settings of the NNGP that share their features."""

from dataclasses import dataclass

from nasproxy import NNGP
from nasproxy.reproduce.scores import spelled


@dataclass(frozen=True)
class Family:
    """Settings whose features are nested, so that one score of the largest holds all.

    Attributes:
        pool: pixels averaged by, in each direction: 32×32 pixels at 1, 16×16 at 2.
        width: channels of the stem.
        norm_images: images of the batch-norm pass.
        n_train: training images; measures need no others.
        ensemble: networks, M.
    """

    pool: int
    width: int
    norm_images: int
    n_train: tuple[int, ...]
    ensemble: tuple[int, ...]

    def proxy(self, n_train: int | tuple[int, ...], ensemble: int | tuple[int, ...]) -> NNGP:
        """The proxy at sizes of this family."""
        return spelled(
            NNGP,
            NNGP.presets["paper"],
            n_train=n_train,
            n_valid=0,
            ensemble=ensemble,
            width=self.width,
            norm_images=self.norm_images,
            measure="loo_accuracy",
        )
