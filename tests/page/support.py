"""A store whose names are what an attacker would write, and a truth for it."""

from typing import Any

import numpy as np
import pandas as pd

from nasproxy.store import Key, Record, Store
from search_spaces import NASBenchMacro

MACRO = "nasbench_macro:width=32"
ATTACK = "</script><img src=x onerror=document.title='hacked'><b>@{key}"
"""Stands for a proxy, a truth and a key."""
PROXIES = ("nngp:n_train=100/200,n_valid=100,ensemble=1", "params", ATTACK)


def filled(n: int, seeds: int = 1) -> tuple[Store, pd.Series]:
    """Scores of n − 1 networks of NAS-Bench-Macro and of one that is none; one has no truth."""
    space = NASBenchMacro()
    keys = space.sample(n - 1, 0)
    rng = np.random.default_rng(0)
    quality = rng.normal(size=n)
    store, records = Store(None), []
    for proxy in PROXIES:
        for seed in range(seeds if proxy.startswith("nngp") else 1):
            for i, key in enumerate([*keys, ATTACK]):
                noise = rng.normal(size=2)
                columns = {"n_train=100,n_valid=100,ensemble=1": float(quality[i] + noise[1])}
                columns["negative_mse"] = float(quality[i] + 0.4 * noise[1])
                info: dict[str, Any] = {"drawn": f"uniform, n={n}"}
                if proxy.startswith("nngp"):
                    info["columns"] = columns
                value = round(float(quality[i] + noise[0]), 1) + 50 * (proxy == "params")
                records.append(
                    Record(
                        Key(MACRO, key, proxy, "cifar10@1", seed),
                        *(value, 0.5, 1e9, info, None),
                        space.to_json(key) if i < n - 1 else "{}",
                    )
                )
    store.put_many(records)
    truth = pd.Series(0.9 + 0.01 * quality, [*keys, ATTACK], name=f"accuracy {ATTACK}")
    return store, truth.drop(keys[3])
