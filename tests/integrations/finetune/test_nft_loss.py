"""DiffusionNFT by hand, against a slow loop in the paper's letters, and its limits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler

from aigv_reward.integrations.finetune.flow_noise import Noised, forward_process
from aigv_reward.integrations.finetune.nft_loss import nft_loss, old_policy_decay, optimality

SHAPE = (3, 4, 2, 3, 3)
LEVELS = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape or SHAPE, generator=generator, dtype=torch.float64)


def noised(clean: torch.Tensor, **config: Any) -> Noised:
    process = forward_process(FlowMatchEulerDiscreteScheduler(**config))
    return process.add_noise(clean, drawn(9, *clean.shape), LEVELS[: len(clean)])


def test_optimality_by_hand() -> None:
    advantages = torch.tensor([-9.0, -5.0, -2.5, 0.0, 1.0, 5.0, 9.0])
    assert optimality(advantages).tolist() == pytest.approx([0, 0, 0.25, 0.5, 0.6, 1, 1])
    assert optimality(torch.tensor([0.5]), clip=1.0).tolist() == [0.75]


def test_by_hand() -> None:
    """x0 = 1, e = 3 at t = 0.5: x_t = 2. v = 3, v_old = 1, b = 0.5.

    v+ = 2 and x0+ = 1, v- = 0 and x0- = 2, so |x0+ - x0| = 0 and |x0- - x0| = 1: with w- = 1 and
    r = 0.25 the loss is 0.75 * 1 / 0.5 = 1.5. With v_ref = 1 and lambda = 0.1: + 0.1 * 4.
    """
    one = torch.ones(1, 2, dtype=torch.float64)
    process = forward_process(FlowMatchEulerDiscreteScheduler())
    at = process.add_noise(one, 3 * one, LEVELS[1:2])
    given = (3 * one, one, one, at, torch.tensor([0.25]))
    found = nft_loss(*given, beta=0.5)
    assert float(found.loss) == pytest.approx(1.5)
    assert (found.positive, found.negative, found.moved) == (0.0, pytest.approx(1.0), 4.0)
    held = nft_loss(*given, beta=0.5, reference=one, reference_weight=0.1)
    assert float(held.loss) == pytest.approx(1.9) and held.reference == 4.0


@pytest.mark.parametrize("beta", [0.3, 1.0])
def test_against_a_slow_loop(beta: float) -> None:
    x0, v, v_old, v_ref = (drawn(seed) for seed in range(4))
    at, r = noised(x0), torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    found = nft_loss(v, v_old, x0, at, r, beta=beta, reference=v_ref, reference_weight=0.2)
    total = 0.0
    for i, t in enumerate(LEVELS.tolist()):
        plus = beta * v[i] + (1 - beta) * v_old[i]
        minus = (1 + beta) * v_old[i] - beta * v[i]
        for share, velocity in ((float(r[i]), plus), (1 - float(r[i]), minus)):
            apart = (at.latents[i] - t * velocity - x0[i]).flatten().tolist()
            weight = max(sum(abs(a) for a in apart) / len(apart), 1e-5)
            total += share * sum(a * a for a in apart) / len(apart) / weight / beta / 3
    total += 0.2 * float((v - v_ref).square().mean())
    assert float(found.loss) == pytest.approx(total)


def test_the_inverted_flow_gives_the_same_loss() -> None:
    x0, v, v_old = (drawn(seed) for seed in range(3))
    r = torch.tensor([0.1, 0.5, 0.9])
    plain = nft_loss(v, v_old, x0, noised(x0), r, beta=1.0)
    inverted = nft_loss(-v, -v_old, x0, noised(x0, invert_sigmas=True), r, beta=1.0)
    torch.testing.assert_close(plain.loss, inverted.loss)


def test_noise_prediction_by_hand() -> None:
    """DDIM's x0 = (x - sqrt(1 - a) eps) / sqrt(a), the policy's own where b = 1 and r = 1."""
    scheduler = DDIMScheduler()
    x0, eps, old = drawn(0, 1, 6), drawn(1, 1, 6), drawn(2, 1, 6)
    at = forward_process(scheduler).add_noise(x0, drawn(3, 1, 6), LEVELS[1:2])
    found = nft_loss(eps, old, x0, at, torch.ones(1), beta=1.0)
    a = scheduler.alphas_cumprod[500].double()
    apart = (at.latents - (1 - a).sqrt() * eps) / a.sqrt() - x0
    assert float(found.loss) == pytest.approx(float(apart.square().mean() / apart.abs().mean()))


def test_at_the_old_policy_a_good_video_pulls_and_a_bad_one_pushes() -> None:
    """v = v_old: the gradient of r = 0 is the opposite of r = 1, and that of r = 1/2 is none."""
    x0, v_old = drawn(0), drawn(1)
    gradients = []
    for r in (1.0, 0.0, 0.5):
        v = v_old.clone().requires_grad_()
        found = nft_loss(v, v_old, x0, noised(x0), torch.full((3,), r), beta=0.7)
        assert found.moved == 0 and found.positive == pytest.approx(found.negative)
        gradients.append(torch.autograd.grad(found.loss, v)[0])
    torch.testing.assert_close(gradients[0], -gradients[1])
    torch.testing.assert_close(gradients[2], torch.zeros(SHAPE, dtype=torch.float64))
    towards = ((v_old - noised(x0).target) * gradients[0]).flatten(1).sum(1)
    assert (towards > 0).all()  # descent leads to the target of the good video


def test_the_weight_takes_no_gradient_and_is_bounded() -> None:
    """d/dv of |x0+ - x0|^2 / w with w held: 2 (x0+ - x0) (-t) / w / D; a perfect guess has none."""
    x0, v = drawn(0, 2, 5), drawn(1, 2, 5).requires_grad_()
    at = noised(x0)
    found = nft_loss(v, drawn(2, 2, 5), x0, at, torch.ones(2), beta=1.0)
    (gradient,) = torch.autograd.grad(found.loss, v)
    apart = (at.latents - LEVELS[:2, None] * v - x0).detach()
    expected = -2 * LEVELS[:2, None] * apart / apart.abs().mean(1, keepdim=True) / 5 / 2
    torch.testing.assert_close(gradient, expected)
    perfect = at.target.clone().requires_grad_()
    exact = nft_loss(perfect, perfect.detach(), x0, at, torch.ones(2), beta=1.0)
    (none,) = torch.autograd.grad(exact.loss, perfect)
    assert float(exact.loss.detach()) < 1e-10 and none.abs().max() < 1e-9


def test_a_batch_is_the_mean_of_its_videos() -> None:
    x0, v, v_old = (drawn(seed) for seed in range(3))
    at, r = noised(x0), torch.tensor([0.1, 0.5, 0.9])
    whole = nft_loss(v, v_old, x0, at, r, beta=1.0).loss
    parts = [
        nft_loss(
            v[i : i + 1],
            v_old[i : i + 1],
            x0[i : i + 1],
            Noised(*(getattr(at, name)[i : i + 1] for name in Noised.__dataclass_fields__)),
            r[i : i + 1],
            beta=1.0,
        ).loss
        for i in range(3)
    ]
    torch.testing.assert_close(whole, torch.stack(parts).mean())


def test_gradients_reach_the_policy_only() -> None:
    x0, v_old, v_ref = (drawn(seed, 1, 4).requires_grad_() for seed in range(3))
    at = noised(x0.detach())
    v = drawn(4, 1, 4).requires_grad_()
    options = {"beta": 1.0, "reference": v_ref, "reference_weight": 0.1}
    nft_loss(v, v_old, x0, at, torch.full((1,), 0.3), **options).loss.backward()
    assert v.grad is not None
    assert x0.grad is None and v_old.grad is None and v_ref.grad is None


def test_decay_by_hand() -> None:
    assert [old_policy_decay(step) for step in (0, 1, 100, 500, 9999)] == [0, 0.001, 0.1, 0.5, 0.5]
    late = {"flat_steps": 75, "rate": 0.0075, "limit": 0.999}
    found = [old_policy_decay(step, **late) for step in (0, 75, 85, 500)]
    assert found == pytest.approx([0, 0, 0.075, 0.999])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"old": drawn(0, 2, 4)},
            r"old has shape \(2, 4\) and prediction \(2, 5\); they must be alike",
        ),
        ({"clean": drawn(0, 2)}, r"clean has shape \(2,\) and prediction \(2, 5\)"),
        ({"reference": drawn(0, 1, 5)}, r"reference has shape \(1, 5\) and prediction \(2, 5\)"),
        ({"noised": noised(drawn(0, 1, 5))}, r"noised has shape \(1, 5\) and prediction \(2, 5\)"),
        ({"optimal": torch.ones(2, 1)}, r"optimal has shape \(2, 1\); it must be \(2,\)"),
        (
            {"optimal": torch.tensor([0.0, 1.5])},
            r"optimal is \[0.0, 1.5\]; it must be in \[0, 1\]: see optimality",
        ),
        ({"beta": 0.0}, "beta is 0.0; it must be above 0"),
        ({"reference_weight": -0.1}, "reference_weight is -0.1; it must be at least 0"),
        ({"reference_weight": 0.1}, "reference_weight is 0.1, but there is no reference; give"),
    ],
)
def test_errors(change: dict[str, Any], message: str) -> None:
    names = ("prediction", "old", "clean", "noised", "optimal")
    x0 = drawn(0, 2, 5)
    values = (x0, x0, x0, noised(x0), torch.ones(2))
    given = {**dict(zip(names, values, strict=True)), "beta": 1.0, **change}
    with pytest.raises(ValueError, match=message):
        nft_loss(*[given.pop(name) for name in names], **given)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optimality(torch.ones(1), clip=0), "clip is 0; it must be above 0"),
        (lambda: old_policy_decay(-1), "step is -1, flat_steps 0 and rate 0.001; they must be at"),
        (
            lambda: old_policy_decay(1, limit=1.0),
            r"limit is 1.0; it must be in \[0, 1\), or the old policy stands still",
        ),
    ],
)
def test_errors_of_settings(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
