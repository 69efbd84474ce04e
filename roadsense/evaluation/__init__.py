"""The judgement: a policy on the fixed list, beside reference policies. No Ray: parallelism is an injected map."""
