"""Captured graphs and their views."""
