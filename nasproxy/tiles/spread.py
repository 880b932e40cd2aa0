"""Products by the workers of a Dask cluster, each of which keeps the tiles that it reads."""

import threading
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from nasproxy.errors import SettingError
from nasproxy.tiles import products
from nasproxy.tiles.layout import Manifest, Place


class Spread:
    """One folder's tiles, shared out among a cluster's workers."""

    def __init__(self, client: Any, folder: Path, manifest: Manifest, memory: float) -> None:
        """Of a client; ``memory`` bytes of tiles are kept by each worker.

        Raises:
            SettingError: it is none.
        """
        if not (hasattr(client, "submit") and hasattr(client, "nthreads")):
            raise SettingError(f"client={client!r} of tiles: give a dask.distributed.Client")
        self._client, self._folder, self._manifest = client, folder, manifest
        self._memory = memory

    def symmetric(
        self, places: list[Place], vectors: Float[np.ndarray, "n c"]
    ) -> Float64[np.ndarray, "n c"]:
        """As :func:`nasproxy.tiles.products.symmetric`; a dead worker's share goes to others."""
        workers = sorted(self._client.nthreads())
        if not workers:
            raise SettingError("the cluster has no workers: start some, by dask worker ADDRESS")
        # By their number in the whole, so that a share is the same whatever vectors are 0.
        number = {place: i for i, place in enumerate(self._manifest.training())}
        shares: list[list[Place]] = [[] for _ in workers]
        for place in places:
            shares[number[place] % len(workers)].append(place)
        # By the folder that all see: the scheduler is no way for large arrays, and to scatter them
        # waits for ever where a worker has just died.
        path = self._folder / f".vectors-{uuid.uuid4().hex}.npy"
        try:
            np.save(path, vectors)
            given = (str(self._folder), self._manifest, self._memory)
            options: dict[str, Any] = {"allow_other_workers": True, "pure": False}
            futures = [
                self._client.submit(_part, *given, share, str(path), workers=[worker], **options)
                for worker, share in zip(workers, shares, strict=True)
            ]
            return np.sum(self._client.gather(futures), axis=0)
        finally:
            path.unlink(missing_ok=True)


_readers: dict[tuple[str, str, float], products.Reader] = {}
_one_at_a_time = threading.Lock()


def _part(
    folder: str, manifest: Manifest, memory: float, places: list[Place], path: str
) -> Float64[np.ndarray, "n c"]:
    """What a worker adds, by a reader that it keeps from one product to the next."""
    name = (folder, manifest.identity, memory)
    with _one_at_a_time:
        if name not in _readers:
            _readers.clear()  # Another folder's tiles would stay in memory beside these.
            _readers[name] = products.Reader(Path(folder), manifest, memory)
        return products.symmetric(_readers[name], manifest, places, np.load(path))
