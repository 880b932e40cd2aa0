"""What users plug a proxy in for: does it help a search, at equal cost of training?"""

from nasproxy_experiments.search.study import prepare

PAPER = "Does a proxy help a search? NAS-Bench-101 and NAS-Bench-201"
EXPERIMENTS = ("screens",)
CLAIMS = ("claims",)

__all__ = ["CLAIMS", "EXPERIMENTS", "PAPER", "prepare"]
