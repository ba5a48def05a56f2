"""Metrics and calibration of models."""
