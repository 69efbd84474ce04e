"""Figures, drawn once with matplotlib: for the pages in the colours of the reader, for papers as SVG and PNG."""
