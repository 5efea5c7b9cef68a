"""The network's parts, handed in ready made."""
