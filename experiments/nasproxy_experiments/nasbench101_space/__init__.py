"""The NNGP of all 423,624 cells of NAS-Bench-101: the choice of a setting, and the table.

python -m nasproxy_experiments.nasbench101_space.choose --data-dir DIR --truth CELLS.parquet
python -m nasproxy_experiments.nasbench101_space.compute --data-dir DIR --workers 2
python -m nasproxy_experiments.nasbench101_space.assemble --data-dir DIR --truth CELLS.parquet
"""
