"""Search spaces: what can be searched. They know nothing of proxies."""
