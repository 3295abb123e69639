"""DPO by hand, at the reference, against a Bernoulli log-likelihood and autograd's numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from aigv_reward.integrations.finetune.dpo_loss import denoising_error, dpo_loss

NAMES = ("chosen", "rejected", "reference_chosen", "reference_rejected")


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("beta", [1.0, 5000.0])
def test_at_the_reference_the_loss_is_ln_2(dtype: torch.dtype, beta: float) -> None:
    better, worse = drawn(5).square().to(dtype), drawn(5, seed=1).square().to(dtype)
    found = dpo_loss(better, worse, better, worse, beta=beta)
    assert torch.equal(found.loss, torch.tensor(math.log(2), dtype=dtype))
    assert (found.accuracy, found.margin) == (0.0, 0.0)


def test_by_hand() -> None:
    """beta 4: rewards -2 * (0.3 - 0.5) = 0.4 and -2 * (0.9 - 0.6) = -0.6: a margin of 1."""
    errors = column(0.3), column(0.9), column(0.5), column(0.6)
    found = dpo_loss(*errors, beta=4.0)
    assert float(found.loss) == pytest.approx(math.log(1 + math.exp(-1)))
    assert found.accuracy == 1.0
    assert found.margin == pytest.approx(1.0)
    assert (found.chosen_reward, found.rejected_reward) == (pytest.approx(0.4), pytest.approx(-0.6))
    met = dpo_loss(*errors, beta=4.0, margin=column(1.0))
    assert float(met.loss) == pytest.approx(math.log(2))
    assert met.accuracy == 1.0 and met.margin == pytest.approx(1.0)


def test_the_error_is_a_mean_over_everything_but_the_batch() -> None:
    prediction, target = drawn(3, 4, 2, 5, 5), drawn(3, 4, 2, 5, 5, seed=1)
    expected = torch.stack([mse_loss(p, t) for p, t in zip(prediction, target, strict=True)])
    torch.testing.assert_close(denoising_error(prediction, target), expected)
    longer = [torch.cat([one, one], dim=2) for one in (prediction, target)]
    torch.testing.assert_close(denoising_error(*longer), expected)


def test_the_error_of_half_precision_is_taken_in_float32() -> None:
    one = torch.full((1, 4), 1.0, dtype=torch.bfloat16)
    found = denoising_error(one, one + 0.0078125)
    assert torch.equal(found, torch.tensor([0.0078125**2]))


def test_against_a_bernoulli_likelihood() -> None:
    errors = [drawn(6, seed=s).square() for s in range(4)]
    found = dpo_loss(*errors, beta=3.0)
    logits = -1.5 * ((errors[0] - errors[2]) - (errors[1] - errors[3]))
    expected = binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
    torch.testing.assert_close(found.loss, expected)
    assert found.accuracy == pytest.approx(float((logits > 0).double().mean()))
    assert found.margin == pytest.approx(float(logits.mean()))


def test_swapping_the_videos_negates_the_margin() -> None:
    a, b, c, d = (drawn(6, seed=s).square() for s in range(4))
    one, other = dpo_loss(a, b, c, d, beta=3.0), dpo_loss(b, a, d, c, beta=3.0)
    assert one.margin == pytest.approx(-other.margin)
    assert one.accuracy == pytest.approx(1 - other.accuracy)


def test_gradients() -> None:
    errors = [drawn(4, seed=s).square().requires_grad_() for s in range(4)]
    assert torch.autograd.gradcheck(
        lambda better, worse: dpo_loss(better, worse, *errors[2:], beta=2.0).loss, errors[:2]
    )
    dpo_loss(*errors, beta=2.0).loss.backward()
    assert errors[2].grad is None and errors[3].grad is None
    assert (errors[0].grad > 0).all() and (errors[1].grad < 0).all()  # lower error is better


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"rejected": drawn(1)},
            r"rejected has shape \(1,\) and chosen \(2,\); all must be \(P,\)",
        ),
        ({"margin": drawn(2, 1)}, r"margin has shape \(2, 1\) and chosen \(2,\); all must be"),
        (dict.fromkeys(NAMES, drawn(0)), "there are no pairs; give at least one"),
        ({"beta": 0.0}, "beta is 0.0; it must be above 0"),
    ],
)
def test_errors(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {**dict.fromkeys(NAMES, drawn(2)), "beta": 1.0, **change}
    with pytest.raises(ValueError, match=message):
        dpo_loss(*[given.pop(name) for name in NAMES], **given)


def test_errors_of_shapes() -> None:
    message = r"prediction has shape \(2, 3\) and target \(3,\); both must be the same \(B, ...\)"
    with pytest.raises(ValueError, match=message):
        denoising_error(drawn(2, 3), drawn(3))
