"""The task: what is driven, commanded, heard, rewarded and judged; pure but for the SUMO session."""
