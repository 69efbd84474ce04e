"""Recorded drives of real convoys: the log, the same neighbour table, the policy, and what its braking was worth."""
