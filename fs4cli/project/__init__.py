"""State on disk: the project folder, what each stage ran with, one writer at a time. No torch."""
