"""Audits of whole data sets: every case scored, tables of it all, and what they tell."""
