"""Fine-tuning of diffusers' video generators with a reward."""
