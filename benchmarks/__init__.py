"""Speeds, as ratios against ceilings measured in the same run: machines are noisy."""
