"""`python -m aigv_reward` is `aigv-reward`."""

from aigv_reward.cli import main

if __name__ == "__main__":
    main()
