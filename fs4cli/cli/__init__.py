"""The face: Typer, Rich, exit codes; torch-free."""
