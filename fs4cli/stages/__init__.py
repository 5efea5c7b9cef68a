"""The recipes: one stage a file, read top to bottom; they meet in the project folder."""
