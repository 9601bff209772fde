"""Reports: one self-contained HTML file, with every number beside it as JSON and every figure as SVG and PNG."""

from bayescal.report.priors import prior_picture
from bayescal.report.write import write_report

__all__ = ["prior_picture", "write_report"]
