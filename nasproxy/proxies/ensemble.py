"""What proxies share that average kernels of networks drawn at random."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import jax
from jaxtyping import Float

from nasproxy.data import Dataset
from nasproxy.data.dataset import Subset
from nasproxy.networks.graph import Graph
from nasproxy.networks.initialised import Initialised
from nasproxy.proxies.base import Score, Scorer, on_width
from nasproxy.proxies.kernel_regression import Problem, Sizes, sizes
from nasproxy.space import SearchSpace
from nasproxy.threads import solving

Member = TypeVar("Member")
Batches = Sequence[jax.Array]


class Settings(Protocol):
    """The fields that such a proxy has; :class:`~nasproxy.proxies.nngp.NNGP` says what they are."""

    @property
    def n_train(self) -> Sizes: ...
    @property
    def n_valid(self) -> Sizes: ...
    @property
    def ensemble(self) -> Sizes: ...
    @property
    def norm_images(self) -> int: ...
    @property
    def balanced(self) -> bool: ...
    @property
    def valid_from(self) -> str: ...


def scorer(
    settings: Settings,
    space: SearchSpace[Any],
    data: Dataset,
    seed: int,
    *,
    split: Callable[[Subset, Graph], Batches],
    member: Callable[[Initialised, Batches, Float[jax.Array, "b h w c"], int], Member],
    judge: Callable[[Graph, list[Member], Problem], Score],
) -> Scorer:
    """From an architecture to the score of its networks, on images that all architectures share.

    Args:
        settings: images and members.
        space, data, seed: as for :meth:`nasproxy.proxies.Proxy.prepare`.
        split: cuts images into batches, once for each shape of stem.
        member: what is read of one network, from batches, the batch of the batch-norm pass, and
            the number of training images.
        judge: the score of all members.

    Raises:
        DataError: more images than the data has.
    """
    space = on_width(settings, space)[1]
    problem = Problem.of(
        data,
        seed,
        n_train=settings.n_train,
        n_valid=settings.n_valid,
        balanced=settings.balanced,
        valid_from=settings.valid_from,
    )
    size = min(settings.norm_images, len(data.train_images))
    norm_batch = jax.device_put(data.subset("train", size, seed + 1, balanced=False)[0])
    batches: dict[tuple[int, ...], Batches] = {}

    def score(architecture: object) -> Score:
        graph = space.graph(architecture, data.image_shape, data.classes)
        stem = graph.shapes[1]
        if stem not in batches:
            batches[stem] = split(problem.images, graph)
        members = [
            member(
                Initialised.draw(graph, (seed, number)),
                batches[stem],
                norm_batch,
                len(problem.targets),
            )
            for number in range(max(sizes(settings.ensemble)))
        ]
        with solving(len(problem.targets)):
            return judge(graph, members, problem)

    return score
