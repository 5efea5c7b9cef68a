"""Label-free semantic segmentation of your own images, from random weights."""
