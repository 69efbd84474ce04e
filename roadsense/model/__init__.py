"""The policy network, its action distribution and its file, without Ray."""
