"""The report of one run or several: what its files say, judged again, the answer first."""
