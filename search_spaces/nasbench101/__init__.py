"""NAS-Bench-101: cells of at most seven vertices and nine edges (Ying et al. 2019)."""
