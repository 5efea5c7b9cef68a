"""A trained model at work on any number of images."""
