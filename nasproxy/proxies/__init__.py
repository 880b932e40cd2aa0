"""Proxies: cheap functions of an architecture that should rank as training would."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
