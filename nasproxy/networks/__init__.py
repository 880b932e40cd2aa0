"""The runtime of networks: graphs of layers, run, differentiated and drawn without compiling one.

Everything here is about one network at a time; search spaces make graphs, kernels and proxies use
them.
"""

from nasproxy.compilation import configure

configure()
