"""Suites of experiments that reproduce papers: found by ``nasproxy reproduce``."""
