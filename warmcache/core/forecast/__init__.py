"""Forecasts learned from observed events, as numbers that can be merged: signs, silences, shares, speed."""
