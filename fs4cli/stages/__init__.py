"""The recipes: one stage a file or folder, read top to bottom; they meet in the project folder."""
