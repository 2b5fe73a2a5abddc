"""Training on folders of compressed videos."""
