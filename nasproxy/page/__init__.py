"""A ranking as one HTML file to open, send or publish: no network, nothing executed from data."""

from nasproxy.page.claims import Claim, read_claims
from nasproxy.page.writing import check_path, write_page

__all__ = ["Claim", "check_path", "read_claims", "write_page"]
