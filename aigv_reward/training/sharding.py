"""What DeepSpeed must be told, so that a run does not fail at its end."""

from __future__ import annotations

from transformers import TrainingArguments


def check_deepspeed(args: TrainingArguments) -> None:
    """Raise unless a run under these DeepSpeed settings keeps float32 weights and can save them.

    Its own bfloat16 and float16 cast the whole model: batch norms, opinion scores and the saved
    weights would be rounded.

    Raises:
        ValueError: half precision that is not autocast, or ZeRO stage 3 whose weights are not
            gathered when they are saved.
    """
    plugin = args.deepspeed_plugin
    if plugin is None:
        return
    config = plugin.deepspeed_config
    halves = [name for name in ("bf16", "fp16") if config.get(name, {}).get("enabled") is True]
    if halves or args.mixed_precision != "no":
        name = halves[0] if halves else args.mixed_precision
        raise ValueError(
            f"DeepSpeed's {name} casts the whole model, and float32 weights are needed; leave "
            f"{name} out (mixed_precision: 'no' in accelerate's file) and autocast by the "
            'DeepSpeed configuration: "torch_autocast": {"enabled": true, "dtype": "bfloat16"}'
        )
    key = "stage3_gather_16bit_weights_on_model_save"
    if plugin.zero_stage == 3 and config["zero_optimization"].get(key) is not True:
        raise ValueError(
            f"ZeRO stage 3 without {key} saves no checkpoint that can be loaded; set it to true "
            "in zero_optimization (zero3_save_16bit_model in accelerate's file), or use stage 2"
        )
