"""What a run leaves: its layout, its provenance, files that are complete or absent."""
