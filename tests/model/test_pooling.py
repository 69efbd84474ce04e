"""The maximum over peers: what torch's own operator gives, to the last bit, and its gradients."""

import pytest
import torch

from roadsense.model.pooling import pool

ROWS, WIDTH = 60, 16


def reference(encoded, counts):
    return torch.segment_reduce(encoded, "max", lengths=counts, axis=0, initial=0.0, unsafe=True)


def batch(kind):
    generator = torch.Generator().manual_seed(1)
    counts = torch.randint(0, 6, (ROWS,), generator=generator)
    size = (int(counts.sum()), WIDTH)
    # Few different values: every second maximum is one of several.
    drawn = torch.randint(-2, 4, size, generator=generator).float() if kind == "ties" else torch.randn(size, generator=generator)
    if kind == "nan":
        drawn[3, 2] = torch.nan
    return drawn.relu(), counts, torch.randn(ROWS, WIDTH, generator=generator)


@pytest.mark.parametrize("kind", ["distinct", "ties", "nan"])
def test_maximum_and_gradients_are_torchs(kind):
    encoded, counts, incoming = batch(kind)
    ours, theirs = encoded.clone().requires_grad_(), encoded.clone().requires_grad_()
    found, expected = pool(ours, counts, "max"), reference(theirs, counts)
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(pool(encoded, counts, "max"), expected, rtol=0, atol=0, equal_nan=True)
    (gradient,), (wanted,) = torch.autograd.grad(found, ours, incoming), torch.autograd.grad(expected, theirs, incoming)
    torch.testing.assert_close(gradient, wanted, rtol=0, atol=0, equal_nan=True)


def test_gradients_of_columns_that_do_not_lie_in_one_piece():
    encoded, counts, incoming = batch("distinct")
    (gradient,) = torch.autograd.grad(pool(encoded.requires_grad_(), counts, "max"), encoded, incoming.T.contiguous().T)
    (wanted,) = torch.autograd.grad(reference(encoded, counts), encoded, incoming)
    assert torch.equal(gradient, wanted)
