"""Hooks of the quality model into the libraries that generate, train and filter video."""
