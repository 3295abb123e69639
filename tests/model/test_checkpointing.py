"""Gradient checkpointing in eval and train mode."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from aigv_reward.model.checkpointing import (
    checkpoint_layers,
    is_checkpointed,
    uncheckpoint_layers,
)


def gradients(model, views):
    inputs = [view.clone().requires_grad_() for view in views]
    scores = model(*inputs, text_ids=[[30], None]).scores
    return scores, torch.autograd.grad(scores.sum(), inputs)


def kept_bytes(model, views):
    """Memory of the activations that the forward keeps for the backward."""
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    inputs = [view.clone().requires_grad_() for view in views]
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        scores = model(*inputs).scores
    own = {p.untyped_storage().data_ptr() for p in [*model.parameters(), *model.buffers()]}
    total = sum(size for pointer, size in kept.items() if pointer not in own)
    scores.sum().backward()
    return total


@pytest.mark.parametrize("offload", [False, True])
def test_same_scores_and_gradients_in_eval_mode(model, views, offload):
    model.requires_grad_(False)
    expected = gradients(model, views)
    model.gradient_checkpointing_enable(offload=offload)
    scores, grads = gradients(model, views)
    assert torch.equal(scores, expected[0])
    torch.testing.assert_close(grads, expected[1], rtol=0, atol=1e-6)


def test_memory_is_saved_until_it_is_disabled(model, views):
    model.requires_grad_(False)
    plain = kept_bytes(model, views)
    model.gradient_checkpointing_enable()
    assert model.is_activation_checkpointing
    assert model.is_gradient_checkpointing
    every = kept_bytes(model, views)
    assert every < plain / 2
    model.gradient_checkpointing_enable(every_n_layers=2)
    assert every < kept_bytes(model, views) < plain
    model.gradient_checkpointing_disable()
    assert not model.is_activation_checkpointing
    assert kept_bytes(model, views) == pytest.approx(plain, rel=0.01)
    assert not any("forward" in vars(module) for module in model.modules())


def test_every_block_and_no_more_is_recomputed(model):
    model.gradient_checkpointing_enable()
    names = [type(m).__name__ for m in model.modules() if is_checkpointed(m)]
    assert sorted(set(names)) == [
        "BlipEncoderLayer",
        "BlipLastLayer",
        "FastBottleneck",
        "LlamaDecoderLayer",
        "SwinBlock",
    ]
    assert len(names) == 2 + 3 + 3 + 4


def test_transformers_own_switch(model, views):
    """Trainer calls this name in later releases; it passes options of its own."""
    model.activation_checkpointing_enable(every_n_layers=1, offload=False)
    assert model.is_activation_checkpointing
    gradients(model, views)
    model.activation_checkpointing_disable()
    assert not model.is_activation_checkpointing


def test_parameter_gradients_and_statistics_in_train_mode(model, views):
    """The second pass through a batch norm must not count the batch again."""
    plain, recomputed = model.train(), copy.deepcopy(model)
    recomputed.gradient_checkpointing_enable()
    for one in (plain, recomputed):
        one.requires_grad_(True)
        one(*views).scores.sum().backward()
    for (name, a), b in zip(plain.named_parameters(), recomputed.parameters(), strict=True):
        torch.testing.assert_close(b.grad, a.grad, rtol=0, atol=1e-5, msg=lambda m, n=name: n + m)
    for (name, a), b in zip(plain.named_buffers(), recomputed.buffers(), strict=True):
        assert torch.equal(a, b), name
    norms = [module for module in recomputed.modules() if isinstance(module, nn.BatchNorm3d)]
    assert norms
    assert all(int(norm.num_batches_tracked) == 1 and norm.momentum == 0.1 for norm in norms)


def test_dropout_is_the_same_in_both_passes(tiny, lively, views):
    model = lively(tiny(lora=tiny().lora | {"lora_dropout": 0.5})).train()
    for norm in model.motion.modules():
        if isinstance(norm, nn.BatchNorm3d):
            norm.eval()
    torch.manual_seed(5)
    expected = gradients(model, views)
    model.gradient_checkpointing_enable()
    torch.manual_seed(5)
    scores, grads = gradients(model, views)
    assert torch.equal(scores, expected[0])
    torch.testing.assert_close(grads, expected[1], rtol=0, atol=1e-6)


def test_copies_are_independent(model, views):
    model.requires_grad_(False).gradient_checkpointing_enable()
    other = copy.deepcopy(model)
    assert other.is_activation_checkpointing
    expected = gradients(model, views)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    scores, grads = gradients(other, views)
    assert torch.equal(scores, expected[0])
    torch.testing.assert_close(grads, expected[1], rtol=0, atol=1e-6)


def test_pickle(model, views):
    model.gradient_checkpointing_enable()
    other = pickle.loads(pickle.dumps(model))
    assert other.is_activation_checkpointing
    assert torch.equal(gradients(other, views)[0], gradients(model, views)[0])
    other.gradient_checkpointing_disable()
    assert other.state_dict().keys() == model.state_dict().keys()


def test_saving_is_unaffected(model, saved, tmp_path):
    model.gradient_checkpointing_enable()
    model.save_pretrained(tmp_path)
    for file in saved.iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()


def test_nothing_is_recomputed_without_gradients(model, views):
    model.gradient_checkpointing_enable()
    with torch.no_grad():
        assert model(*views).scores.grad_fn is None


def test_a_forward_on_the_instance_is_kept():
    """accelerate's hooks stand there."""
    layer = nn.Linear(2, 2)
    layer.forward = lambda x: 3 * x
    x = torch.ones(2, requires_grad=True)
    checkpoint_layers([layer])
    checkpoint_layers([layer])
    assert layer(x).tolist() == [3.0, 3.0]
    assert torch.autograd.grad(layer(x).sum(), x)[0].tolist() == [3.0, 3.0]
    uncheckpoint_layers([layer])
    assert not is_checkpointed(layer)
    assert layer(x).tolist() == [3.0, 3.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use_reentrant": True}, "use_reentrant=True is not supported; leave it out"),
        ({"context_fn": None}, r"unknown checkpointing options \['context_fn'\]; choose from"),
    ],
)
def test_options_are_checked(model, options, message):
    with pytest.raises(ValueError, match=message):
        model.gradient_checkpointing_enable(options)
    model.gradient_checkpointing_enable({"use_reentrant": False, "preserve_rng_state": False})
