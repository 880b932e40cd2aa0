"""What may be named: search spaces, proxies, data loaders and suites of experiments.

Each is found by an entry point of an installed package, ours among them, or by a dotted name: a
class or function in a module that can be imported, or in a file of the working folder.
"""

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

from nasproxy.errors import SettingError


@dataclass(frozen=True)
class Registry(Mapping[str, Any]):
    """One kind of plug-in: by name what installed packages register, loaded when it is asked for.

    Attributes:
        group: of entry points.
        what: one of them, for messages.
        members: what each has to offer.
        settings: whether each is a frozen dataclass with a ``name``, whose fields are its settings.
    """

    group: str
    what: str
    members: tuple[str, ...] = ()
    settings: bool = True

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._registered))

    def __len__(self) -> int:
        return len(self._registered)

    def __contains__(self, name: object) -> bool:
        return name in self._registered

    def __getitem__(self, name: str) -> Any:
        found = self._registered[name]
        if len(found) > 1:
            places = " and ".join(sorted(f"{e.value} of {_package(e)}" for e in found))
            raise SettingError(
                f"{self.what} {name!r} is registered twice, as {places}: uninstall one, or give "
                "the one that is meant by its dotted name"
            )
        return found[0].load()

    def find(self, name: str) -> Any:
        """What is registered under a name, or what a dotted name imports.

        Raises:
            SettingError: there is nothing of that name, or it is nothing of this kind.
        """
        if name in self:
            return self[name]
        if is_dotted(name):
            found = imported(name)
            self.check(name, found)
            return found
        raise SettingError(
            f"{self.what} {name!r}: choose one of {', '.join(self) or '(none is installed)'}; or "
            f"write module.Name for one of your own, in a file of this folder or installed"
        )

    @cached_property
    def _registered(self) -> dict[str, list[EntryPoint]]:
        found: dict[str, list[EntryPoint]] = {}
        for entry in entry_points(group=self.group):
            same = found.setdefault(entry.name, [])
            # A package that is installed twice over, as a checkout and as a wheel, is one.
            if entry.value not in [e.value for e in same]:
                same.append(entry)
        return found

    def check(self, path: str, given: Any) -> None:
        """Raises SettingError for what is nothing of this kind, or takes another's name.

        Args:
            path: what to call it.
            given: a class, or a function where there are no settings.
        """
        lacking = [member for member in self.members if not hasattr(given, member)]
        if lacking:
            raise SettingError(f"{path} is no {self.what}: it has no {', '.join(lacking)}")
        if not self.settings:
            return
        if not (isinstance(given, type) and is_dataclass(given)):
            raise SettingError(
                f"{path} is no {self.what}: make it a class with @dataclass(frozen=True), whose "
                "fields are its settings"
            )
        name = getattr(given, "name", None)
        if not isinstance(name, str) or not name:
            raise SettingError(f'{path} has no name: give it name: ClassVar[str] = "…"')
        # Stores file scores by names: two classes of one name would be taken for each other.
        if name in self and self[name] is not given:
            raise SettingError(
                f"{path} is called {name!r}, as a registered {self.what} is: give it another name"
            )


SPACES = Registry(
    "nasproxy.search_spaces",
    "search space",
    ("sample", "mutate", "key", "find", "to_json", "from_json", "graph"),
)
PROXIES = Registry("nasproxy.proxies", "proxy", ("prepare",))
DATASETS = Registry("nasproxy.datasets", "data loader", ("__call__",), settings=False)
SUITES = Registry("nasproxy.suites", "suite", ("PAPER", "EXPERIMENTS", "prepare"), settings=False)


def is_dotted(name: str) -> bool:
    """Whether a name is ``module.Name``; names of files may look so too."""
    parts = name.split(".")
    return len(parts) > 1 and all(part.isidentifier() for part in parts)


def imported(path: str) -> Any:
    """``package.module.Name``, or a module itself; the working folder is looked in last.

    Raises:
        SettingError: there is no such module, or nothing of that name in it.
    """
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.append(folder)  # Last, so that no file there hides an installed package.
        importlib.invalidate_caches()
    name, _, attribute = path.rpartition(".")
    module = _module(path) if attribute in _submodules(name) else _module(name)
    if module is None:
        raise SettingError(
            f"{path}: there is no module {name}, neither in {folder} nor among what is installed"
        )
    if module.__name__ == path:
        return module
    if not hasattr(module, attribute):
        place = getattr(module, "__file__", None) or name
        raise SettingError(f"{path}: {place} has no {attribute}")
    return getattr(module, attribute)


def _submodules(name: str) -> set[str]:
    package = _module(name) if name else None
    if package is None or not hasattr(package, "__path__"):
        return set()
    import pkgutil

    return {found.name for found in pkgutil.iter_modules(package.__path__)}


def _module(name: str) -> ModuleType | None:
    """A module, or None if there is none; what its own code raises is its author's to see."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            return None
        raise


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "an unknown package"
