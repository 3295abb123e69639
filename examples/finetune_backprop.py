"""Reward back-propagation: DRaFT, DRaFT-LV, AlignProp, ReFL.

    python examples/finetune_backprop.py --model FOLDER --prompts prompts.txt --output_dir out \
        --generation_kwargs '{"height": 240, "width": 416, "num_frames": 33}' --fps 16

`accelerate launch` starts it on several GPUs. `--help` lists every setting, `--config FILE.yaml`
reads them from a file. The LoRA weights in `out` are for `pipe.load_lora_weights("out")`.
"""

from trl import TrlParser

from aigv_reward.integrations.finetune import (
    RewardBackpropConfig,
    RewardBackpropTrainer,
    ScriptArguments,
)


def main() -> None:
    parser = TrlParser([ScriptArguments, RewardBackpropConfig])  # type: ignore[list-item]
    script, args = parser.parse_args_and_config()
    trainer = RewardBackpropTrainer(
        script.pipeline(),
        args=args,
        train_dataset=script.prompts,
        **script.rewards(args.device),
    )
    trainer.train(resume_from_checkpoint=args.resume_from_checkpoint)
    trainer.save_model()
    trainer.close()


if __name__ == "__main__":
    main()
