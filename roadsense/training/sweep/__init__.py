"""Sweeps with Ray Tune: what is varied, who goes on, and a trial as Tune sees it. Judging the best is roadsense.sweep's."""
