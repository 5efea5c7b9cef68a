"""Objectives and the one loop."""
