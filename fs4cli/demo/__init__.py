"""The embedded default: draws a folder of scenes and runs the whole job on it."""
