"""The face: Typer, Rich, exit codes; torch-free."""

import os

# pydantic would look through every installed package for plugins, at each start, and run what it finds
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
