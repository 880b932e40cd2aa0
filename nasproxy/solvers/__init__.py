"""Solvers of kernel systems."""
